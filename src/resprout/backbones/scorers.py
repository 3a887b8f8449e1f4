"""Scorers that backbones share."""

import numpy as np

from resprout.evaluation.evaluate import DotScorer, Products
from resprout.kernels.contract import F32, I32
from resprout.tables.table import Table

__all__ = ["DotScorer", "TableScorer"]


class TableScorer:
    """Products of user rows and item rows, read from the tables block by block: no table is ever whole in memory."""

    def __init__(self, users: Table, items: Table) -> None:
        self._users, self._items, self._products = users, items, Products()
        self.n_items = items.shape.rows

    def queries(self, users: I32) -> F32:
        """The users' rows, `[users, width]`."""
        return self._users.read(np.ascontiguousarray(users))

    def scores(self, queries: F32, begin: int, end: int) -> F32:
        """Products `[users, end - begin]`, in a buffer that the next call overwrites."""
        return self._products.of(queries, self._items.read_range(begin, end))

    def item_vectors(self, begin: int, end: int) -> F32:
        """Rows of items `begin` to `end`, `[end - begin, width]`."""
        return self._items.read_range(begin, end)
