"""Scorers that serving puts around a model's own."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from resprout.backbones.scorers import directions
from resprout.evaluation.evaluate import Products, Scorer
from resprout.kernels.contract import F32, I32


@runtime_checkable
class HasItemVectors(Protocol):
    """A scorer of a model in which every item is a vector."""

    n_items: int

    def item_vectors(self, begin: int, end: int) -> F32:
        """Vectors of items `begin .. end - 1`, float32 `[end - begin, width]`."""


class Among:
    """The scores of another scorer, with -inf for all items but the candidates."""

    def __init__(self, scorer: Scorer[Any], candidates: I32) -> None:
        self._scorer = scorer
        self.n_items = scorer.n_items
        self._allowed: NDArray[np.bool_] = np.zeros(self.n_items, np.bool_)
        self._allowed[candidates] = True

    def queries(self, users: I32) -> Any:
        """See `Scorer.queries`."""
        return self._scorer.queries(users)

    def scores(self, queries: Any, begin: int, end: int) -> F32:
        """See `Scorer.scores`."""
        scores = self._scorer.scores(queries, begin, end)
        return np.where(self._allowed[begin:end], scores, np.float32(-np.inf))


class Cosine:
    """Cosines of item vectors, "users" being items too; an item without any weight is at 0 to all others."""

    def __init__(self, vectors: HasItemVectors) -> None:
        self._vectors, self._products = vectors, Products()
        self.n_items = vectors.n_items

    def queries(self, users: I32) -> F32:
        """The items' vectors at length 1."""
        return np.concatenate([self._directions(int(item), int(item) + 1) for item in users])

    def scores(self, queries: F32, begin: int, end: int) -> F32:
        """Cosines `[items, end - begin]`, in a buffer that the next call overwrites."""
        return self._products.of(queries, self._directions(begin, end))

    def _directions(self, begin: int, end: int) -> F32:
        return directions(self._vectors.item_vectors(begin, end).copy())  # these may be a view of the model's own
