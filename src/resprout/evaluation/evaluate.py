"""Exact ranking of all items for many users in bounded memory, and the metrics of such rankings.

Users and items are taken in blocks; of a block of scores only what belongs to a user's best k outlives it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from resprout.errors import DataError, SettingsError, TrainingError
from resprout.evaluation.ranking import METRICS
from resprout.kernels.select import choose

F32Array = NDArray[np.float32]
I32Array = NDArray[np.int32]
I64Array = NDArray[np.int64]
KeepBest = Callable[[F32Array, int, I64Array, I32Array, F32Array, I32Array], None]
Queries = TypeVar("Queries")

# 1024 x 8192 scores are 32 MiB. All threads wait for each other twice in every block, which is slow where other work
# wants the cores: with the machine overloaded, all of Gowalla took 3 s in such blocks and 6 to 10 s in 512 x 4096.
USERS_PER_BLOCK = 1024
ITEMS_PER_BLOCK = 8192


class ItemLists(Protocol):
    """A list of items for every user, such as `resprout.data.histories.Histories`."""

    @property
    def starts(self) -> I64Array:
        """`[n_users + 1]`: user u has `items[starts[u]:starts[u + 1]]`."""
        ...

    @property
    def items(self) -> I32Array:
        """Item numbers, sorted within a user, none twice."""
        ...


class Scorer(Protocol[Queries]):
    """What can score all items for a user."""

    @property
    def n_items(self) -> int:
        """Number of items: they are 0 .. n_items - 1."""
        ...

    def queries(self, users: I32Array) -> Queries:
        """Whatever the scores of these users need, made once for all blocks of items."""
        ...

    def scores(self, queries: Queries, begin: int, end: int) -> F32Array:
        """Scores of items `begin .. end - 1`, C-contiguous `[users, end - begin]`; valid until the next call.

        -inf means that the item is not to be ranked.
        """
        ...


class Products:
    """Products of vectors in one buffer, which the next call overwrites."""

    # Not torch.mm or numpy.matmul: their threads go on spinning after a product and take the cores from keep_best. All
    # of Gowalla took 0.95 to 1.3 s with torch and 5.5 s with numpy, 0.2 s of it for keep_best on its own.

    def __init__(self) -> None:
        self._buffer = np.empty(0, dtype=np.float32)

    def of(self, queries: F32Array, vectors: F32Array) -> F32Array:
        """`[queries, vectors]`, from `[queries, width]` and `[vectors, width]`."""
        size = len(queries) * len(vectors)
        # A fresh array of this size would be given back to the system and paged in again for every block.
        if self._buffer.size < size:
            self._buffer = np.empty(size, dtype=np.float32)
        products = self._buffer[:size].reshape(len(queries), len(vectors))
        choose().backend.dot_scores(queries, vectors, products)
        return products


class DotScorer:
    """Scores that are dot products of a user's and an item's vector; not for use by two threads at once."""

    def __init__(self, user_vectors: F32Array, item_vectors: F32Array) -> None:
        if user_vectors.ndim != 2 or item_vectors.ndim != 2 or user_vectors.shape[1] != item_vectors.shape[1]:
            raise ValueError(
                f"vectors of shapes {user_vectors.shape} and {item_vectors.shape}: expected [n_users, width] and "
                "[n_items, width]"
            )
        if user_vectors.dtype != np.float32 or item_vectors.dtype != np.float32:
            raise ValueError(f"vectors of {user_vectors.dtype} and {item_vectors.dtype}: expected float32")
        self.n_items = len(item_vectors)
        self._user_vectors = np.asarray(user_vectors)
        self._item_vectors = np.ascontiguousarray(item_vectors)
        self._products = Products()

    def queries(self, users: I32Array) -> F32Array:
        """The users' vectors, `[users, width]`."""
        return np.ascontiguousarray(self._user_vectors[users])

    def scores(self, queries: F32Array, begin: int, end: int) -> F32Array:
        """Dot products `[users, end - begin]`, in a buffer that the next call overwrites."""
        return self._products.of(queries, self._item_vectors[begin:end])

    def item_vectors(self, begin: int, end: int) -> F32Array:
        """The vectors of items `begin .. end - 1`, `[end - begin, width]`; a view."""
        return self._item_vectors[begin:end]


