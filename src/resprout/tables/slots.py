"""What tables of slots share: starts and values, and where they are trained two moments a slot."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, Backend, Mask, PackedRows, PrefixRows, ScoreBlocks, row_slots
from resprout.tables.table import Table, row_blocks


class Leaving(NamedTuple):
    """Which slots go: those worth least, by weight or by weight times pending gradient.

    floor: slots that a row is to keep.
    """

    by_sensitivity: bool = False
    floor: int = 0

    @property
    def weighed(self) -> bool:
        """Whether what slots are worth is something else than their weights, so that it takes memory."""
        return self.by_sensitivity or self.floor > 0


_SMALLEST = Leaving()


class RowsTable(Table):
    """A table that is its rows as kernels take them: arrays, `starts` among them."""

    _rows: Any

    @property
    def slots(self) -> int:
        """See `Table.slots`."""
        return int(self._rows.starts[-1])

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        arrays: dict[str, NDArray[Any]] = self._rows._asdict()
        return arrays

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        self._rows = self._rows._replace(**{k: v.copy() for k, v in arrays.items() if k in self._rows._fields})


class SlotTable(RowsTable):
    """A table with a fixed number of slots, which are records of a value and two moments, and may move."""

    _moments: tuple[F32, F32] | None

    @property
    @abstractmethod
    def mask(self) -> Mask:
        """Where slots are, as in `contract.PackedRows`."""

    @abstractmethod
    def moving_bytes(self, weighed: bool) -> int:
        """What a table takes more while its slots move; weighed: see `Leaving`."""

    @abstractmethod
    def leaving(self, gradients: ScoreBlocks | None = None, floor: int = 0) -> PackedRows:
        """Its slots with what each is worth: the ones of least magnitude may go, in any number.

        A slot is worth its weight, or with `gradients`, blocks of those of all positions, the product of both. The
        `floor` best of each row are worth infinitely much.
        """

    @abstractmethod
    def growing(self, scores: ScoreBlocks) -> ScoreBlocks:
        """The scores, changed so that positions of largest magnitude may get a slot, in any number."""

    @abstractmethod
    def apply_moves(self, toggle: Mask) -> None:
        """Drops the slots and grows the positions marked in `toggle`, which is used up.

        In place where as many grow as go; where slots come from another table, one array at a time is made anew.
        """

    def share_moments(self) -> None:
        """Second moments that are 0, as those of new slots, become the mean of the others in their row."""
        second, end = self.moments[1], 0
        for lengths in self._lengths():
            first, end = end, end + int(lengths.sum())
            its, row = second[first:end], np.repeat(np.arange(len(lengths)), lengths)
            sums = np.bincount(row, its, len(lengths))
            counts = np.bincount(row, its > 0, len(lengths))
            its[...] = np.where(its > 0, its, (sums / np.maximum(counts, 1))[row])

    def _lengths(self) -> Iterator[NDArray[np.int64]]:
        """How many slots rows have, block by block."""
        mask = self.mask
        for first, last in row_blocks(self.shape):
            yield row_slots(mask[first:last])

    def _moved(self, rows: PackedRows, toggle: Mask) -> PackedRows:
        """The rows with their moves made."""
        backend, moments = self.backend, self.moments
        kept = backend.drop_slots(rows, moments, toggle)
        slots = kept + int(np.bitwise_count(toggle).sum(dtype=np.int64))
        if slots != len(rows.values):
            rows = rows._replace(values=_resized(rows.values, kept, slots))
            self._moments = moments = _resized(moments[0], kept, slots), _resized(moments[1], kept, slots)
        backend.grow_slots(rows, moments, toggle)
        return rows

    def _begin_slots(self, shape: Shape, rows: PackedRows | PrefixRows, backend: Backend) -> None:
        self._begin(shape, backend)
        self._rows, self._moments = rows, None

    @property
    def moments(self) -> tuple[F32, F32]:
        """Adam's two moments, `[slots]` each; zero before the first step and for a new slot."""
        if self._moments is None:
            self._moments = np.zeros(self.slots, np.float32), np.zeros(self.slots, np.float32)
        return self._moments

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        moments = dict(zip(("moment_1", "moment_2"), self.moments, strict=True)) if training else {}
        return super().arrays(training) | moments

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        super().load_arrays(arrays)
        if "moment_1" in arrays:
            self._moments = arrays["moment_1"].copy(), arrays["moment_2"].copy()


def move_slots(
    tables: Sequence[SlotTable], scores: Sequence[ScoreBlocks], count: int, which: Leaving = _SMALLEST
) -> int:
    """How many slots moved: the `count` that are worth least are dropped and as many grown where scores are largest.

    Over all `tables` together; see `contract.Backend.choose_moves`. Fewer where fewer may go.
    """
    growing = [table.growing(blocks) for table, blocks in zip(tables, scores, strict=True)]
    leaving = [table.leaving(table.gradient_blocks if which.by_sensitivity else None, which.floor) for table in tables]
    if which.floor:
        count = min(count, sum(int(np.isfinite(rows.values).sum()) for rows in leaving))
    toggles = tables[0].backend.choose_moves(leaving, growing, count)
    moved = 0
    for table, toggle in zip(tables, toggles, strict=True):
        moved += int(np.bitwise_count(toggle & table.mask).sum(dtype=np.int64))
        table.apply_moves(toggle)
    return moved


def _resized(array: F32, kept: int, size: int) -> F32:
    new = np.empty(size, np.float32)
    new[:kept] = array[:kept]
    return new
