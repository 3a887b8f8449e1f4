"""Tables of fewer bits a weight, made from trained ones, or, if they are whole, trained as they lie.

A whole one is trained with one second moment a row and none of first order; what an update comes to is rounded up or
down, so that steps too small to be seen add up (`contract.Backend.update_int8`). So a weight takes as much in training
as when it is deployed.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import (
    F32,
    ROW_SCALES,
    Backend,
    HalfRows,
    Int8Rows,
    PackedHalfRows,
    PackedInt8Rows,
    PackedRows,
    RowStep,
    ScoreBlocks,
    scale_codes,
    starts_of,
)
from resprout.tables.initial import Start
from resprout.tables.places import no_positions, slots_in
from resprout.tables.slots import RowsTable
from resprout.tables.table import Table, aligned_empty, block_rows, row_blocks
from resprout.tables.update import Update

_LARGEST_HALF = np.finfo(np.float16).max


class QuantisedTable(Table):
    """A table that takes its weights once, from blocks of float32 rows, and holds them in fewer bits."""

    @classmethod
    @abstractmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None) -> Self:
        """A table of zeros. A packed one has slots where `slots_from` has them, which is packed too; or none."""

    @abstractmethod
    def _set(self, first: int, rows: F32) -> None:
        """Takes rows from `first` on."""

    @property
    def slots(self) -> int:
        """See `Table.slots`."""
        return self.shape.weights

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`: rounded."""
        for first, rows in weights():
            self._set(first, rows)

    def squares(self) -> float:
        """See `Table.squares`."""
        return sum(float(np.square(self.read_range(*its)).sum(dtype=np.float64)) for its in row_blocks(self.shape))


class WholeTable(QuantisedTable):
    """A quantised table that is stored whole, and can be trained."""

    _moments_in: ClassVar[Any] = np.float32
    _row_moments: NDArray[Any] | None = None

    @classmethod
    def start(cls, shape: Shape, start: Start, backend: Backend) -> Self:
        """A table with starting values, rounded."""
        table = cls.empty(shape, backend)
        table.fill(start)
        return table

    def fill(self, start: Start) -> None:
        """Takes starting values."""
        shape = self.shape
        key, spread, block = start.key(shape.name), start.spread(shape), aligned_empty(block_rows(shape), shape.width)
        for first, last in row_blocks(shape):
            self.backend.fill_dense(key, *spread, first, block[: last - first])
            self._set(first, block[: last - first])

    @property
    def row_moments(self) -> NDArray[Any]:
        """The second moment of each row, float32 or the bits of bfloat16 `[rows]`; zero before the first step."""
        if self._row_moments is None:
            self._row_moments = np.zeros(self.shape.rows, self._moments_in)
        return self._row_moments

    def update(self, by: Update) -> None:
        """See `Table.update`: by row, rounded."""
        step = by.by_row(self.shape.name)
        for first, gradients in self.gradient_blocks():
            self._update(first, gradients, step)

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        return self._stored_arrays() | ({"row_moments": self.row_moments} if training else {})

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        for kind, array in self.arrays(training="row_moments" in arrays).items():
            array[:] = arrays[kind]

    @abstractmethod
    def _stored_arrays(self) -> dict[str, NDArray[Any]]: ...

    @abstractmethod
    def _update(self, first: int, gradients: F32, step: RowStep) -> None: ...


class Int8Table(WholeTable):
    """A byte a weight and one a row for its scale, of which no weight is more than 127 steps from 0.

    Rows are so short that their moments count: bfloat16, rounded by turns as the weights are.
    """

    storage = "int8"
    _moments_in = np.uint16

    def __init__(self, shape: Shape, values: NDArray[np.int8], codes: NDArray[np.uint8], backend: Backend) -> None:
        self._begin(shape, backend)
        self.values, self.codes = values, codes

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None) -> Self:  # noqa: ARG003
        """See `QuantisedTable.empty`."""
        return cls(shape, np.zeros((shape.rows, shape.width), np.int8), np.zeros(shape.rows, np.uint8), backend)

    @property
    def stored(self) -> Int8Rows:
        """See `Table.stored`."""
        return Int8Rows(self.values, self.codes)

    def _stored_arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values, "codes": self.codes}

    def _update(self, first: int, gradients: F32, step: RowStep) -> None:
        self.backend.update_int8(self.stored, self.row_moments, first, gradients, step)

    def _set(self, first: int, rows: F32) -> None:
        its = slice(first, first + len(rows))
        self.values[its], self.codes[its] = _integers(rows)