def rank(
    scorer: Scorer[Queries],
    users: I32Array,
    seen: ItemLists | None,
    k: int,
    *,
    users_per_block: int = USERS_PER_BLOCK,
    items_per_block: int = ITEMS_PER_BLOCK,
    keep_best: KeepBest | None = None,
) -> tuple[I32Array, F32Array]:
    """Each user's best k items that are not in `seen`, best first, ties lower item first, and their scores.

    Both are `[users, k]`, with -1 and -inf where fewer than k items are left. The result is exact, and the same for all
    block sizes if the scores are, as those of `DotScorer` (a BLAS may round differently in differently shaped blocks).

    Memory, beside what the scorer holds: `8 * users * k` bytes of result; the scores of one block,
    `4 * users_per_block * items_per_block`; and about 24 bytes per seen item of one block's users.

    Raises:
        SettingsError: k or a block size is below 1.
        TrainingError: a score is NaN.

    """
    for name, value in (("k", k), ("users_per_block", users_per_block), ("items_per_block", items_per_block)):
        if value < 1:
            raise SettingsError(f"{name} = {value}: expected at least 1")
    backend = choose().backend
    keep_best = keep_best or backend.keep_best
    best_items = np.full((len(users), k), -1, dtype=np.int32)
    best_scores = np.full((len(users), k), -np.inf, dtype=np.float32)
    for rows in _blocks(len(users), users_per_block):
        block_users = users[rows]
        starts, items = lists_of(seen, block_users)
        queries = scorer.queries(block_users)
        for columns in _blocks(scorer.n_items, items_per_block):
            scores = scorer.scores(queries, columns.start, columns.stop)
            try:
                keep_best(scores, columns.start, starts, items, best_scores[rows], best_items[rows])
            except FloatingPointError as error:
                row, column = np.argwhere(np.isnan(scores))[0]
                raise TrainingError(
                    f"the score of user {block_users[row]} and item {columns.start + column} is NaN, expected a "
                    "number: the weights have diverged; train again with a lower learning rate"
                ) from error
    backend.sort_best(best_scores, best_items)
    return best_items, best_scores


@dataclass(frozen=True)
class UserMetrics:
    """Metrics of single users.

    users: int32 `[m]`, those with at least one held-out item, ascending.
    values: float64 `[m]` under names like "recall@20".
    """

    users: I32Array
    values: dict[str, NDArray[np.float64]]

    def means(self) -> dict[str, float]:
        """Mean over the users, under the same names."""
        return {name: float(values.mean()) for name, values in self.values.items()}


def evaluate(
    scorer: Scorer[Queries],
    held_out: ItemLists,
    seen: ItemLists | None,
    cutoffs: Sequence[int] = (10, 20, 50),
    metrics: Sequence[str] = tuple(METRICS),
    *,
    users_per_block: int = USERS_PER_BLOCK,
    items_per_block: int = ITEMS_PER_BLOCK,
    keep_best: KeepBest | None = None,
) -> dict[str, float]:
    """Mean of each metric over the users with a held-out item, named like "recall@20"; see `evaluate_per_user`."""
    return evaluate_per_user(
        scorer,
        held_out,
        seen,
        cutoffs,
        metrics,
        users_per_block=users_per_block,
        items_per_block=items_per_block,
        keep_best=keep_best,
    ).means()


