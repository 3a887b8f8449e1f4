"""The bipartite graph of users and items that LightGCN smooths over."""

from dataclasses import dataclass

import numpy as np
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
