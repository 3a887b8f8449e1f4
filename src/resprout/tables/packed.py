"""A table of which only the slots exist: mask bits, a start for each eight rows, one value and two moments a slot."""

from collections.abc import Iterator

import numpy as np

from resprout.budget import VALUE_BYTES, Shape, start_bytes
from resprout.kernels.contract import F32, Backend, Mask, PackedRows, ScoreBlocks, row_slots, starts_of
from resprout.tables.initial import Start
from resprout.tables.places import no_positions, random_scores, slots_in
from resprout.tables.slots import SlotTable
from resprout.tables.table import row_blocks
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
        starts = starts_of(row_slots(mask), start_bytes(slots) > 4)
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
        for first, block in weights():
            slots, where = slots_in(self._rows, first, block)
            self._rows.values[slots] = block[where]

    @property
    def mask(self) -> Mask:
        """See `SlotTable.mask`."""
        return self._rows.mask

    def moving_bytes(self, weighed: bool) -> int:
        """See `SlotTable.moving_bytes`: the mask of what changes, and what slots are worth, if not their weights."""
        return self._rows.mask.nbytes + VALUE_BYTES * self.slots * weighed

    def leaving(self, gradients: ScoreBlocks | None = None, floor: int = 0) -> PackedRows:
        """See `SlotTable.leaving`: any slot may go, but for those that the floor keeps."""
        if gradients is None and not floor:
            return self._rows
        worth = np.empty(self.slots, np.float32)
        for first, factors in gradients() if gradients else self._ones():
            slots, where = slots_in(self._rows, first, factors)
            worth[slots] = self._rows.values[slots] * factors[where]
            if floor:
                block = np.full(factors.shape, -1, np.float32)
                block[where] = np.abs(worth[slots])
                best = np.argpartition(block, -min(floor, self.shape.width), 1)[:, -floor:]
                np.put_along_axis(block, best, np.inf, 1)
                worth[slots] = block[where]
        return self._rows._replace(values=worth)

    def _ones(self) -> Iterator[tuple[int, F32]]:
        for first, last in row_blocks(self.shape):
            yield first, np.ones((last - first, self.shape.width), np.float32)

    def growing(self, scores: ScoreBlocks) -> ScoreBlocks:
        """See `SlotTable.growing`: a slot may grow anywhere."""
        return scores

    def apply_moves(self, toggle: Mask) -> None:
        """See `SlotTable.apply_moves`."""
        self._rows = self._moved(self._rows, toggle)