def evaluate_per_user(
    scorer: Scorer[Queries],
    held_out: ItemLists,
    seen: ItemLists | None,
    cutoffs: Sequence[int] = (10, 20, 50),
    metrics: Sequence[str] = tuple(METRICS),
    *,
    users_per_block: int = USERS_PER_BLOCK,
    items_per_block: int = ITEMS_PER_BLOCK,
    keep_best: KeepBest | None = None,
) -> UserMetrics:
    """Metrics of each user with a held-out item: all items but the user's `seen` ones are ranked.

    A held-out item that is in `seen` too is never ranked and counts as missed.
    Memory: that of `rank` for `users_per_block` users, and 8 bytes per user, metric and cutoff.

    Raises:
        DataError: no user has a held-out item, a held-out item is unknown to the scorer, or `held_out` and `seen` have
            different numbers of users.
        SettingsError: a metric is unknown, a cutoff or block size below 1.
        TrainingError: a score is NaN.

    """
    _check_settings(cutoffs, metrics, users_per_block)
    _check_lists(held_out, seen, scorer.n_items)
    users = np.flatnonzero(np.diff(held_out.starts)).astype(np.int32)
    values = {f"{metric}@{k}": np.empty(len(users)) for metric in metrics for k in cutoffs}
    for rows in _blocks(len(users), users_per_block):
        starts, items = lists_of(held_out, users[rows])
        ranking, _ = rank(
            scorer,
            users[rows],
            seen,
            max(cutoffs),
            users_per_block=users_per_block,
            items_per_block=items_per_block,
            keep_best=keep_best,
        )
        hits = _hits(ranking, starts, items, scorer.n_items)
        for metric in metrics:
            for k in cutoffs:
                values[f"{metric}@{k}"][rows] = METRICS[metric](hits, np.diff(starts), k)
    return UserMetrics(users, values)


def _blocks(total: int, size: int) -> Iterator[slice]:
    for begin in range(0, total, size):
        yield slice(begin, min(begin + size, total))


def lists_of(lists: ItemLists | None, users: I32Array) -> tuple[I64Array, I32Array]:
    """Starts and items of these users' lists, laid one after another; of empty lists if there are none."""
    starts = np.zeros(len(users) + 1, dtype=np.int64)
    if lists is None:
        return starts, np.empty(0, dtype=np.int32)
    first = lists.starts[users]
    lengths = lists.starts[users + 1] - first
    np.cumsum(lengths, out=starts[1:])
    places = np.arange(starts[-1]) + np.repeat(first - starts[:-1], lengths)
    return starts, lists.items[places]


def _hits(ranking: I32Array, starts: I64Array, items: I32Array, n_items: int) -> NDArray[np.bool_]:
    """True where a ranked item is in its user's list of held-out items; `[users, k]`."""
    firsts = np.arange(len(ranking), dtype=np.int64) * n_items
    held_out = np.repeat(firsts, np.diff(starts)) + items
    wanted = firsts[:, None] + ranking
    places = np.minimum(np.searchsorted(held_out, wanted), len(held_out) - 1)
    found: NDArray[np.bool_] = held_out[places] == wanted
    return found & (ranking >= 0)  # an empty place, -1, looks like the last item of the user before


def _check_settings(cutoffs: Sequence[int], metrics: Sequence[str], users_per_block: int) -> None:
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise SettingsError(f"metrics = {unknown}: unknown; expected some of {', '.join(METRICS)}")
    if not cutoffs or min(cutoffs) < 1:
        raise SettingsError(f"cutoffs = {list(cutoffs)}: expected one or more numbers of at least 1")
    if users_per_block < 1:
        raise SettingsError(f"users_per_block = {users_per_block}: expected at least 1")


def _check_lists(held_out: ItemLists, seen: ItemLists | None, n_items: int) -> None:
    if not len(held_out.items):
        raise DataError(f"none of {len(held_out.starts) - 1} users has a held-out item: there is nothing to evaluate")
    if held_out.items.max() >= n_items:
        raise DataError(f"held-out item {held_out.items.max()}: the scorer knows items 0..{n_items - 1} only")
    if seen is not None and len(seen.starts) != len(held_out.starts):
        raise DataError(
            f"held-out lists of {len(held_out.starts) - 1} users, seen lists of {len(seen.starts) - 1}: both need one "
            "list, empty or not, for every user"
        )
