"""Metrics of rankings: one function each, a value per user.

All take `hits`, bool `[users, K]`: rankings, best item first, True where the item is held out; `relevant`, int64
`[users]`: how many items are held out, at least 1; and `k`, at most K: how many places of a ranking count. They give
float64 `[users]` in 0..1, and raise SettingsError for a `k` outside 1..K.

>>> hits = np.array([[True, False, True, False]])
>>> relevant = np.array([4])
>>> float(recall(hits, relevant, 4)[0]), float(precision(hits, relevant, 4)[0]), float(mrr(hits, relevant, 4)[0])
(0.5, 0.5, 1.0)
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from resprout.errors import SettingsError

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Metric = Callable[[Hits, Counts, int], Values]


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """Share of the held-out items that are in the first k places (He et al., LightGCN, SIGIR 2020)."""
    return _count(hits, k) / relevant


def recall_capped(hits: Hits, relevant: Counts, k: int) -> Values:
    """Recall that can reach 1 where more than k items are held out (Liang et al., MultVAE, WWW 2018, section 4.2)."""
    return _count(hits, k) / np.minimum(k, relevant)


def hit_rate(hits: Hits, relevant: Counts, k: int) -> Values:  # noqa: ARG001
    """1 where any held-out item is in the first k places, else 0."""
    return (_count(hits, k) > 0).astype(np.float64)


def ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """Discounted gain over that of the best ranking there is: binary gain, discount log2(place + 1), both cut at k.

    Source: Järvelin and Kekäläinen, ACM TOIS 2002, with the ideal ranking holding min(k, relevant) hits.
    """
    discounts: Values = 1 / np.log2(np.arange(2, k + 2))
    gain: Values = (_first(hits, k) * discounts).sum(axis=1)
    ideal: Values = np.cumsum(discounts)[np.minimum(k, relevant) - 1]
    return gain / ideal


def precision(hits: Hits, relevant: Counts, k: int) -> Values:  # noqa: ARG001
    """Share of the first k places that held-out items take."""
    return _count(hits, k) / k


def mrr(hits: Hits, relevant: Counts, k: int) -> Values:  # noqa: ARG001
    """1 / place of the first held-out item, 0 where none is in the first k places."""
    places: Values = _first(hits, k).argmax(axis=1) + 1.0
    return (_count(hits, k) > 0) / places


METRICS: dict[str, Metric] = {
    "recall": recall,
    "recall_capped": recall_capped,
    "hr": hit_rate,
    "ndcg": ndcg,
    "precision": precision,
    "mrr": mrr,
}


def _first(hits: Hits, k: int) -> Hits:
    if not 1 <= k <= hits.shape[1]:
        raise SettingsError(f"cutoff {k} does not fit rankings of {hits.shape[1]} places: use 1..{hits.shape[1]}")
    return hits[:, :k]


def _count(hits: Hits, k: int) -> Values:
    count: Values = _first(hits, k).sum(axis=1, dtype=np.float64)
    return count


def main_metrics(metrics: Iterable[str]) -> list[str]:
    """Recall (or sampled hit rate) and NDCG at 20, or else at the largest cutoff, among names like "recall@20"."""
    names = list(metrics)
    cutoffs = {int(name.partition("@")[2]) for name in names}
    cutoff = 20 if 20 in cutoffs else max(cutoffs, default=20)
    wanted = (f"{metric}@{cutoff}" for metric in ("recall", "ndcg", "sampled_hr", "sampled_ndcg"))
    return [name for name in wanted if name in names]
