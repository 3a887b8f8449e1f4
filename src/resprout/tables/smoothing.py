"""Graphs to smooth a table over, with the memory that the hops need."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from resprout.kernels.contract import F32, I32, Backend, CompactRows, DenseRows, Links, NoRows, Rows
from resprout.tables.gradients import Gradient, RowGradient, SmoothedGradient
from resprout.tables.table import aligned_empty


@dataclass(frozen=True, eq=False)
class Smoothing(ABC):
    """The mean of 0 to `hops` smoothings of a table over a symmetric graph (LightGCN, He et al., SIGIR 2020, eq. 8)."""

    hops: int
    _buffers: list[F32] = field(default_factory=list, init=False)

    @property
    @abstractmethod
    def nodes(self) -> int:
        """Rows of the smoothed table."""

    @property
    @abstractmethod
    def links_of_hop(self) -> int:
        """Links that a hop sums over, in the mean."""

    @abstractmethod
    def rows_of(self, start: Rows, ids: I32, width: int, backend: Backend) -> F32:
        """Rows `ids` (no two the same) of the smoothed table, `[ids, width]`; the last hop reaches these rows only."""

    @abstractmethod
    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """The whole smoothed table, `[nodes, width]`."""

    @abstractmethod
    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """The gradient of the table, from `scale` times that of rows of the smoothed one; a last hop is left to do."""

    @property
    def scale(self) -> float:
        """The weight of each smoothing in the mean."""
        return 1 / (self.hops + 1)

    def _hop(self, links: Links, source: Rows, start: Rows, width: int, backend: Backend) -> F32:
        """`start` and what links bring from `source`, in a borrowed buffer."""
        out = self._borrow(len(links.starts) - 1, width)
        backend.sum_links(links, 0, source, start, 1.0, out)
        return out

    def _borrow(self, rows: int, width: int) -> F32:
        for at, buffer in enumerate(self._buffers):
            if buffer.shape == (rows, width):
                return self._buffers.pop(at)
        return aligned_empty(rows, width)

    def _give_back(self, buffer: F32 | None) -> None:
        if buffer is not None:
            self._buffers.append(buffer)

    def _giving_back(self, buffer: F32 | None) -> Callable[[], None]:
        return lambda: self._give_back(buffer)


def _rows(buffer: F32 | None, otherwise: Rows) -> Rows:
    return otherwise if buffer is None else DenseRows(buffer)


@dataclass(frozen=True, eq=False)
class NodeSmoothing(Smoothing):
    """Of a table that has a row for each node.

    In Horner's form `(x + A(x + A(x + A x))) / (hops + 1)`, which needs two buffers whatever the number of hops.
    """

    links: Links

    @property
    def nodes(self) -> int:
        """See `Smoothing.nodes`."""
        return len(self.links.starts) - 1

    @property
    def links_of_hop(self) -> int:
        """See `Smoothing.links_of_hop`."""
        return len(self.links.ids)

    def rows_of(self, start: Rows, ids: I32, width: int, backend: Backend) -> F32:
        """See `Smoothing.rows_of`."""
        out = aligned_empty(len(ids), width)
        if self.hops == 0:
            backend.read_rows(ids, start, out)
            return out
        near = self._sum(start, self.hops - 1, width, backend)
        backend.sum_links_of(self.links, ids, _rows(near, start), start, self.scale, out)
        self._give_back(near)
        return out

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """See `Smoothing.all_rows`."""
        out = aligned_empty(self.nodes, width)
        if self.hops == 0:
            backend.read_range(0, start, out)
            return out
        near = self._sum(start, self.hops - 1, width, backend)
        backend.sum_links(self.links, 0, _rows(near, start), start, self.scale, out)
        self._give_back(near)
        return out

    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """See `Smoothing.gradient`."""
        if self.hops == 0:
            return RowGradient(batch, backend)
        near = self._sum(batch, self.hops - 1, width, backend)
        return SmoothedGradient(self.links, _rows(near, batch), batch, backend, self._giving_back(near))

    def _sum(self, start: Rows, count: int, width: int, backend: Backend) -> F32 | None:
        """The sum of 0 to `count` smoothings of `start`, in a borrowed buffer; none for a count of 0."""
        total: F32 | None = None
        for _ in range(count):
            out = self._hop(self.links, _rows(total, start), start, width, backend)
            self._give_back(total)
            total = out
        return total


@dataclass(frozen=True, eq=False)
class SideSmoothing(Smoothing):
    """Of a table for one side alone, users or items, over the graph of both: as if the others had rows of zeros.

    A hop reaches one side from the other, so that half of what `NodeSmoothing` sums over is zero, and is left out:
    after an odd number of hops the others have `B (x + C B x + ...)`, `B` the links to them and `C` those back, and the
    side with rows what is in brackets. Nodes are the users, and then the items.
    """

    of_others: Links
    """Who of the side with rows belongs to each of the others."""
    of_own: Links
    """Who of the others belongs to each of the side with rows."""
    own_first: bool
    """Whether the side with rows is the users."""

    def __post_init__(self) -> None:
        assert self.hops > 0, "without a hop the others have nothing"

    @property
    def nodes(self) -> int:
        """See `Smoothing.nodes`."""
        return len(self.of_others.starts) + len(self.of_own.starts) - 2

    @property
    def links_of_hop(self) -> int:
        """See `Smoothing.links_of_hop`: those from one side to the other."""
        return len(self.of_others.ids)

    @property
    def own(self) -> slice:
        """The nodes of the side with rows."""
        count = len(self.of_own.starts) - 1
        return slice(0, count) if self.own_first else slice(self.nodes - count, self.nodes)

    @property
    def others(self) -> slice:
        """The nodes of the other side."""
        count = len(self.of_others.starts) - 1
        return slice(self.nodes - count, self.nodes) if self.own_first else slice(0, count)

    def rows_of(self, start: Rows, ids: I32, width: int, backend: Backend) -> F32:
        """See `Smoothing.rows_of`."""
        out = aligned_empty(len(ids), width)
        near = self._near(start, width, backend)
        is_own = (ids >= self.own.start) & (ids < self.own.stop)
        others, own = ids[~is_own] - np.int32(self.others.start), ids[is_own] - np.int32(self.own.start)
        of_others, of_own = aligned_empty(len(others), width), aligned_empty(len(own), width)
        backend.sum_links_of(self.of_others, others, _rows(near, start), NoRows(), self.scale, of_others)
        if self.hops % 2:
            backend.read_rows(own, _rows(near, start), of_own)
            of_own *= self.scale
        else:
            far = self._hop(self.of_others, _rows(near, start), NoRows(), width, backend)
            backend.sum_links_of(self.of_own, own, DenseRows(far), start, self.scale, of_own)
            self._give_back(far)
        self._give_back(near)
        out[~is_own], out[is_own] = of_others, of_own
        return out

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """See `Smoothing.all_rows`."""
        out = aligned_empty(self.nodes, width)
        others, own = out[self.others], out[self.own]
        near = self._near(start, width, backend)
        backend.sum_links(self.of_others, 0, _rows(near, start), NoRows(), 1.0, others)
        if self.hops % 2:
            backend.read_range(0, _rows(near, start), own)
        else:
            backend.sum_links(self.of_own, 0, DenseRows(others), start, 1.0, own)
        out *= self.scale
        self._give_back(near)
        return out

    def others_by(self, links: Links, start: Rows, width: int, backend: Backend) -> F32:
        """What others with these links come to, `[lists, width]`, were they in the graph, which stays as it is."""
        near, out = self._near(start, width, backend), aligned_empty(len(links.starts) - 1, width)
        backend.sum_links(links, 0, _rows(near, start), NoRows(), self.scale, out)
        self._give_back(near)
        return out

    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """See `Smoothing.gradient`: from side to side, ending at the one with rows."""
        of_others = CompactRows(batch.positions[self.others], batch.values)
        of_own = CompactRows(batch.positions[self.own], batch.values)
        at_others = self.hops % 2 == 1
        begins_with = of_others if at_others else of_own
        total: F32 | None = None
        for _ in range(self.hops - 1):
            at_others = not at_others
            links, here = (self.of_others, of_others) if at_others else (self.of_own, of_own)
            out = self._hop(links, _rows(total, begins_with), here, width, backend)
            self._give_back(total)
            total = out
        behind = _rows(total, begins_with)
        return SmoothedGradient(self.of_own, behind, of_own, backend, self._giving_back(total))

    def _near(self, start: Rows, width: int, backend: Backend) -> F32 | None:
        """What the others' rows are sums of, all but scaled, in a borrowed buffer; none if it is the table itself."""
        total: F32 | None = None
        for _ in range((self.hops - 1) // 2):
            others = self._hop(self.of_others, _rows(total, start), NoRows(), width, backend)
            self._give_back(total)
            total = self._hop(self.of_own, DenseRows(others), start, width, backend)
            self._give_back(others)
        return total
