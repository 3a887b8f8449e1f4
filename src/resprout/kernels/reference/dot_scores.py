"""Dot products of every query with every item: the definition."""

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.reference.products import dot


def dot_scores(queries: NDArray[np.float32], item_vectors: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Nothing; `out` [users, items] comes to hold `queries` [users, width] times `item_vectors` [items, width]."""
    for user, query in enumerate(queries):
        for item, vector in enumerate(item_vectors):
            out[user, item] = dot(query, vector)
