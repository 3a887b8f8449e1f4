"""A table stored whole: the reference that packed tables are compared with, and, made narrow, their rival."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, Backend, DenseRows, ScoreBlocks
from resprout.tables.initial import Start
from resprout.tables.table import Table, aligned_empty
from resprout.tables.update import Update


class DenseTable(Table):
    """All weights as float32 `[rows, width]`; with moments once it has been trained."""

    storage = "dense"

    def __init__(self, shape: Shape, values: F32, backend: Backend) -> None:
        self._begin(shape, backend)
        self.values = values
        self._moments: tuple[F32, F32] | None = None

    @classmethod
    def start(cls, shape: Shape, start: Start, backend: Backend) -> "DenseTable":
        """A table with starting values."""
        values = aligned_empty(shape.rows, shape.width)
        backend.fill_dense(start.key(shape.name), *start.spread(shape), 0, values)
        return cls(shape, values, backend)

    @property
    def stored(self) -> DenseRows:
        """See `Table.stored`."""
        return DenseRows(self.values)

    @property
    def slots(self) -> int:
        """See `Table.slots`."""
        return self.shape.weights

    @property
    def moments(self) -> tuple[F32, F32]:
        """Adam's two moments, shaped like the values; zero before the first step."""
        if self._moments is None:
            first, second = (aligned_empty(*self.values.shape) for _ in range(2))
            first[:], second[:] = 0, 0
            self._moments = first, second
        return self._moments

    def squares(self) -> float:
        """See `Table.squares`: of the rows as they are read, where these are made of the values."""
        values = self.stored.values.reshape(-1)
        return float(np.dot(values, values))

    def update(self, by: Update) -> None:
        """See `Table.update`."""
        moment_1, moment_2 = self.moments
        for first, gradients in self.gradient_blocks():
            its = slice(first, first + len(gradients))
            self.backend.adam_dense(self.values[its], moment_1[its], moment_2[its], gradients, by.adam)

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        arrays: dict[str, NDArray[Any]] = {"values": self.values}
        if training:
            arrays |= dict(zip(("moment_1", "moment_2"), self.moments, strict=True))
        return arrays

    def take_weights(self, weights: ScoreBlocks) -> None:
        """See `Table.take_weights`."""
        for first, block in weights():
            self.values[first : first + len(block)] = block

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        targets = self.arrays(training="moment_1" in arrays)
        for kind, array in arrays.items():
            targets[kind][:] = array
