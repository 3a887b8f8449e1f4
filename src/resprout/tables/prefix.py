"""A table of which each row has its first columns only, as many as suit it: no index but how many, and some starts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.budget import VALUE_BYTES, Shape, length_bytes, mask_row_bytes, start_bytes
from resprout.kernels.contract import (
    F32,
    Backend,
    Lengths,
    Mask,
    PackedRows,
    PrefixRows,
    ScoreBlocks,
    row_slots,
    slots_before,
    starts_of,
)
from resprout.tables.initial import Start
from resprout.tables.places import no_positions, prefixes, slots_in
from resprout.tables.slots import SlotTable
from resprout.tables.table import row_blocks
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
            lengths = row_slots(chosen)
        starts = starts_of(lengths, start_bytes(slots) > 4)
        rows = PrefixRows(_lengths(lengths, shape), starts, np.empty(starts[-1], np.float32))
        table = cls(shape, rows, backend)
        uniform, scale = start.spread(shape)
        backend.fill_packed(start.key(shape.name), uniform, scale, table._masked(), shape.width)
        return table

    @property
    def stored(self) -> PrefixRows:
        """See `Table.stored`."""
        return self._rows

    def update(self, by: Update) -> None:
        """See `Table.update`: as that of a packed table, which is made block by block."""
        for first, gradients in self.gradient_blocks():
            rows = self._masked(first, first + len(gradients))
            self.backend.adam_packed(rows, *self.moments, 0, gradients, by.adam)

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`."""
        for first, block in weights():
            slots, there = slots_in(self._rows, first, block)
            self._rows.values[slots] = block[there]

    @property
    def mask(self) -> Mask:
        """See `SlotTable.mask`; made anew."""
        return prefixes(self._rows.lengths, self.shape)

    def moving_bytes(self, weighed: bool) -> int:
        """See `SlotTable.moving_bytes`: the masks of what is there and of what changes, and what slots are worth."""
        return 2 * self.shape.rows * mask_row_bytes(self.shape.width) + VALUE_BYTES * self.slots

    def leaving(self, gradients: ScoreBlocks | None = None, floor: int = 0) -> PackedRows:
        """See `SlotTable.leaving`: a slot is worth as much as the best one from it to the end of its row.

        So those worth least are what goes if the smallest of all ends of rows goes again and again. What is worth the
        same differs in its last bits, so that no row can lose a slot before its last.
        """
        worth = np.empty(self.slots, np.float32)
        columns = np.arange(self.shape.width)
        for first, block in self._weights() if gradients is None else self._sensitivities(gradients):
            slots, there = slots_in(self._rows, first, block)
            bits = np.where(there, _orders(block) + columns, 0)
            reached = _values(_from_the_end(bits) - columns)
            reached[:, :floor] = np.inf
            worth[slots] = reached[there]
        return self._masked()._replace(values=worth)

    def _weights(self) -> Iterator[tuple[int, F32]]:
        for first, last in row_blocks(self.shape):
            yield first, self.read_range(first, last)

    def _sensitivities(self, gradients: ScoreBlocks) -> Iterator[tuple[int, F32]]:
        for first, block in gradients():
            yield first, self.read_range(first, first + len(block)) * block

    def growing(self, scores: ScoreBlocks) -> ScoreBlocks:
        """See `SlotTable.growing`: a position scores as the worst from the end of its row to it.

        So the best are what grows if again and again the best position next to an end does. A slot scores as the best
        from it on, and so, if it is to go, comes back before anything behind it grows.
        """
        columns = np.arange(self.shape.width)

        def blocks() -> Iterator[tuple[int, F32]]:
            for first, block in scores():
                there = columns < self._rows.lengths[first : first + len(block), None]
                bits = _orders(block) + columns
                reached = np.minimum.accumulate(np.where(there, np.iinfo(np.int64).max, bits), 1)
                kept = _from_the_end(np.where(there, bits, reached))
                yield first, _values(np.where(there, kept, reached) - columns)

        return blocks

    def apply_moves(self, toggle: Mask) -> None:
        """See `SlotTable.apply_moves`."""
        rows = self._moved(self._masked(), toggle)
        self._rows = PrefixRows(_lengths(row_slots(rows.mask), self.shape), rows.starts, rows.values)

    def _masked(self, first: int = 0, last: int | None = None) -> PackedRows:
        """Rows `first` to `last`, all by default, as packed ones; values are those of the whole table."""
        lengths, starts, values = self._rows
        its = lengths[first:last]
        begin = slots_before(self._rows, first)
        return PackedRows(prefixes(its, self.shape), starts_of(its, starts.itemsize > 4, begin), values)


def _lengths(counts: NDArray[Any], shape: Shape) -> Lengths:
    return counts.astype(np.uint8) if length_bytes(shape.width) == 1 else counts.astype(np.uint16)


def _orders(values: F32) -> NDArray[np.int64]:
    """Whole numbers in the order of magnitudes."""
    return np.abs(values).view(np.int32).astype(np.int64)


def _values(orders: NDArray[np.int64]) -> F32:
    """The magnitudes that have these numbers; 0 for those below it."""
    return np.maximum(orders, 0).astype(np.int32).view(np.float32)


def _from_the_end(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest of each and all behind it in its row."""
    return np.maximum.accumulate(numbers[:, ::-1], 1)[:, ::-1]
