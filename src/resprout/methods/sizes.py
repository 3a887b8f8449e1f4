"""What searches for the size of each row share: how rows are made of pieces, and how popularity speaks for a size."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn import functional

from resprout.budget import Layout, MemoryUse
from resprout.methods import method
from resprout.methods.method import Allowance, Stage, first_left, needed
from resprout.tables.mixed import MixedTable
from resprout.tables.table import Table

POPULARITY_WIDTH, HIDDEN_WIDTH = 32, 512
_EPSILON = 1e-5


class SearchOptions(method.Options):
    """Options of a method that searches for sizes."""

    search_epochs: int | None = Field(
        default=None, ge=1, description="epochs of the search; training.epochs if not given"
    )
    scale_start: bool = Field(default=False, description="starting values of the final training times 1/sqrt(density)")


def search_then_train(
    finished: Sequence[Stage], allowance: Allowance, options: SearchOptions, name: str, *, within_budget: bool
) -> Stage | None:
    """A search over pieces of all sizes, then a training of rows that keep their first columns.

    within_budget: whether the search goes by the budget; if not, studies share it between budgets.
    """
    slots, widths = tuple(needed(allowance, name).slots(allowance.shapes, Layout(masked=False))), allowance.widths
    aim, epochs = slots if within_budget else (), options.search_epochs
    search = Stage("search", "mixed", widths, aim, deployed=False, judged=False, epochs=epochs)
    train = Stage("train", "prefix", widths, slots, options.scale_start, mask_from="search")
    return first_left(finished, search, train)


def mixed(tables: Mapping[str, Table]) -> dict[str, MixedTable]:
    """The tables of a search."""
    return {name: table for name, table in tables.items() if isinstance(table, MixedTable)}


def memory_of(network: nn.Module) -> MemoryUse:
    """Weights of the search's own, their gradients and moments."""
    trained = sum(weights.numel() for weights in network.parameters() if weights.requires_grad)
    kept = sum(weights.numel() for weights in network.parameters() if not weights.requires_grad)
    return MemoryUse({"search_network": 16 * trained + 4 * kept})


class Standardised(nn.Module):
    """Batch normalisation by all rows that it is given (Ioffe & Szegedy 2015, algorithm 1), one row too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # from 1, so that all vectors of a network start at 0
        self.gain, self.shift = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows `[any, width]` with mean 0 and variance 1 by column, then scaled and shifted."""
        if len(rows) == 1:  # which torch refuses
            return 0 * rows + self.shift
        return functional.batch_norm(rows, None, None, 1 + self.gain, self.shift, training=True, eps=_EPSILON)


class SoftMixer(nn.Module):
    """AutoEmb: each piece is brought to the full width, and a row is their weighted sum."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(size, sizes[-1]), Standardised(sizes[-1]), nn.Tanh()) for size in sizes
        )

    def candidates(self, pieces: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Each piece at full width, `[rows, width]`."""
        return [layer(piece) for layer, piece in zip(self.layers, pieces, strict=True)]

    def forward(self, pieces: Sequence[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
        """See `tables.mixed.Mixer`."""
        return torch.stack([w[:, None] * c for w, c in zip(weights.T, self.candidates(pieces), strict=True)]).sum(0)


class ChainMixer(nn.Module):
    """ESAPN: a row has one piece, that its weights are 1 at, which layers widen from size to size."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(size, larger) for size, larger in pairwise(sizes))
        self.top = Standardised(sizes[-1])

    def forward(self, pieces: Sequence[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
        """See `tables.mixed.Mixer`."""
        rows = pieces[0]
        for k, layer in enumerate(self.layers, 1):
            # a row that is larger still takes this piece too, and loses it at its own
            rows = torch.where(weights[:, :k].sum(1, keepdim=True) > 0, layer(rows), pieces[k])
        return torch.tanh(self.top(rows))


class Policy(nn.Module):
    """From popularity and a state to logits: an embedding of log2 popularity, beside the state, through one layer.

    The embedding is read between two whole numbers, so that rows of about the same popularity are not all alike.
    """

    def __init__(self, most: int, state: int, choices: int) -> None:
        super().__init__()
        self.popularity = nn.Parameter(torch.zeros(int(np.log2(most + 1)) + 2, POPULARITY_WIDTH))
        self.of_popularity = Standardised(POPULARITY_WIDTH)
        self.layers = nn.Sequential(
            nn.Linear(POPULARITY_WIDTH + state, HIDDEN_WIDTH),
            Standardised(HIDDEN_WIDTH),
            nn.Tanh(),
            nn.Linear(HIDDEN_WIDTH, choices),
        )

    def forward(self, degrees: NDArray[np.int64], state: torch.Tensor) -> torch.Tensor:
        """Logits `[rows, choices]` for rows with so many interactions and in this state, `[rows, state]`."""
        place = torch.from_numpy(np.log2(degrees + 1).astype(np.float32))[:, None]
        below = place.long()[:, 0]
        embedded = torch.lerp(self.popularity[below], self.popularity[below + 1], place - place.floor())
        logits: torch.Tensor = self.layers(torch.cat([self.of_popularity(embedded), state], 1))
        return logits


def products_of_layers(network: Any) -> int:
    """Multiply-adds of a row through all layers of a network that it passes."""
    return sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Linear))
