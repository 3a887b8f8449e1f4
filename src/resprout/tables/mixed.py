"""A table whose rows are made of pieces of several sizes: what searches for a size of each row train."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resprout.budget import MemoryUse, Shape
from resprout.kernels.contract import F32, Backend, DenseRows
from resprout.tables.dense import DenseTable
from resprout.tables.initial import Start
from resprout.tables.table import aligned_empty
from resprout.tables.update import Update

Mixer = Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]
"""From pieces `[rows, size]`, one for each size, and weights `[rows, sizes]` to rows `[rows, width]`."""

_LEAST = np.float32(1e-30)


def sizes_of(width: int) -> tuple[int, ...]:
    """The sizes a row may have: its width, halved as long as two columns are left, smallest first."""
    sizes = [width]
    while sizes[-1] >= 4:
        sizes.append(sizes[-1] // 2)
    return tuple(reversed(sizes))


class MixedTable(DenseTable):
    """A piece of each size for each row, all side by side, and the rows as they are read, made anew after each update.

    values: float32 `[rows, sum of sizes]`. weights: float32 `[rows, sizes]`, what the mixer is given; both are the
    method's to set. chances: float32 `[rows, sizes]`, how likely a row is to need that size or a larger one.
    """

    storage = "mixed"

    def __init__(self, shape: Shape, values: F32, backend: Backend) -> None:
        super().__init__(shape, values, backend)
        self.sizes = sizes_of(shape.width)
        self.weights = np.zeros((shape.rows, len(self.sizes)), np.float32)
        self.chances = np.zeros_like(self.weights)
        self._mixer: Mixer | None = None
        self._read = aligned_empty(shape.rows, shape.width)
        self._read[:] = 0

    @classmethod
    def start(cls, shape: Shape, start: Start, backend: Backend) -> "MixedTable":
        """A table with starting values in all pieces; its rows are zeros until it has a mixer."""
        pieces = shape.narrowed(sum(sizes_of(shape.width)))
        values = aligned_empty(pieces.rows, pieces.width)
        backend.fill_dense(start.key(shape.name), *start.spread(pieces), 0, values)
        return cls(shape, values, backend)

    def mix_by(self, mixer: Mixer) -> None:
        """Makes rows by this mixer from now on."""
        self._mixer = mixer
        self.refresh()

    def refresh(self) -> None:
        """Makes the rows anew, after pieces, weights or the mixer have changed."""
        with torch.no_grad():
            self._read[:] = self._mixed(self.pieces()).numpy()

    def pieces(self) -> tuple[torch.Tensor, ...]:
        """The pieces of all rows, `[rows, size]` for each size; views."""
        return torch.split(torch.from_numpy(self.values), list(self.sizes), 1)

    def whole_gradient(self) -> torch.Tensor:
        """The sum of the pending gradients of all rows, `[rows, width]`."""
        gradient = aligned_empty(self.shape.rows, self.shape.width)
        for first, block in self.gradient_blocks():
            gradient[first : first + len(block)] = block
        return torch.from_numpy(gradient)

    @property
    def stored(self) -> DenseRows:
        """See `Table.stored`: the rows as they are read."""
        return DenseRows(self._read)

    @property
    def slots(self) -> int:
        """See `Table.slots`: the weights of all pieces."""
        return self.values.size

    def importance(self, first: int, last: int) -> F32:
        """See `Table.importance`: how likely a row is to need the column; it falls along a row."""
        chances = np.maximum(self.chances[first:last], _LEAST)
        return chances[:, np.searchsorted(self.sizes, np.arange(self.shape.width), side="right")]

    def update(self, by: Update) -> None:
        """See `Table.update`: of the pieces; the gradients of the mixer, a network, are added to its own.

        The rows as they are read stay: they are made anew by `refresh`.
        """
        pieces = [piece.detach().requires_grad_() for piece in self.pieces()]
        torch.autograd.backward(self._mixed(pieces), self.whole_gradient())
        gradients = [torch.zeros_like(piece) if piece.grad is None else piece.grad for piece in pieces]
        self.backend.adam_dense(self.values, *self.moments, torch.cat(gradients, 1).numpy(), by.adam)

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        return super().arrays(training) | {"weights": self.weights, "chances": self.chances}

    def memory(self, training: bool) -> MemoryUse:
        """See `Table.memory`: with the rows as they are read, and in training with the gradients of rows and pieces."""
        mixed = {"mixed_rows": self._read.nbytes}
        gradients = {"gradients": self._read.nbytes + self.values.nbytes}
        return super().memory(training) + MemoryUse(mixed | gradients if training else mixed)

    def _mixed(self, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
        if self._mixer is None:
            raise RuntimeError("a mixed table has no rows before it is told how to mix its pieces")
        return self._mixer(pieces, torch.from_numpy(self.weights))
