"""The protocol of NCF (He et al., WWW 2017, section 4.1): each held-out item among random ones, not among all.

Its figures are far above those of a full ranking and can order models otherwise (Krichene and Rendle, KDD 2020), so
their names begin with `sampled_`: for comparison with papers that report them.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from resprout.errors import DataError, TrainingError
from resprout.evaluation.evaluate import ITEMS_PER_BLOCK, ItemLists, Scorer
from resprout.rng import stream

F32Array = NDArray[np.float32]
I32Array = NDArray[np.int32]
METRICS = ("sampled_hr", "sampled_ndcg")
_USERS_PER_BLOCK = 256


@runtime_checkable
class ScoresPairs(Protocol):
    """A scorer to which a few items of a user cost much less than all."""

    def scores_of(self, queries: Any, items: I32Array) -> F32Array:
        """Scores `[users, n]` of items `[users, n]`."""
        ...


def evaluate_sampled(
    scorer: Scorer[Any], held_out: ItemLists, known: ItemLists, cutoffs: Sequence[int], negatives: int, seed: int
) -> dict[str, float]:
    """Mean over users of the mean over their held-out items of `sampled_hr@k` and `sampled_ndcg@k`.

    Each held-out item is ranked among `negatives` items that its user neither knows nor has held out, drawn without
    repetition, by the seed alone. An item of equal score counts as ranked before it. Raises DataError if nothing is
    held out or a user has fewer items left, TrainingError for a score that is NaN.
    """
    users = np.flatnonzero(np.diff(held_out.starts)).astype(np.int32)
    if not len(users):
        raise DataError("no user has a held-out item: there is nothing to evaluate")
    # lists of like lengths side by side: a block is filled up to its longest
    users = users[np.argsort(np.diff(held_out.starts)[users], kind="stable")]
    sums = {f"{metric}@{k}": 0.0 for metric in METRICS for k in cutoffs}
    for first in range(0, len(users), _USERS_PER_BLOCK):
        block = users[first : first + _USERS_PER_BLOCK]
        drawn = np.stack([_draw(int(user), held_out, known, scorer.n_items, negatives, seed) for user in block])
        counts = np.diff(held_out.starts)[block]
        asked = np.zeros((len(block), counts.max()), np.int32)
        is_asked = np.arange(asked.shape[1]) < counts[:, None]
        asked[is_asked] = np.concatenate([_items(held_out, int(user)) for user in block])
        scores = _scores(scorer, block, np.concatenate([asked, drawn], 1))
        if np.isnan(scores).any():
            raise TrainingError("a score is NaN: the model cannot be ranked")
        of_asked, of_drawn = scores[:, : asked.shape[1]], scores[:, asked.shape[1] :]
        before = (of_drawn[:, None] >= of_asked[:, :, None]).sum(2)
        for k in cutoffs:
            hits = (before < k) & is_asked
            sums[f"sampled_hr@{k}"] += (hits.sum(1) / counts).sum()
            sums[f"sampled_ndcg@{k}"] += ((hits / np.log2(before + 2.0)).sum(1) / counts).sum()
    return {name: float(value / len(users)) for name, value in sums.items()}


def _items(lists: ItemLists, user: int) -> I32Array:
    return lists.items[lists.starts[user] : lists.starts[user + 1]]


def _draw(user: int, held_out: ItemLists, known: ItemLists, n_items: int, count: int, seed: int) -> I32Array:
    free = np.ones(n_items, np.bool_)
    free[_items(held_out, user)] = False
    free[_items(known, user)] = False
    items = np.flatnonzero(free).astype(np.int32)
    if len(items) < count:
        raise DataError(
            f"user row {user} has {len(items)} items left to draw from, {count} are asked for: "
            "give a smaller evaluation.sampled_negatives"
        )
    return stream(seed, "sampled evaluation", user).choice(items, count, replace=False)


def _scores(scorer: Scorer[Any], users: I32Array, items: I32Array) -> F32Array:
    """Scores `[users, n]` of items `[users, n]`."""
    queries = scorer.queries(users)
    if isinstance(scorer, ScoresPairs):
        return scorer.scores_of(queries, items)
    out = np.empty(items.shape, np.float32)
    for begin in range(0, scorer.n_items, ITEMS_PER_BLOCK):
        end = min(begin + ITEMS_PER_BLOCK, scorer.n_items)
        rows, columns = np.nonzero((items >= begin) & (items < end))
        out[rows, columns] = scorer.scores(queries, begin, end)[rows, items[rows, columns] - begin]
    return out
