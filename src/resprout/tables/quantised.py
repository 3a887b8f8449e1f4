"""Dense tables of fewer bits a weight, made from trained ones: they are read like others, and not trained."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, AdamStep, Backend, HalfRows, Int8Rows, ScoreBlocks
from resprout.tables.table import Table

_LARGEST_HALF = np.finfo(np.float16).max


class QuantisedTable(Table):
    """A table that takes its weights once, from blocks of float32 rows, and holds them in fewer bits."""

    @classmethod
    @abstractmethod
    def empty(cls, shape: Shape, backend: Backend) -> Self:
        """A table of zeros."""

    @abstractmethod
    def _set(self, first: int, rows: F32) -> None:
        """Takes rows from `first` on."""

    @property
    def slots(self) -> int:
        """See `Table.slots`."""
        return self.shape.weights

    def adam(self, step: AdamStep) -> None:
        """See `Table.adam`: there is none."""
        raise NotImplementedError("a quantised table is not trained")

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`: rounded."""
        for first, rows in weights():
            self._set(first, rows)

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        for kind, array in self.arrays(training=False).items():
            array[:] = arrays[kind]


class Int8Table(QuantisedTable):
    """A byte a weight and a float32 scale a row: the largest weight of a row is 127 steps from 0."""

    storage = "int8"

    def __init__(self, shape: Shape, values: NDArray[np.int8], scales: F32, backend: Backend) -> None:
        self._begin(shape, backend)
        self.values, self.scales = values, scales

    @classmethod
    def empty(cls, shape: Shape, backend: Backend) -> Self:
        """See `QuantisedTable.empty`."""
        return cls(shape, np.zeros((shape.rows, shape.width), np.int8), np.zeros(shape.rows, np.float32), backend)

    @property
    def stored(self) -> Int8Rows:
        """See `Table.stored`."""
        return Int8Rows(self.values, self.scales)

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        return {"values": self.values, "scales": self.scales}

    def _set(self, first: int, rows: F32) -> None:
        its = slice(first, first + len(rows))
        self.scales[its] = np.abs(rows).max(1, initial=0) / 127
        steps = np.maximum(self.scales[its], np.finfo(np.float32).tiny)[:, None]
        self.values[its] = np.rint(rows / steps).clip(-127, 127)


class Float16Table(QuantisedTable):
    """Two bytes a weight."""

    storage = "float16"

    def __init__(self, shape: Shape, values: NDArray[np.float16], backend: Backend) -> None:
        self._begin(shape, backend)
        self.values = values

    @classmethod
    def empty(cls, shape: Shape, backend: Backend) -> Self:
        """See `QuantisedTable.empty`."""
        return cls(shape, np.zeros((shape.rows, shape.width), np.float16), backend)

    @property
    def stored(self) -> HalfRows:
        """See `Table.stored`."""
        return HalfRows(self.values.view(np.uint16))

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        return {"values": self.values}

    def _set(self, first: int, rows: F32) -> None:
        self.values[first : first + len(rows)] = rows.clip(-_LARGEST_HALF, _LARGEST_HALF)