class Float16Table(WholeTable):
    """Two bytes a weight."""

    storage = "float16"

    def __init__(self, shape: Shape, values: NDArray[np.float16], backend: Backend) -> None:
        self._begin(shape, backend)
        self.values = values

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None) -> Self:  # noqa: ARG003
        """See `QuantisedTable.empty`."""
        return cls(shape, np.zeros((shape.rows, shape.width), np.float16), backend)

    @property
    def stored(self) -> HalfRows:
        """See `Table.stored`."""
        return HalfRows(self.values.view(np.uint16))

    def _stored_arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values}

    def _update(self, first: int, gradients: F32, step: RowStep) -> None:
        self.backend.update_half(self.stored, self.row_moments, first, gradients, step)

    def _set(self, first: int, rows: F32) -> None:
        self.values[first : first + len(rows)] = as_halves(rows)


class PackedQuantisedTable(RowsTable, QuantisedTable):
    """A packed table whose slots have fewer bits; it is not trained."""

    def __init__(self, shape: Shape, rows: PackedInt8Rows | PackedHalfRows, backend: Backend) -> None:
        self._begin(shape, backend)
        self._rows = rows

    def update(self, by: Update) -> None:
        """See `Table.update`: there is none."""
        raise NotImplementedError("a packed table of fewer bits is not trained")


class PackedInt8Table(PackedQuantisedTable):
    """Packed, with a byte a slot, and one a row for its scale."""

    storage = "packed_int8"
    _rows: PackedInt8Rows

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None) -> Self:
        """See `QuantisedTable.empty`."""
        mask, starts = _index(shape, slots_from)
        rows = PackedInt8Rows(mask, starts, np.zeros(starts[-1], np.int8), np.zeros(shape.rows, np.uint8))
        return cls(shape, rows, backend)

    @property
    def stored(self) -> PackedInt8Rows:
        """See `Table.stored`."""
        return self._rows

    def _set(self, first: int, rows: F32) -> None:
        slots, where = slots_in(self._rows, first, rows)
        integers, codes = _integers(np.where(where, rows, 0))
        self._rows.values[slots], self._rows.codes[first : first + len(rows)] = integers[where], codes


class PackedFloat16Table(PackedQuantisedTable):
    """Packed, with two bytes a slot."""

    storage = "packed_float16"
    _rows: PackedHalfRows

    @classmethod
    def empty(cls, shape: Shape, backend: Backend, slots_from: Table | None = None) -> Self:
        """See `QuantisedTable.empty`."""
        mask, starts = _index(shape, slots_from)
        return cls(shape, PackedHalfRows(mask, starts, np.zeros(starts[-1], np.uint16)), backend)

    @property
    def stored(self) -> PackedHalfRows:
        """See `Table.stored`."""
        return self._rows

    def _set(self, first: int, rows: F32) -> None:
        slots, where = slots_in(self._rows, first, rows)
        self._rows.bits[slots] = as_halves(rows)[where].view(np.uint16)


def _index(shape: Shape, slots_from: Table | None) -> tuple[NDArray[Any], NDArray[Any]]:
    if slots_from is None:
        return no_positions(shape), starts_of(np.zeros(shape.rows, np.int64))
    packed = slots_from.stored
    if not isinstance(packed, PackedRows):
        raise TypeError(f"the slots of a packed table cannot be those of a {type(slots_from).__name__}")
    return packed.mask, packed.starts


def _integers(rows: F32) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Rows as integers of -127 to 127, and the code of each row's scale; the nearest that there are to huge weights."""
    codes = np.minimum(scale_codes(np.abs(rows).max(1, initial=0), 127), len(ROW_SCALES) - 2)
    scales = np.where(codes > 0, ROW_SCALES[codes], 1)[:, None]
    return np.rint(rows / scales).clip(-127, 127).astype(np.int8), codes


def as_halves(rows: F32) -> NDArray[np.float16]:
    """The nearest finite float16 numbers."""
    return rows.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
