"""Items that stand for those a user did not interact with, drawn uniformly."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from resprout.data.histories import Histories

I32 = NDArray[np.int32]


def draw_negatives(random: np.random.Generator, histories: Histories, users: I32) -> I32:
    """One item outside each user's history, uniform over those; int32 `[users]`.

    Drawn again until outside; a user who has seen all items gets any item, for there is no other.
    """
    n_items = histories.n_items
    items = random.integers(n_items, size=len(users), dtype=np.int32)
    pending = np.arange(len(users))
    full = histories.starts[users + 1] - histories.starts[users] >= n_items
    while True:
        pending = pending[_seen(histories.starts, histories.items, users[pending], items[pending]) & ~full[pending]]
        if len(pending) == 0:
            return items
        items[pending] = random.integers(n_items, size=len(pending), dtype=np.int32)


def draw_several(random: np.random.Generator, histories: Histories, users: I32, count: int) -> I32:
    """`count` items outside each user's history, as `draw_negatives`; int32 `[users, count]`."""
    return draw_negatives(random, histories, np.repeat(users, count)).reshape(len(users), count)


def draw_any(random: np.random.Generator, histories: Histories, users: I32, count: int) -> I32:
    """`count` items for each user, of the user's history or not; int32 `[users, count]`."""
    return random.integers(histories.n_items, size=(len(users), count), dtype=np.int32)


def draw_shared(random: np.random.Generator, histories: Histories, users: I32, count: int) -> I32:  # noqa: ARG001
    """`count` items that all users of the batch share; int32 `[count]`."""
    return random.integers(histories.n_items, size=count, dtype=np.int32)


@njit(cache=True)
def _seen(starts, seen, users, items):  # type: ignore[no-untyped-def]
    """Whether each item is in its user's (sorted) history."""
    found = np.zeros(users.size, np.bool_)
    for k in range(users.size):
        low, high = starts[users[k]], starts[users[k] + 1]
        while low < high:
            middle = (low + high) // 2
            if seen[middle] < items[k]:
                low = middle + 1
            else:
                high = middle
        found[k] = low < starts[users[k] + 1] and seen[low] == items[k]
    return found
