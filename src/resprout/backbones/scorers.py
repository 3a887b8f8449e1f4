"""Scorers that backbones share.

A model trained on cosines is ranked by cosines: its items' vectors are brought to length 1. Those of users do not
matter.
"""

import numpy as np

from resprout.evaluation.evaluate import DotScorer, Products
from resprout.kernels.contract import F32, I32
from resprout.tables.table import Table

__all__ = ["DotScorer", "TableScorer"]


class TableScorer:
    """Products of user rows and item rows, read from the tables block by block: no table is ever whole in memory."""

    def __init__(self, users: Table, items: Table, cosine: bool = False) -> None:
        self._users, self._items, self._cosine, self._products = users, items, cosine, Products()
        self.n_items = items.shape.rows

    def queries(self, users: I32) -> F32:
        """The users' rows, `[users, width]`."""
        return self._users.read(np.ascontiguousarray(users))

    def scores(self, queries: F32, begin: int, end: int) -> F32:
        """Products `[users, end - begin]`, in a buffer that the next call overwrites."""
        return self._products.of(queries, self.item_vectors(begin, end))

    def item_vectors(self, begin: int, end: int) -> F32:
        """Vectors of items `begin` to `end`, `[end - begin, width]`."""
        rows = self._items.read_range(begin, end)
        return directions(rows) if self._cosine else rows


def directions(rows: F32) -> F32:
    """The rows at length 1, in place; rows of zeros stay."""
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return rows
