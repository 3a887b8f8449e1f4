"""Running best-k lists, updated with one block of scores at a time: the definition, slow and obvious."""

import numpy as np
from numpy.typing import NDArray


def keep_best(
    scores: NDArray[np.float32],
    first_item: int,
    seen_starts: NDArray[np.int64],
    seen_items: NDArray[np.int32],
    best_scores: NDArray[np.float32],
    best_items: NDArray[np.int32],
) -> None:
    """Nothing; `best_scores` and `best_items` come to hold each user's k best of their old entries and the new block.

    An item goes before another when its score is higher or, at equal scores, when its number is lower. This orders all
    items, so how they are cut into blocks, and which block comes first, does not change the result.

    Args:
        scores: `[users, block]`, column j belonging to item `first_item + j`; -inf means that the item never enters.
        first_item: item number of column 0; no item may be shown twice.
        seen_starts: `[users + 1]`, where each user's stretch of `seen_items` begins and ends.
        seen_items: item numbers, sorted within a user; they never enter.
        best_scores: `[users, k]`, k at least 1; -inf to begin with, afterwards in no order that can be relied on.
        best_items: `[users, k]`, -1 to begin with.

    Raises:
        FloatingPointError: a score, be it of a seen item, is NaN; the lists are of no more use then.

    """
    not_numbers = np.count_nonzero(np.isnan(scores))
    if not_numbers:
        raise FloatingPointError(f"{not_numbers} of {scores.size} scores are NaN; only numbers can be ranked")
    k = best_scores.shape[1]
    items = np.arange(first_item, first_item + scores.shape[1], dtype=np.int32)
    for user in range(scores.shape[0]):
        seen = seen_items[seen_starts[user] : seen_starts[user + 1]]
        enters = (scores[user] > -np.inf) & ~np.isin(items, seen)
        user_scores = np.concatenate([best_scores[user], scores[user, enters]])
        user_items = np.concatenate([best_items[user], items[enters]])
        order = np.lexsort((user_items, -user_scores))[:k]
        best_scores[user] = user_scores[order]
        best_items[user] = user_items[order]


def sort_best(best_scores: NDArray[np.float32], best_items: NDArray[np.int32]) -> None:
    """Nothing; each user's list comes to be in descending order of score, ties lower item first, empty places last."""
    order = np.lexsort((best_items, -best_scores), axis=1)
    best_scores[:] = np.take_along_axis(best_scores, order, axis=1)
    best_items[:] = np.take_along_axis(best_items, order, axis=1)
