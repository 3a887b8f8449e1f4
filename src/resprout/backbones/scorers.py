"""Scorers that backbones share."""

import numpy as np
import torch

from resprout.evaluation.evaluate import DotScorer
from resprout.kernels.contract import F32, I32
from resprout.tables.table import Table

__all__ = ["DotScorer", "TableScorer"]


class TableScorer:
    """Products of user rows and item rows, read from the tables block by block: no table is ever whole in memory."""

    def __init__(self, users: Table, items: Table) -> None:
        self._users, self._items = users, items
        self.n_items = items.shape.rows

    def queries(self, users: I32) -> torch.Tensor:
        """The users' rows, `[users, width]`."""
        return torch.from_numpy(self._users.read(users))

    def scores(self, queries: torch.Tensor, begin: int, end: int) -> F32:
        """Products `[users, end - begin]`."""
        items = torch.from_numpy(self._items.read_range(begin, end))
        return np.asarray(torch.mm(queries, items.T).numpy())
