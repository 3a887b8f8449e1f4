"""Tables whose bits lie where they tell most: columns turned to principal axes, each with as many bits as it deserves.

Scores that are products of rows, or of sums of rows, stay what they are if all rows are turned by one rotation. So they
may be turned to the principal axes of the tables, where few columns hold most of what scores differ by; those get many
bits, the next ones few, and the last none. This is how transform coding spends bits (Goyal 2001, IEEE Signal Processing
Magazine 18(5), "Theoretical foundations of transform coding"), and as there a column gets its next bit where that takes
most off the expected error.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, Backend
from resprout.tables.bits import LOST, BitsTable, no_planes
from resprout.tables.table import Table, row_blocks

F64 = NDArray[np.float64]
ReadRows = Callable[[int, int], F32]
"""Rows from a first one to before a last one, float32 `[rows, width]`."""

MOST_BITS = len(LOST) - 1
EMPHASIS = 1.2
"""Power of a column's share in scores by which bits are given. With 1, the expected error of scores would be least; but
ranks hang on the large differences (docs/decisions/0015)."""


CODE_BYTES = 1
"""What a row takes besides its planes."""


def table_bytes(width: int) -> int:
    """What a table takes besides its rows: bits and spread of its columns."""
    return 5 * width


class PlanesTable(BitsTable):
    """Weights of so many bytes a row, in which earlier columns may have more bits than later ones."""

    storage = "planes"

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None, amount: int = 8) -> Self:  # noqa: ARG003
        """See `QuantisedTable.empty`; amount: bytes of a row."""
        bits = allot(np.ones(shape.width), 8 * amount)
        return cls(shape, *no_planes(shape.rows, amount), bits, np.ones(shape.width, np.float32), backend)

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        super().load_arrays(arrays)
        self._arrange()

    def read_unrounded(self, first: int, last: int) -> F32:
        """What rows from `first` to before `last` are rounded from, float32 `[rows, width]`."""
        return self.unrounded[first:last].astype(np.float32)

    def turn(self, read: ReadRows, rotation: F64, bits: NDArray[np.uint8], spread: F64) -> None:
        """Takes these rows, turned, and rounds them, to so many bits a column; see `contract.bit_rows`."""
        self.bits[:], self.spread[:] = bits, np.where(spread > 0, spread, 1)
        self._arrange()
        for first, last in row_blocks(self.shape):
            self._set(first, (read(first, last).astype(np.float64) @ rotation).astype(np.float32))

    def _stored_arrays(self) -> dict[str, NDArray[Any]]:
        return super()._stored_arrays() | {"bits": self.bits, "spread": self.spread}


def turn(tables: Mapping[str, Table], weights_from: Mapping[str, Table] | None = None) -> None:
    """Turns all tables by one rotation to their principal axes, and allots the bits of their rows anew.

    Tables of planes, that is; others stay as they are. weights_from: tables, by the same names, whose rows they take;
    if none, they keep their own, as they were before they were rounded.
    """
    ours = {name: table for name, table in tables.items() if isinstance(table, PlanesTable)}
    reads = {
        name: weights_from[name].read_range if weights_from else table.read_unrounded for name, table in ours.items()
    }
    moments = {name: _second_moments(table.shape, reads[name]) for name, table in ours.items()}
    # tables of different size count alike
    together = sum(own / max(np.trace(own), np.finfo(np.float64).tiny) for own in moments.values())
    rotation = np.linalg.eigh(together)[1]
    spreads = {
        name: np.sqrt(np.einsum("ij,ik,kj->j", rotation, own, rotation).clip(0) / ours[name].shape.rows)
        for name, own in moments.items()
    }
    # what a column brings into products of two rows
    shares = np.prod(list(spreads.values()), axis=0) ** (2 / len(spreads))
    order = np.argsort(-shares, kind="stable")
    for name, table in ours.items():
        bits = allot(shares[order] ** EMPHASIS, 8 * table.planes.shape[1])
        table.turn(reads[name], rotation[:, order], bits, spreads[name][order])


def _second_moments(shape: Shape, read: ReadRows) -> F64:
    """Sums of products of columns over all rows, `[width, width]`."""
    sums = np.zeros((shape.width, shape.width))
    for its in row_blocks(shape):
        rows = read(*its).astype(np.float64)
        sums += rows.T @ rows
    return sums


def allot(shares: F64, total: int) -> NDArray[np.uint8]:
    """Bits for each column, by falling shares: one after the other where it takes most off the sum of squared errors.

    uint8 `[width]`, `total` in all or `MOST_BITS` each.
    """
    bits, errors = np.zeros(len(shares), np.uint8), np.square(shares)
    gains = -np.diff([*LOST, LOST[-1]])
    for _ in range(min(total, MOST_BITS * len(shares))):
        bits[np.where(bits < MOST_BITS, gains[bits] * errors, -1).argmax()] += 1
    return bits


# how plans call such storages
_SIZES = {f"planes{size}": size for size in range(1, 1025)}
EMPTY: Mapping[str, Callable[..., PlanesTable]] = {
    name: partial(PlanesTable.empty, amount=size) for name, size in _SIZES.items()
}
START: Mapping[str, Callable[..., PlanesTable]] = {
    name: partial(PlanesTable.start, amount=size) for name, size in _SIZES.items()
}
