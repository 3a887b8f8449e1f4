"""Running best-k lists, updated with one block of scores at a time: Numba, parallel over users.

A list is a binary heap stored back to front: its worst entry, the one to beat, is in the last place. Fresh lists and
lists in descending order are such heaps too, so a list may be sorted, or come from the reference, and go on growing.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

F32Array = NDArray[np.float32]
I32Array = NDArray[np.int32]
I64Array = NDArray[np.int64]

# Scores compared at once with the one to beat. Longer chunks are compared faster but hold such a score more often.
CHUNK = 64

# Ciura, "Best increments for the average case of Shellsort" (FCT 2001).
SORT_GAPS = (701, 301, 132, 57, 23, 10, 4, 1)


def keep_best(
    scores: F32Array,
    first_item: int,
    seen_starts: I64Array,
    seen_items: I32Array,
    best_scores: F32Array,
    best_items: I32Array,
) -> None:
    """Nothing; `best_scores` and `best_items` come to hold each user's k best of their old entries and the new block.

    Arguments, order and errors are those of `resprout.kernels.reference.top_k.keep_best`.
    """
    not_numbers = _update_lists(scores, first_item, seen_starts, seen_items, best_scores, best_items)
    if not_numbers:
        raise FloatingPointError(f"{not_numbers} of {scores.size} scores are NaN; only numbers can be ranked")


def sort_best(best_scores: F32Array, best_items: I32Array) -> None:
    """Nothing; each user's list comes to be in descending order of score, ties lower item first, empty places last."""
    _sort_lists(best_scores, best_items)


@njit(cache=True, nogil=True, parallel=True)
def _update_lists(
    scores: F32Array,
    first_item: int,
    seen_starts: I64Array,
    seen_items: I32Array,
    best_scores: F32Array,
    best_items: I32Array,
) -> int:
    not_numbers = 0
    for user in prange(scores.shape[0]):
        seen = seen_items[seen_starts[user] : seen_starts[user + 1]]
        not_numbers += _update_list(scores[user], first_item, seen, best_scores[user], best_items[user])
    return not_numbers


@njit(cache=True, nogil=True)
def _update_list(scores: F32Array, first_item: int, seen: I32Array, best_scores: F32Array, best_items: I32Array) -> int:
    worst = best_scores.size - 1
    not_numbers = 0
    for begin in range(0, scores.size, CHUNK):
        chunk = scores[begin : begin + CHUNK]
        if _count_not_below(chunk, best_scores[worst]) == 0:
            continue
        for column in range(chunk.size):
            score = chunk[column]
            if score < best_scores[worst]:
                continue
            item = first_item + begin + column
            if np.isnan(score):
                not_numbers += 1
            elif (score > best_scores[worst] or item < best_items[worst]) and not _contains(seen, item):
                _replace_worst(best_scores, best_items, score, item)
    return not_numbers


@njit(cache=True, nogil=True)
def _count_not_below(chunk: F32Array, bar: float) -> int:
    # "not below" instead of "at or above", so that NaN counts. The same loop with a constant length is what LLVM turns
    # into straight vector code.
    count = 0
    if chunk.size == CHUNK:
        for column in range(CHUNK):
            count += not (chunk[column] < bar)
    else:
        for column in range(chunk.size):
            count += not (chunk[column] < bar)
    return count


@njit(cache=True, nogil=True)
def _contains(seen: I32Array, item: int) -> bool:
    low, high = 0, seen.size
    while low < high:
        middle = (low + high) // 2
        if seen[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < seen.size and seen[low] == item


@njit(cache=True, nogil=True)
def _goes_before(score: float, item: int, other_score: float, other_item: int) -> bool:
    return score > other_score or (score == other_score and item < other_item)


@njit(cache=True, nogil=True)
def _replace_worst(best_scores: F32Array, best_items: I32Array, score: float, item: int) -> None:
    # With places counted from the end, the children of `place` are at 2 * place + 1 and one further.
    last = best_scores.size - 1
    place = 0
    while 2 * place + 1 <= last:
        child = 2 * place + 1
        left = last - child
        if child < last and _goes_before(
            best_scores[left], best_items[left], best_scores[left - 1], best_items[left - 1]
        ):
            child += 1
        worse = last - child
        if _goes_before(best_scores[worse], best_items[worse], score, item):
            break
        best_scores[last - place] = best_scores[worse]
        best_items[last - place] = best_items[worse]
        place = child
    best_scores[last - place] = score
    best_items[last - place] = item


@njit(cache=True, nogil=True, parallel=True)
def _sort_lists(best_scores: F32Array, best_items: I32Array) -> None:
    # Shell's sort, not taking the heap apart: any order is accepted, and a long list does not take quadratic time.
    for user in prange(best_scores.shape[0]):
        scores, items = best_scores[user], best_items[user]
        for gap in SORT_GAPS:
            for end in range(gap, scores.size):
                score, item = scores[end], items[end]
                place = end
                while place >= gap and _goes_before(score, item, scores[place - gap], items[place - gap]):
                    scores[place] = scores[place - gap]
                    items[place] = items[place - gap]
                    place -= gap
                scores[place] = score
                items[place] = item
