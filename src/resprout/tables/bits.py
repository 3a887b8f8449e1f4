"""A table of rows of 1 to 8 bits a weight, rounded from a trained table, or trained as it is deployed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, Backend, BitRows, HalfRows, RowStep, bit_rows
from resprout.tables.initial import Start
from resprout.tables.quantised import WholeTable, as_halves
from resprout.tables.table import Table


class BitsTable(WholeTable):
    """Weights of few bits, and in training what they are rounded from: `unrounded`, float16 `[rows, width]`.

    bits, spread: of columns, see `contract.bit_rows`.

    All that reads the table reads the rounded weights; their gradients go to the others, as if nothing were rounded
    (Bengio et al. 2013, arXiv 1308.3432, section 4: the straight-through estimator).
    """

    storage = "bits"

    def __init__(
        self,
        shape: Shape,
        planes: NDArray[np.uint8],
        codes: NDArray[np.uint8],
        bits: NDArray[np.uint8],
        spread: F32,
        backend: Backend,
    ) -> None:
        self._begin(shape, backend)
        self.planes, self.codes, self.bits, self.spread = readable(planes), codes, bits, spread
        self._arrange()
        self._unrounded: NDArray[np.float16] | None = None
        self.reads_unrounded = False
        """Whether operations read what the weights are rounded from instead, as before rounding begins in training."""

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None, amount: int = 4) -> Self:  # noqa: ARG003
        """See `QuantisedTable.empty`; amount: bits of a weight."""
        planes, codes = no_planes(shape.rows, row_bytes(amount, shape.width))
        return cls(shape, planes, codes, *even(amount, shape.width), backend)

    @classmethod
    def start(cls, shape: Shape, start: Start, backend: Backend, amount: int = 4) -> Self:
        """See `WholeTable.start`; amount: as for `empty`."""
        table = cls.empty(shape, backend, amount=amount)
        table._unrounded = np.zeros((shape.rows, shape.width), np.float16)
        table.fill(start)
        return table

    def _arrange(self) -> None:
        """Takes note of what the planes mean from now on."""
        self._rounded = bit_rows(self.planes, self.codes, self.bits, self.spread)

    @property
    def stored(self) -> BitRows | HalfRows:
        """See `Table.stored`."""
        return HalfRows(self.unrounded.view(np.uint16)) if self.reads_unrounded else self._rounded

    @property
    def unrounded(self) -> NDArray[np.float16]:
        """What the weights are rounded from; the weights themselves at first, where they came from another table."""
        if self._unrounded is None:
            self._unrounded = as_halves(self.read_range(0, self.shape.rows))
        return self._unrounded

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        if "unrounded" in arrays and self._unrounded is None:
            self._unrounded = np.zeros((self.shape.rows, self.shape.width), np.float16)
        super().load_arrays(arrays)

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        # a table that is only rounded has nothing besides
        besides = {} if self._unrounded is None or not training else {"unrounded": self._unrounded}
        return super().arrays(training) | besides

    def _stored_arrays(self) -> dict[str, NDArray[Any]]:
        return {"planes": self.planes, "codes": self.codes}

    def _update(self, first: int, gradients: F32, step: RowStep) -> None:
        unrounded = HalfRows(self.unrounded.view(np.uint16))
        self.backend.update_bits(self._rounded, unrounded, self.row_moments, first, gradients, step)

    def _set(self, first: int, rows: F32) -> None:
        if self._unrounded is not None:
            halves = self._unrounded[first : first + len(rows)] = as_halves(rows)
            rows = halves.astype(np.float32)
        self.backend.round_bits(rows, first, self._rounded)


def row_bytes(bits: int, width: int) -> int:
    """Bytes of the planes of a row in which each weight has so many bits; eights of columns are not divided."""
    return bits * -(-width // 8)


def even(bits: int, width: int) -> tuple[NDArray[np.uint8], F32]:
    """Bits and spread of columns that are all alike."""
    return np.full(width, bits, np.uint8), np.ones(width, np.float32)


def no_planes(rows: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Planes of `size` bytes a row, and codes, of rows that are 0."""
    return np.zeros((rows, size), np.uint8), np.zeros(rows, np.uint8)


def readable(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same planes, where at least four bytes may be read, as kernels want it."""
    padding = max(0, 4 - planes.size)
    return np.pad(planes.reshape(-1), (0, padding))[: planes.size].reshape(planes.shape) if padding else planes


LOST = (1.0, 0.3634, 0.1188, 0.03744, 0.01154, 0.00349, 0.00104, 0.0003, 0.00009)
"""The share of a normal weight's variance that rounding to 0 to 8 bits loses (Max 1960, table 2)."""

# how plans call such storages
_BITS = {f"bits{bits}": bits for bits in range(1, 9)}
EMPTY: Mapping[str, Callable[..., BitsTable]] = {name: partial(BitsTable.empty, amount=n) for name, n in _BITS.items()}
START: Mapping[str, Callable[..., BitsTable]] = {name: partial(BitsTable.start, amount=n) for name, n in _BITS.items()}
