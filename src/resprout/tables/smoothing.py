"""A graph to smooth a table over, with the memory that the hops need."""

from dataclasses import dataclass, field

from resprout.kernels.contract import F32, I32, Backend, CompactRows, DenseRows, Links, Rows
from resprout.tables.table import aligned_empty


@dataclass(frozen=True, eq=False)
class Smoothing:
    """A symmetric graph over the rows of a table, and how many hops to smooth it by.

    The smoothed table is the mean of 0 to `hops` smoothings, in Horner's form `(x + A(x + A(x + A x))) / (hops + 1)`
    (LightGCN, He et al., SIGIR 2020, eq. 8 with equal weights), which needs two buffers whatever the number of hops.
    """

    links: Links
    hops: int
    _buffers: list[F32] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """The weight of each smoothing in the mean."""
        return 1 / (self.hops + 1)

    def borrow(self, width: int) -> F32:
        """A buffer of the table's size, `[rows, width]`; give it back with `give_back`."""
        if self._buffers and self._buffers[-1].shape[1] == width:
            return self._buffers.pop()
        return aligned_empty(len(self.links.starts) - 1, width)

    def give_back(self, buffer: F32) -> None:
        """Keeps the buffer for the next one who borrows."""
        self._buffers.append(buffer)

    def partial(self, start: Rows, count: int, width: int, backend: Backend) -> F32 | None:
        """The sum of 0 to `count` smoothings of `start`, in a borrowed buffer; none for a count of 0."""
        total: F32 | None = None
        for _ in range(count):
            source = start if total is None else DenseRows(total)
            out = self.borrow(width)
            backend.sum_links(self.links, 0, source, start, 1.0, out)
            if total is not None:
                self.give_back(total)
            total = out
        return total

    def rows_of(self, start: Rows, ids: I32, width: int, backend: Backend) -> F32:
        """Rows `ids` of the smoothed table, `[ids, width]`; the last hop reaches these rows only."""
        out = aligned_empty(len(ids), width)
        if self.hops == 0:
            backend.read_rows(ids, start, out)
            return out
        near = self.partial(start, self.hops - 1, width, backend)
        backend.sum_links_of(self.links, ids, start if near is None else DenseRows(near), start, self.scale, out)
        if near is not None:
            self.give_back(near)
        return out

    def backward(self, batch: CompactRows, width: int, backend: Backend) -> tuple[Rows, F32 | None]:
        """What the last backward hop starts from, and the buffer that it lies in, if any."""
        near = self.partial(batch, self.hops - 1, width, backend)
        return (batch if near is None else DenseRows(near)), near

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """The whole smoothed table, `[rows, width]`."""
        out = aligned_empty(len(self.links.starts) - 1, width)
        near = self.partial(start, self.hops - 1, width, backend) if self.hops else None
        if self.hops == 0:
            backend.read_range(0, start, out)
        else:
            backend.sum_links(self.links, 0, start if near is None else DenseRows(near), start, self.scale, out)
        if near is not None:
            self.give_back(near)
        return out
