"""A dense table behind a soft threshold that is learnt too: the search of PEP (Liu et al., ICLR 2021, eq. 4).

A weight is read as `sign(v) max(|v| - sigmoid(s), 0)`: what falls below the threshold is pruned. `s` is one number for
the table, a row or a column, and gets its own gradient.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.budget import MemoryUse, Shape
from resprout.kernels.contract import F32, Backend, DenseRows
from resprout.tables.dense import DenseTable
from resprout.tables.table import aligned_empty
from resprout.tables.update import Update

_LOGITS = ("logits", "logit_moment_1", "logit_moment_2")


class ThresholdedTable(DenseTable):
    """All weights, the thresholds, and the weights as they are read, which are made anew after each update."""

    storage = "thresholded"

    def __init__(self, shape: Shape, values: F32, backend: Backend) -> None:
        super().__init__(shape, values, backend)
        self.pull = 0.0
        """Weight of `s^2 / 2` in the loss: it pulls `s` to 0, the threshold to a half."""
        self._read = aligned_empty(shape.rows, shape.width)
        self.start_logits("table", -15.0)

    def start_logits(self, of: str, value: float) -> None:
        """Thresholds anew: `s = value` for the table, each row or each column."""
        rows, columns = (self.shape.rows if of == "row" else 1), (self.shape.width if of == "column" else 1)
        self._logits = np.full((rows, columns), value, np.float32)
        self._logit_moments = np.zeros_like(self._logits), np.zeros_like(self._logits)
        self._cut()

    @property
    def stored(self) -> DenseRows:
        """See `Table.stored`: the weights as they are read."""
        return DenseRows(self._read)

    @property
    def slots(self) -> int:
        """See `Table.slots`: the weights above their thresholds."""
        return int(np.count_nonzero(self._read))

    def importance(self, first: int, last: int) -> F32:
        """See `Table.importance`: by the distance to the threshold, below it too."""
        its = slice(first, last)
        scores: F32 = np.exp(np.abs(self.values[its]) - _sigmoid(self._logits[self._logits_of(its)]))
        return scores

    def update(self, by: Update) -> None:
        """See `Table.update`: of weights and thresholds."""
        moment_1, moment_2 = self.moments
        of_logits = self.pull * self._logits
        shared = tuple(axis for axis, size in enumerate(of_logits.shape) if size == 1)
        for first, gradients in self.gradient_blocks():
            its = slice(first, first + len(gradients))
            signs = np.sign(self._read[its])
            by_row = self._logits_of(its)
            slopes = _sigmoid(self._logits[by_row])
            slopes *= 1 - slopes
            taken = gradients * signs
            of_logits[by_row] -= slopes * taken.sum(shared, keepdims=True)
            self.backend.adam_dense(self.values[its], moment_1[its], moment_2[its], taken * signs, by.adam)
        self.backend.adam_dense(self._logits, *self._logit_moments, of_logits, by.adam)
        self._cut()

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        logits = dict(zip(_LOGITS, (self._logits, *self._logit_moments), strict=True))
        return super().arrays(training) | (logits if training else {"logits": self._logits})

    def memory(self, training: bool) -> MemoryUse:
        """See `Table.memory`: with the weights as they are read."""
        return super().memory(training) + MemoryUse({"thresholded": self._read.nbytes})

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        super().load_arrays({kind: array for kind, array in arrays.items() if kind not in _LOGITS})
        self._logits = arrays["logits"].copy()
        first, second = (arrays.get(kind, np.zeros_like(self._logits)).copy() for kind in _LOGITS[1:])
        self._logit_moments = first, second
        self._cut()

    def _logits_of(self, rows: slice) -> slice:
        """Where the logits of these rows lie: in rows of their own, or in the only one."""
        return rows if len(self._logits) > 1 else slice(0, 1)

    def _cut(self) -> None:
        np.abs(self.values, out=self._read)
        self._read -= _sigmoid(self._logits)
        np.maximum(self._read, 0, out=self._read)
        self._read *= np.sign(self.values)


def _sigmoid(logits: F32) -> F32:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
