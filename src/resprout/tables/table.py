"""What a backbone, an optimizer and a checkpoint may do with a table, however it is stored."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resprout.budget import MemoryUse, Shape
from resprout.kernels.contract import F32, I32, Backend, Rows, ScoreBlocks
from resprout.tables.gradients import Gradient
from resprout.tables.update import Update

# A block of gradients should stay in the second-level caches between its making and its use: 1 MiB at width 64.
BLOCK_VALUES = 1 << 18


class Table(ABC):
    """An embedding table of `shape.rows` x `shape.width` float32 weights, with its Adam moments and pending gradients.

    The operations that a backbone may use are the functions of `tables.autograd`. Their gradients are not stored: each
    leaves a recipe in `pending`, from which blocks of rows are made in passing.
    """

    shape: Shape
    backend: Backend
    pending: list[Gradient]
    anchor: torch.Tensor
    """An empty tensor that requires a gradient: it ties the operations on this table into torch's graph."""

    def _begin(self, shape: Shape, backend: Backend) -> None:
        self.shape, self.backend, self.pending = shape, backend, []
        self.anchor = torch.empty(0, requires_grad=True)

    @property
    @abstractmethod
    def stored(self) -> Rows:
        """The rows as kernels take them."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Weights that exist."""

    @abstractmethod
    def update(self, by: Update) -> None:
        """An update with the sum of the pending gradients, which stay: Adam, where a table's kind has no other rule."""

    @abstractmethod
    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """What the table is made of, by kind: deployed parts, and with `training` the moments too."""

    @abstractmethod
    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes back what `arrays` gave; kinds that are missing stay as they are."""

    @abstractmethod
    def take_weights(self, weights: ScoreBlocks) -> None:
        """Sets the weights that exist to those at their positions in blocks of whole rows; moments are not touched."""

    def memory(self, training: bool) -> MemoryUse:
        """Bytes by kind that the table holds in training, or deployed."""
        return MemoryUse({kind: array.nbytes for kind, array in self.arrays(training).items()})

    def clear_gradient(self) -> None:
        """Forgets the pending gradients."""
        for gradient in self.pending:
            gradient.release()
        self.pending.clear()

    def gradient_blocks(self) -> Iterator[tuple[int, F32]]:
        """(first row, float32 `[some rows, width]`) of the sum of the pending gradients, from first row to last.

        Every block lies in the same memory: use it before asking for the next.
        """
        rows, width = self.shape.rows, self.shape.width
        block = aligned_empty(block_rows(self.shape), width)
        for first in range(0, rows, len(block)):
            out = block[: rows - first]
            if not self.pending:
                out[:] = 0
            for k, gradient in enumerate(self.pending):
                gradient.put(first, out, add=k > 0)
            yield first, out

    def squares(self) -> float:
        """The sum of squares of all weights that exist."""
        values = self.arrays(training=False)["values"].reshape(-1)
        return float(np.dot(values, values))

    def read(self, ids: I32) -> F32:
        """Rows `ids` as float32 `[ids, width]`, outside of torch's graph; IndexError for one that there is not."""
        if len(ids):
            self._check(int(ids.min()), int(ids.max()))
        out = aligned_empty(len(ids), self.shape.width)
        self.backend.read_rows(ids, self.stored, out)
        return out

    def read_range(self, first: int, last: int) -> F32:
        """Rows `first` to `last` as float32 `[last - first, width]`, outside of torch's graph.

        IndexError for rows that there are not.
        """
        if first < last:
            self._check(first, last - 1)
        out = aligned_empty(last - first, self.shape.width)
        self.backend.read_range(first, self.stored, out)
        return out

    def importance(self, first: int, last: int) -> F32:
        """What decides which weights of rows `first` to `last` are kept, the larger the better; never where it is 0."""
        return self.read_range(first, last)

    def _check(self, first: int, last: int) -> None:
        """Kernels do not: what they would read of other rows is other memory."""
        if not 0 <= first <= last < self.shape.rows:
            wrong = first if first < 0 else last
            raise IndexError(f"row {wrong} of table {self.shape.name!r}, which has {self.shape.rows}")


def block_rows(shape: Shape) -> int:
    """How many rows of a table are made at once where it is gone through block by block."""
    return min(shape.rows, max(1, BLOCK_VALUES // shape.width))


def row_blocks(shape: Shape) -> list[tuple[int, int]]:
    """First row of each of these blocks, and the first one after it."""
    step = max(1, block_rows(shape))
    return [(first, min(first + step, shape.rows)) for first in range(0, shape.rows, step)]


def aligned_empty(rows: int, width: int) -> F32:
    """An uninitialised float32 `[rows, width]` that begins on a cache line.

    NumPy aligns to 16 bytes: rows of 64 floats then straddle five lines instead of four, and hops are a third slower.
    """
    line = 64 // 4
    buffer = np.empty(rows * width + line, np.float32)
    skip = (-buffer.ctypes.data // 4) % line
    return buffer[skip : skip + rows * width].reshape(rows, width)
