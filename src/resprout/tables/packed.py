"""A table of which only the slots exist: mask bits, row starts, and one value and two moments a slot."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape, mask_row_bytes, start_bytes
from resprout.kernels.contract import F32, Backend, Mask, PackedRows, ScoreBlocks
from resprout.rng import stream_key
from resprout.tables.initial import Start
from resprout.tables.slots import SlotTable, row_starts
from resprout.tables.table import aligned_empty, block_rows, row_blocks
from resprout.tables.update import Update


class PackedTable(SlotTable):
    """A table with a fixed number of slots; the layout in memory is in docs/packed-rows.md."""

    storage = "packed"
    _rows: PackedRows

    def __init__(self, shape: Shape, rows: PackedRows, backend: Backend) -> None:
        self._begin_slots(shape, rows, backend)

    @classmethod
    def start(
        cls, shape: Shape, slots: int, start: Start, backend: Backend, scores: ScoreBlocks | None = None
    ) -> "PackedTable":
        """A table with exactly `slots` slots, with starting values; no dense table is made.

        The slots lie where `scores` are largest, fewer if fewer are not 0; at random positions without them.
        """
        mask = no_positions(shape)
        backend.choose_positions(scores or random_scores(shape, start.mask_key(shape.name), backend), slots, mask)
        starts = row_starts(np.bitwise_count(mask).sum(1, dtype=np.int64), start_bytes(slots) > 4)
        rows = PackedRows(mask, starts, np.empty(starts[-1], np.float32))
        uniform, scale = start.spread(shape)
        backend.fill_packed(start.key(shape.name), uniform, scale, rows, shape.width)
        return cls(shape, rows, backend)

    @property
    def stored(self) -> PackedRows:
        """See `Table.stored`."""
        return self._rows

    def update(self, by: Update) -> None:
        """See `Table.update`."""
        for first, gradients in self.gradient_blocks():
            self.backend.adam_packed(self._rows, *self.moments, first, gradients, by.adam)

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`."""
        mask, starts, values = self._rows
        for first, block in weights():
            values[starts[first] : starts[first + len(block)]] = block[flags(mask[first : first + len(block)], block)]

    def apply_moves(self, toggle: Mask) -> None:
        """Drops the slots and grows the positions marked in `toggle`, which is used up.

        In place where as many grow as go; where slots come from another table, one array at a time is made anew.
        """
        backend, moments = self.backend, self.moments
        kept = backend.drop_slots(self._rows, moments, toggle)
        slots = kept + int(np.bitwise_count(toggle).sum(dtype=np.int64))
        if slots != len(self._rows.values):
            self._rows = self._rows._replace(values=_resized(self._rows.values, kept, slots))
            self._moments = moments = _resized(moments[0], kept, slots), _resized(moments[1], kept, slots)
        backend.grow_slots(self._rows, moments, toggle)


def move_slots(tables: Sequence[PackedTable], scores: Sequence[ScoreBlocks], count: int) -> int:
    """How many slots moved: the `count` smallest are dropped and as many grown where scores are largest.

    Over all `tables` together; see `contract.Backend.choose_moves`.
    """
    toggles = tables[0].backend.choose_moves([table.stored for table in tables], scores, count)
    moved = 0
    for table, toggle in zip(tables, toggles, strict=True):
        moved += int(np.bitwise_count(toggle & table.stored.mask).sum(dtype=np.int64))
        table.apply_moves(toggle)
    return moved


def no_positions(shape: Shape) -> Mask:
    """A mask of which no bit is set."""
    pieces = shape.rows, -(-mask_row_bytes(shape.width) // 2)
    return np.zeros(pieces, np.uint8) if shape.width <= 8 else np.zeros(pieces, np.uint16)


def flags(mask: Mask, block: F32) -> NDArray[np.bool_]:
    """The mask of whole rows as a bool for each of their positions."""
    bits = np.unpackbits(mask.view(np.uint8), axis=1, bitorder="little", count=block.shape[1])
    return bits.astype(bool)


def random_scores(shape: Shape, key: int, backend: Backend) -> ScoreBlocks:
    """Uniform scores for every position of a table, the same for the same key, made block by block."""
    block = aligned_empty(block_rows(shape), shape.width)

    def blocks() -> Iterator[tuple[int, F32]]:
        for first in range(0, shape.rows, len(block)):
            out = block[: shape.rows - first]
            backend.random_scores(key, first, out)
            yield first, out

    return blocks


def column_scores(shape: Shape) -> ScoreBlocks:
    """Scores that are the larger the earlier the column."""
    block = np.tile(np.arange(shape.width, 0, -1, dtype=np.float32), (block_rows(shape), 1))
    return lambda: ((first, block[: last - first]) for first, last in row_blocks(shape))


def mostly_column_scores(shape: Shape, slots: int, key: int, backend: Backend) -> ScoreBlocks:
    """Scores whose `slots` largest are the first columns of all rows, for nine tenths of them, and random positions.

    Where scores of a model are products of two tables, a column that is empty in both has no gradient and stays empty.
    """
    whole = int(0.9 * slots / shape.rows)
    uniform = random_scores(shape, key, backend)

    def blocks() -> Iterator[tuple[int, F32]]:
        for first, block in uniform():
            block[:, :whole] = 2  # above all the others, which are below 1
            yield first, block

    return blocks


def move_key(seed: int, table: str, step: int) -> int:
    """64-bit key of the random scores of the update at `step`."""
    return stream_key(seed, "grow", table, step) & (2**64 - 1)


def _resized(array: F32, kept: int, size: int) -> F32:
    new = np.empty(size, np.float32)
    new[:kept] = array[:kept]
    return new
