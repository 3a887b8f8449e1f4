"""What CDAE and MultVAE share: a user is a sum of rows of the items in a history, and items have rows for output."""

from typing import Any

import numpy as np
import torch

from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Products
from resprout.kernels.contract import F32, I32, I64
from resprout.tables.table import Table


def unit_weights(starts: I64) -> F32:
    """Weights that bring each list to length 1: 1/sqrt(its number of items)."""
    counts = np.diff(starts)
    return np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)


def places_of(starts: I64, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
    """Row of the batch and item of each entry of the lists, to index `[batch, items]` with."""
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))


def mean_items(histories: Histories, users: int) -> int:
    """Items that as many users have together, at the mean of those with a history: what a batch of them sums."""
    return users * len(histories) // max(1, int(np.count_nonzero(histories.counts)))


class AutoencoderScorer:
    """Scores `hidden @ output rows + bias`, with hidden states made from the users' histories."""

    def __init__(self, model: Any, output: Table, bias: torch.Tensor, known: Histories) -> None:
        self._model, self._output, self._known, self._products = model, output, known, Products()
        self._bias = bias.detach().numpy()
        self.n_items = output.shape.rows

    def queries(self, users: I32) -> F32:
        """The users' hidden states, `[users, width]`."""
        with torch.no_grad():
            hidden: F32 = self._model.hidden_of(self._known, np.ascontiguousarray(users)).numpy()
        return hidden

    def scores(self, queries: F32, begin: int, end: int) -> F32:
        """See `Scorer.scores`."""
        out = self._products.of(queries, self._output.read_range(begin, end))
        out += self._bias[begin:end]
        return out

    def item_vectors(self, begin: int, end: int) -> F32:
        """Output rows of items `begin` to `end`, `[end - begin, width]`."""
        return self._output.read_range(begin, end)
