"""Graphs to smooth a table over, with the memory that the hops need.

While a model is trained, hops read and leave bfloat16 rows, for they take as long as the bytes that they read: the
first one reads a copy, made of a table however it is stored, each of whose rows would else be unpacked once for each of
its links. Sums, rows of a batch and the gradient of the table are float32, and so is all that models are evaluated and
served by (docs/decisions/0016).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import (
    F32,
    I32,
    Backend,
    Bfloat16Rows,
    CompactRows,
    DenseRows,
    Links,
    NoRows,
    Rows,
    bfloat16_words,
)
from resprout.tables.gradients import Gradient, RowGradient, SmoothedGradient
from resprout.tables.table import aligned_empty


class Between(ABC):
    """Rows between hops, in memory that is lent and given back."""

    def __init__(self) -> None:
        self._free: list[NDArray[Any]] = []
        self._lent: list[NDArray[Any]] = []

    @abstractmethod
    def begin(self, source: Rows, count: int, width: int, backend: Backend) -> Rows:
        """What the first hop reads for the `count` rows of `source`."""

    @abstractmethod
    def hop(self, links: Links, source: Rows, add: Rows, width: int, backend: Backend) -> Rows:
        """`add` and what links bring from `source`."""

    def give_back(self, rows: Rows) -> None:
        """Takes lent rows back, which are not read any more; others are left alone."""
        for at, memory in enumerate(self._lent):
            if memory is rows[0]:
                self._free.append(self._lent.pop(at))
                return

    def _lend(self, rows: int, columns: int, kind: type[np.float32 | np.uint32]) -> NDArray[Any]:
        shape = (rows, columns)
        at = next((at for at, memory in enumerate(self._free) if memory.shape == shape), None)
        memory = aligned_empty(*shape).view(kind) if at is None else self._free.pop(at)
        self._lent.append(memory)
        return memory


class InFloat32(Between):
    """As they are summed."""

    def begin(self, source: Rows, count: int, width: int, backend: Backend) -> Rows:
        """See `Between.begin`: the rows themselves."""
        return source

    def hop(self, links: Links, source: Rows, add: Rows, width: int, backend: Backend) -> Rows:
        """See `Between.hop`."""
        out = DenseRows(self._lend(len(links.starts) - 1, width, np.float32))
        backend.sum_links(links, 0, source, add, 1.0, out.values)
        return out


class InBfloat16(Between):
    """Rounded to eight bits and an exponent, those of the table too."""

    def begin(self, source: Rows, count: int, width: int, backend: Backend) -> Rows:
        """See `Between.begin`: a copy."""
        out = self._rows(count, width)
        backend.to_bfloat16(source, width, out)
        return out

    def hop(self, links: Links, source: Rows, add: Rows, width: int, backend: Backend) -> Rows:
        """See `Between.hop`."""
        out = self._rows(len(links.starts) - 1, width)
        backend.sum_links_bfloat16(links, source, add, width, out)
        return out

    def _rows(self, count: int, width: int) -> Bfloat16Rows:
        return Bfloat16Rows(self._lend(count, bfloat16_words(width), np.uint32))


@dataclass(frozen=True, eq=False)
class Smoothing(ABC):
    """The mean of 0 to `hops` smoothings of a table over a symmetric graph (LightGCN, He et al., SIGIR 2020, eq. 8)."""

    hops: int

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
        """The whole smoothed table, `[nodes, width]`, unrounded."""

    @abstractmethod
    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """The gradient of the table, from `scale` times that of rows of the smoothed one; a last hop is left to do."""

    @property
    def scale(self) -> float:
        """The weight of each smoothing in the mean."""
        return 1 / (self.hops + 1)


@dataclass(frozen=True, eq=False)
class NodeSmoothing(Smoothing):
    """Of a table that has a row for each node.

    In Horner's form `(x + A(x + A(x + A x))) / (hops + 1)`, which needs two buffers whatever the number of hops.
    """

    links: Links
    between: Between

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
        near = self._sum(start, width, backend)
        backend.sum_links_of(self.links, ids, near, start, self.scale, out)
        self.between.give_back(near)
        return out

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """See `Smoothing.all_rows`."""
        out = aligned_empty(self.nodes, width)
        if self.hops == 0:
            backend.read_range(0, start, out)
            return out
        other, near = aligned_empty(self.nodes, width), start
        for left in range(self.hops - 1, 0, -1):
            to = other if left % 2 else out  # the last one must not lie where the result goes
            backend.sum_links(self.links, 0, near, start, 1.0, to)
            near = DenseRows(to)
        backend.sum_links(self.links, 0, near, start, self.scale, out)
        return out

    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """See `Smoothing.gradient`."""
        if self.hops == 0:
            return RowGradient(batch, backend)
        near = self._sum(batch, width, backend)
        return SmoothedGradient(self.links, near, batch, backend, partial(self.between.give_back, near))

    def _sum(self, start: Rows, width: int, backend: Backend) -> Rows:
        """The sum of all smoothings of `start` but the last."""
        total = self.between.begin(start, self.nodes, width, backend)
        for _ in range(self.hops - 1):
            out = self.between.hop(self.links, total, start, width, backend)
            self.between.give_back(total)
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
    between: Between

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
        near = self._near(self.between, start, width, backend)
        is_own = (ids >= self.own.start) & (ids < self.own.stop)
        others, own = ids[~is_own] - np.int32(self.others.start), ids[is_own] - np.int32(self.own.start)
        of_others, of_own = aligned_empty(len(others), width), aligned_empty(len(own), width)
        backend.sum_links_of(self.of_others, others, near, NoRows(), self.scale, of_others)
        if self.hops % 2:
            backend.read_rows(own, start if self.hops == 1 else near, of_own)
            of_own *= self.scale
        else:
            far = self.between.hop(self.of_others, near, NoRows(), width, backend)
            backend.sum_links_of(self.of_own, own, far, start, self.scale, of_own)
            self.between.give_back(far)
        self.between.give_back(near)
        out[~is_own], out[is_own] = of_others, of_own
        return out

    def all_rows(self, start: Rows, width: int, backend: Backend) -> F32:
        """See `Smoothing.all_rows`."""
        out = aligned_empty(self.nodes, width)
        others, own = out[self.others], out[self.own]
        near = self._near(InFloat32(), start, width, backend)
        backend.sum_links(self.of_others, 0, near, NoRows(), 1.0, others)
        if self.hops % 2:
            backend.read_range(0, near, own)
        else:
            backend.sum_links(self.of_own, 0, DenseRows(others), start, 1.0, own)
        out *= self.scale
        return out

    def others_by(self, links: Links, start: Rows, width: int, backend: Backend) -> F32:
        """What others with these links come to, `[lists, width]`, were they in the graph, which stays as it is."""
        near, out = self._near(InFloat32(), start, width, backend), aligned_empty(len(links.starts) - 1, width)
        backend.sum_links(links, 0, near, NoRows(), self.scale, out)
        return out

    def gradient(self, batch: CompactRows, width: int, backend: Backend) -> Gradient:
        """See `Smoothing.gradient`: from side to side, ending at the one with rows."""
        of_others = CompactRows(batch.positions[self.others], batch.values)
        of_own = CompactRows(batch.positions[self.own], batch.values)
        at_others = self.hops % 2 == 1
        begins_with = of_others if at_others else of_own
        total = self.between.begin(begins_with, len(begins_with.positions), width, backend)
        for _ in range(self.hops - 1):
            at_others = not at_others
            links, here = (self.of_others, of_others) if at_others else (self.of_own, of_own)
            out = self.between.hop(links, total, here, width, backend)
            self.between.give_back(total)
            total = out
        return SmoothedGradient(self.of_own, total, of_own, backend, partial(self.between.give_back, total))

    def _near(self, between: Between, start: Rows, width: int, backend: Backend) -> Rows:
        """What the others' rows are sums of, all but scaled."""
        total = between.begin(start, len(self.of_own.starts) - 1, width, backend)
        for _ in range((self.hops - 1) // 2):
            others = between.hop(self.of_others, total, NoRows(), width, backend)
            between.give_back(total)
            total = between.hop(self.of_own, others, start, width, backend)
            between.give_back(others)
        return total
