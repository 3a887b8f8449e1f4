"""A table of which each row has its first columns only, as many as suit it: no index but where rows start."""

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape, start_bytes
from resprout.kernels.contract import LANES, Backend, Mask, PackedRows, PrefixRows, ScoreBlocks
from resprout.tables.initial import Start
from resprout.tables.packed import no_positions
from resprout.tables.slots import SlotTable, row_starts
from resprout.tables.update import Update


class PrefixTable(SlotTable):
    """A table with a fixed number of slots, the first of each row; the layout in memory is in docs/packed-rows.md."""

    storage = "prefix"
    _rows: PrefixRows

    def __init__(self, shape: Shape, rows: PrefixRows, backend: Backend) -> None:
        self._begin_slots(shape, rows, backend)

    @classmethod
    def start(
        cls, shape: Shape, slots: int, start: Start, backend: Backend, scores: ScoreBlocks | None = None
    ) -> "PrefixTable":
        """A table with exactly `slots` slots, with starting values.

        A row has as many as its share of the `slots` positions where `scores` are largest; without scores, as many as
        any other, but for one.
        """
        if scores is None:
            lengths = np.full(shape.rows, slots // shape.rows)
            lengths[: slots % shape.rows] += 1
        else:
            chosen = no_positions(shape)
            backend.choose_positions(scores, slots, chosen)
            lengths = np.bitwise_count(chosen).sum(1, dtype=np.int64)
        starts = row_starts(lengths, start_bytes(slots) > 4)
        rows = PrefixRows(starts, np.empty(starts[-1], np.float32))
        uniform, scale = start.spread(shape)
        packed = PackedRows(prefixes(lengths, shape), *rows)
        backend.fill_packed(start.key(shape.name), uniform, scale, packed, shape.width)
        return cls(shape, rows, backend)

    @property
    def stored(self) -> PrefixRows:
        """See `Table.stored`."""
        return self._rows

    def update(self, by: Update) -> None:
        """See `Table.update`: as that of a packed table, whose mask is made block by block."""
        starts, values = self._rows
        for first, gradients in self.gradient_blocks():
            its = starts[first : first + len(gradients) + 1]
            packed = PackedRows(prefixes(np.diff(its), self.shape), its, values)
            self.backend.adam_packed(packed, *self.moments, 0, gradients, by.adam)

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`."""
        starts, values = self._rows
        for first, block in weights():
            its = starts[first : first + len(block) + 1]
            values[its[0] : its[-1]] = block[np.arange(self.shape.width) < np.diff(its)[:, None]]


def prefixes(lengths: NDArray[np.integer], shape: Shape) -> Mask:
    """The mask of rows that have as many positions, the first ones."""
    mask = no_positions(Shape(shape.name, len(lengths), shape.width))
    for piece in range(mask.shape[1]):
        ones = np.clip(lengths - LANES * piece, 0, LANES).astype(np.uint32)
        mask[:, piece] = (np.uint32(1) << ones) - np.uint32(1)
    return mask
