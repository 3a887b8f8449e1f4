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
class ItemSmoothing(Smoothing):
    """Of a table of items alone, over the graph of users and items: as if users had rows of zeros.

    A hop reaches users from items or items from users, so that half of what `NodeSmoothing` sums over is zero, and is
    left out: after an odd number of hops users have `B (x + C B x + ...)`, `B` the links from items to users and `C`
    those back, and items what is in brackets. Nodes are the users, and then the items.
    """

    of_users: Links
    """Items of each user."""
    of_items: Links
    """Users of each item."""

    def __post_init__(self) -> None:
        assert self.hops > 0, "without a hop users have nothing"

    @property
    def nodes(self) -> int:
        """See `Smoothing.nodes`."""
        return self._n_users + len(self.of_items.starts) - 1

    @property
    def links_of_hop(self) -> int:
        """See `Smoothing.links_of_hop`: those from one side to the other."""
        return len(self.of_users.ids)

    @property
    def _n_users(self) -> int:
        return len(self.of_users.starts) - 1

    def rows_of(self, start: Rows, ids: I32, width: int, backend: Backend) -> F32:
        """See `Smoothing.rows_of`."""
        out = aligned_empty(len(ids), width)
        near = self._items(start, width, backend)
        users_at, items_at = np.flatnonzero(ids < self._n_users), np.flatnonzero(ids >= self._n_users)
        users, items = ids[users_at], ids[items_at] - np.int32(self._n_users)
        of_users, of_items = aligned_empty(len(users), width), aligned_empty(len(items), width)
        backend.sum_links_of(self.of_users, users, _rows(near, start), NoRows(), self.scale, of_users)
        if self.hops % 2:
            backend.read_rows(items, _rows(near, start), of_items)
            of_items *= self.scale
        else:
            far = self._hop(self.of_users, _rows(near, start), NoRows(), width, backend)
            backend.sum_links_of(self.of_items, items, DenseRows(far), start, self.scale, of_items)
            self._give_back(far)
        self._give_back(near)
        out[users_at], out[items_at] = of_users, of_items
        return out

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """See `Smoothing.all_rows`."""
        out = aligned_empty(self.nodes, width)
        users, items = out[: self._n_users], out[self._n_users :]
        near = self._items(start, width, backend)
        backend.sum_links(self.of_users, 0, _rows(near, start), NoRows(), 1.0, users)
        if self.hops % 2:
            backend.read_range(0, _rows(near, start), items)
        else:
            backend.sum_links(self.of_items, 0, DenseRows(users), start, 1.0, items)
        out *= self.scale
        self._give_back(near)
        return out

    def users_by(self, links: Links, start: Rows, width: int, backend: Backend) -> F32:
        """What users with these links to items come to, `[users, width]`, were they in the graph; it stays as it is."""
        near, out = self._items(start, width, backend), aligned_empty(len(links.starts) - 1, width)
        backend.sum_links(links, 0, _rows(near, start), NoRows(), self.scale, out)
        self._give_back(near)
        return out

    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """See `Smoothing.gradient`: from side to side, ending at the items."""
        n_users = self._n_users
        of_users = CompactRows(batch.positions[:n_users], batch.values)
        of_items = CompactRows(batch.positions[n_users:], batch.values)
        at_users = self.hops % 2 == 1
        begins_with = of_users if at_users else of_items
        total: F32 | None = None
        for _ in range(self.hops - 1):
            at_users = not at_users
            links, own = (self.of_users, of_users) if at_users else (self.of_items, of_items)
            out = self._hop(links, _rows(total, begins_with), own, width, backend)
            self._give_back(total)
            total = out
        behind = _rows(total, begins_with)
        return SmoothedGradient(self.of_items, behind, of_items, backend, self._giving_back(total))

    def _items(self, start: Rows, width: int, backend: Backend) -> F32 | None:
        """What users' rows are sums of, all but scaled, in a borrowed buffer; none if it is the table itself."""
        total: F32 | None = None
        for _ in range((self.hops - 1) // 2):
            users = self._hop(self.of_users, _rows(total, start), NoRows(), width, backend)
            self._give_back(total)
            total = self._hop(self.of_items, DenseRows(users), start, width, backend)
            self._give_back(users)
        return total
