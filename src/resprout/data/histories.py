"""Which items each user has, as one compact sorted table (compressed sparse rows)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resprout.errors import DataError


@dataclass(frozen=True, eq=False)
class Histories:
    """The distinct items of every user: those of user `u` are `items[starts[u]:starts[u + 1]]`, ascending.

    `starts` is int64[n_users + 1], `items` int32[pairs]; both are row numbers, below `n_items`.
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    n_items: int

    @classmethod
    def from_pairs(cls, users: NDArray[np.int32], items: NDArray[np.int32], n_users: int, n_items: int) -> "Histories":
        """The histories of pairs in any order; repeated pairs count once.

        `users` and `items` are int32[n] row numbers. Raises DataError for a row number outside the given sizes.

        >>> Histories.from_pairs(np.array([1, 0, 1]), np.array([2, 1, 0]), n_users=2, n_items=3).of(1)
        array([0, 2], dtype=int32)
        """
        _check_rows(users, n_users, "user")
        _check_rows(items, n_items, "item")
        # One integer per pair, so that a plain (vectorised) sort orders by user, then item.
        keys = users.astype(np.int64) * n_items
        keys += items
        keys.sort()
        if len(keys):
            keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        starts = np.searchsorted(keys, np.arange(n_users + 1, dtype=np.int64) * n_items)
        keys -= np.repeat(np.arange(n_users, dtype=np.int64) * n_items, np.diff(starts))
        return cls(starts, keys.astype(np.int32), n_items)

    @property
    def n_users(self) -> int:
        """Number of users, those without an item included."""
        return len(self.starts) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64[n_users], the number of distinct items of each user."""
        return np.diff(self.starts)

    @property
    def users(self) -> NDArray[np.int32]:
        """int32[pairs], the user of each entry of `items`."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), self.counts)

    def __len__(self) -> int:
        return len(self.items)

    def of(self, user: int) -> NDArray[np.int32]:
        """int32[k], the items of one user, ascending; a view."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    def transposed(self) -> "Histories":
        """The users of every item, in the same form."""
        return Histories.from_pairs(self.items, self.users, self.n_items, self.n_users)


def _check_rows(rows: NDArray[np.int32], size: int, kind: str) -> None:
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        raise DataError(f"{kind} row numbers run from {rows.min()} to {rows.max()}, expected 0..{size - 1}")
