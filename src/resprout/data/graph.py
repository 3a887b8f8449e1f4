"""Graphs that models learn over: users and items (LightGCN), items and items (UltraGCN)."""

from dataclasses import dataclass

import numpy as np
from numba import get_num_threads, njit, prange
from numpy.typing import NDArray

from resprout.data.histories import Histories


@dataclass(frozen=True, eq=False)
class Graph:
    """A symmetric weighted graph in CSR form: users are nodes 0 to n_users - 1, items follow.

    starts: int64 `[nodes + 1]`; neighbours: int32 `[2 x interactions]`, ascending in each node; weights: float32.
    """

    starts: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    weights: NDArray[np.float32]


def normalised_graph(histories: Histories) -> Graph:
    """`D^-1/2 A D^-1/2` of the bipartite graph, without self-loops (LightGCN, He et al., SIGIR 2020, eq. 3).

    Built in CSR form directly: no matrix of users x items, no sort of edges.
    """
    by_item = histories.transposed()
    n_users = len(histories.starts) - 1
    user_degrees, item_degrees = np.diff(histories.starts), np.diff(by_item.starts)
    user_root, item_root = (1 / np.sqrt(np.maximum(degrees, 1)) for degrees in (user_degrees, item_degrees))
    of_users = np.repeat(user_root, user_degrees) * item_root[histories.items]
    of_items = np.repeat(item_root, item_degrees) * user_root[by_item.items]
    return Graph(
        starts=np.concatenate([histories.starts, histories.starts[-1] + by_item.starts[1:]]),
        neighbours=np.concatenate([histories.items + np.int32(n_users), by_item.items]),
        weights=np.concatenate([of_users, of_items]).astype(np.float32),
    )


def links_of_users(
    histories: Histories, users: NDArray[np.int64], trained: Histories
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Links from items to some users who are not in a graph, weighted as if they were: starts, items, weights.

    trained: the histories of the graph, whose items' degrees count.
    """
    counts = histories.counts[users]
    items = np.concatenate([np.zeros(0, np.int32), *(histories.of(int(user)) for user in users)])
    item_degrees = np.maximum(np.bincount(trained.items, minlength=trained.n_items), 1)
    weights = 1 / np.sqrt(np.repeat(counts, counts) * item_degrees[items])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]), items, weights.astype(np.float32)


@dataclass(frozen=True, eq=False)
class ItemNeighbours:
    """The items that are most often had by the same users, for each item.

    items: int32 `[n_items, count]`, best first; weights: float32 of the same shape, 0 where an item has fewer.
    """

    items: NDArray[np.int32]
    weights: NDArray[np.float32]


def item_neighbours(histories: Histories, count: int) -> ItemNeighbours:
    """The `count` neighbours of largest weight of each item (UltraGCN, Mao et al., CIKM 2021, eq. 12).

    With `G_ij` the users that items i and j share and `g_i` the sum of `G_ij` over j, the weight is
    `G_ij sqrt(g_i + 1) / (g_i sqrt(g_j + 1))`, as in the authors' code; but an item is not its own neighbour, as
    in their paper. Memory: the result, and `n_items` counters a thread.
    """
    by_item = histories.transposed()
    shared_with = np.add.reduceat(
        np.append(histories.counts[by_item.items] - 1.0, 0.0), np.minimum(by_item.starts[:-1], len(by_item.items))
    )
    shared_with[by_item.counts == 0] = 0
    discount = (1 / np.sqrt(shared_with + 1)).astype(np.float32)
    items = np.zeros((histories.n_items, count), np.int32)
    weights = np.zeros((histories.n_items, count), np.float32)
    lists = histories.starts, histories.items, by_item.starts, by_item.items
    _best_neighbours(*lists, discount, items, weights, get_num_threads())
    weights *= (np.sqrt(shared_with + 1) / np.maximum(shared_with, 1)).astype(np.float32)[:, None]
    return ItemNeighbours(items, weights)


@njit(parallel=True, cache=True)
def _best_neighbours(user_starts, user_items, item_starts, item_users, discount, items, weights, parts):  # type: ignore[no-untyped-def]
    """The neighbours of largest `G_ij * discount_j` into `items` and `weights`, ties to the lower item."""
    n_items = discount.size
    for part in prange(parts):
        shared = np.zeros(n_items, np.int32)
        touched = np.empty(n_items, np.int32)
        for i in range(part, n_items, parts):
            n_touched = 0
            for at in range(item_starts[i], item_starts[i + 1]):
                user = item_users[at]
                for place in range(user_starts[user], user_starts[user + 1]):
                    j = user_items[place]
                    if shared[j] == 0:
                        touched[n_touched] = j
                        n_touched += 1
                    shared[j] += 1
            for k in range(n_touched):
                j = touched[k]
                weight = shared[j] * discount[j]
                shared[j] = 0
                if j != i:
                    _insert(weight, j, weights[i], items[i])


@njit(cache=True, inline="always")
def _insert(weight, item, weights, items):  # type: ignore[no-untyped-def]
    """Puts the item into the list, largest weight first, if it belongs there; empty places have weight 0."""
    last = weights.size - 1
    if weight < weights[last] or (weight == weights[last] and item > items[last]):
        return
    place = last
    while place > 0 and (weight > weights[place - 1] or (weight == weights[place - 1] and item < items[place - 1])):
        weights[place], items[place] = weights[place - 1], items[place - 1]
        place -= 1
    weights[place], items[place] = weight, item
