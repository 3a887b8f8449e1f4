from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, R, Success, nDCG
from numpy.typing import NDArray

from resprout.data.histories import Histories
from resprout.errors import DataError, SettingsError, TrainingError
from resprout.evaluation.evaluate import DotScorer, evaluate, evaluate_per_user, rank
from resprout.kernels.reference import top_k as reference
from resprout.rng import stream


class TableScorer:
    """Scores that are written down: `[users, items]`."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table
        self.n_items = table.shape[1]

    def queries(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        return self.table[users]

    def scores(self, queries: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(queries[:, begin:end])


def histories(lists: list[list[int]], n_items: int) -> Histories:
    users = np.repeat(np.arange(len(lists), dtype=np.int32), [len(items) for items in lists])
    items = np.array([item for items in lists for item in items], dtype=np.int32)
    return Histories.from_pairs(users, items, len(lists), n_items)


def random_histories(name: str, n_users: int, n_items: int, share: float) -> Histories:
    users, items = np.nonzero(stream(0, name).random((n_users, n_items)) < share)
    return Histories.from_pairs(users.astype(np.int32), items.astype(np.int32), n_users, n_items)


def every_user(n_users: int) -> NDArray[np.int32]:
    return np.arange(n_users, dtype=np.int32)


def test_known_ranking() -> None:
    table = np.array([[1, 5, 3, 4], [2, 2, 2, 2], [0, 1, 2, 3]], dtype=np.float32)
    seen = histories([[1], [], [0, 1, 3]], 4)
    items, scores = rank(TableScorer(table), np.array([2, 0, 1, 0], np.int32), seen, 3, users_per_block=3)
    assert items.tolist() == [[2, -1, -1], [3, 2, 0], [0, 1, 2], [3, 2, 0]]
    assert scores.tolist() == [[2, -np.inf, -np.inf], [4, 3, 1], [2, 2, 2], [4, 3, 1]]


def test_without_seen_lists_all_items_are_ranked() -> None:
    items, _ = rank(TableScorer(np.array([[1, 3, 2]], np.float32)), every_user(1), None, 5)
    assert items.tolist() == [[1, 2, 0, -1, -1]]


@pytest.mark.parametrize(("users_per_block", "items_per_block"), [(1, 1), (3, 63), (7, 65), (40, 4096), (64, 128)])
def test_the_result_does_not_depend_on_block_sizes(users_per_block: int, items_per_block: int) -> None:
    # Whole numbers make many equal scores.
    random = stream(0, "blocks")
    scorer = DotScorer(
        random.integers(-2, 3, (33, 4)).astype(np.float32), random.integers(-2, 3, (200, 4)).astype(np.float32)
    )
    seen = random_histories("blocks_seen", 33, 200, 0.1)
    blocks = {"users_per_block": users_per_block, "items_per_block": items_per_block}
    items, scores = rank(scorer, every_user(33), seen, 20, **blocks)
    expected_items, expected_scores = rank(scorer, every_user(33), seen, 20, keep_best=reference.keep_best)
    assert items.tolist() == expected_items.tolist()
    assert scores.tolist() == expected_scores.tolist()

    held_out = random_histories("blocks_held_out", 33, 200, 0.05)
    assert evaluate(scorer, held_out, seen, **blocks) == evaluate(scorer, held_out, seen)


def test_dot_scorer_equals_a_product_in_double_precision() -> None:
    random = stream(0, "dot")
    user_vectors = random.standard_normal((20, 64)).astype(np.float32)
    item_vectors = random.standard_normal((300, 64)).astype(np.float32)
    users = np.array([3, 19, 3, 0], np.int32)
    scorer = DotScorer(user_vectors, item_vectors)
    queries = scorer.queries(users)
    exact = user_vectors[users].astype(np.float64) @ item_vectors.T.astype(np.float64)
    for begin, end in ((0, 300), (299, 300), (17, 120)):
        scores = scorer.scores(queries, begin, end)
        assert scores.dtype == np.float32
        assert scores.flags.c_contiguous
        np.testing.assert_allclose(scores, exact[:, begin:end], atol=1e-4)


def test_dot_scorer_reads_memory_mapped_vectors(tmp_path: Path) -> None:
    vectors = stream(0, "mapped").standard_normal((30, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    items, _ = rank(DotScorer(mapped, mapped), every_user(30), None, 5)
    expected, _ = rank(DotScorer(vectors, vectors), every_user(30), None, 5)
    assert items.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("user_vectors", "item_vectors"),
    [
        (np.zeros((3, 4), np.float32), np.zeros((5, 3), np.float32)),
        (np.zeros(4, np.float32), np.zeros((5, 4), np.float32)),
        (np.zeros((3, 4)), np.zeros((5, 4), np.float32)),
    ],
)
def test_dot_scorer_refuses_vectors_that_do_not_fit(user_vectors: NDArray, item_vectors: NDArray) -> None:
    with pytest.raises(ValueError, match="expected"):
        DotScorer(user_vectors, item_vectors)


def test_known_metrics_of_users_with_held_out_items() -> None:
    table = np.tile(np.array([[6, 5, 4, 3, 2, 1]], dtype=np.float32), (4, 1))
    seen = histories([[0], [], [0, 1, 2], [1]], 6)
    # User 0 ranks 1 2 3 4 5, user 2 ranks 3 4 5; users 1 and 3 have nothing held out.
    held_out = histories([[2, 5], [], [3], []], 6)
    result = evaluate_per_user(TableScorer(table), held_out, seen, cutoffs=(1, 2, 6), metrics=("recall", "mrr", "hr"))
    assert result.users.tolist() == [0, 2]
    assert {name: values.tolist() for name, values in result.values.items()} == {
        "recall@1": [0, 1],
        "recall@2": [0.5, 1],
        "recall@6": [1, 1],
        "mrr@1": [0, 1],
        "mrr@2": [0.5, 1],
        "mrr@6": [0.5, 1],
        "hr@1": [0, 1],
        "hr@2": [1, 1],
        "hr@6": [1, 1],
    }
    means = evaluate(TableScorer(table), held_out, seen, cutoffs=(2,), metrics=("recall", "mrr"))
    assert means == {"recall@2": 0.75, "mrr@2": 0.75}


def test_an_empty_place_is_not_a_hit_of_the_user_before() -> None:
    # -1 in the second user's list is the number before its first item: the first user's last item, which is held out.
    held_out = histories([[2], [0]], 3)
    seen = histories([[], [0, 1, 2]], 3)
    result = evaluate_per_user(TableScorer(np.zeros((2, 3), np.float32)), held_out, seen, (3,), ("hr",))
    assert result.values["hr@3"].tolist() == [1, 0]


def test_real_data_against_trec_eval(real_data: Path) -> None:
    folder = real_data / "ml-1m"
    train, test = (read_lists(folder / name) for name in ("train.txt", "test.txt"))
    n_items = 1 + max(max(items, default=0) for items in train + test)
    seen, held_out = histories(train[:300], n_items), histories(test[:300], n_items)
    random = stream(0, "ml-1m")
    user_vectors = random.standard_normal((300, 16)).astype(np.float32)
    item_vectors = random.standard_normal((n_items, 16)).astype(np.float32)
    ours = evaluate_per_user(DotScorer(user_vectors, item_vectors), held_out, seen, cutoffs=(20,), users_per_block=77)

    scores = user_vectors @ item_vectors.T
    run = {}
    for user in range(300):
        left = np.setdiff1d(np.arange(n_items), seen.of(user))
        first = left[np.argsort(-scores[user, left])[:20]]
        run[str(user)] = {str(item): float(-place) for place, item in enumerate(first)}
    qrels = {str(user): {str(item): 1 for item in held_out.of(user)} for user in range(300)}
    names = {"recall@20": R @ 20, "ndcg@20": nDCG @ 20, "precision@20": P @ 20, "hr@20": Success @ 20, "mrr@20": RR}
    theirs = {
        (found.measure, found.query_id): found.value
        for found in ir_measures.pytrec_eval.iter_calc(names.values(), qrels, run)
    }
    for name, measure in names.items():
        expected = [theirs[measure, str(user)] for user in ours.users]
        assert np.mean(expected) > 0
        np.testing.assert_allclose(ours.values[name], expected, atol=1e-12)


def read_lists(path: Path) -> list[list[int]]:
    return [[int(item) for item in line.split()[1:]] for line in path.read_text().splitlines()]


def test_nan_scores_are_refused_by_name() -> None:
    table = np.zeros((5, 70), dtype=np.float32)
    table[4, 65] = np.nan
    with pytest.raises(TrainingError, match="user 4 and item 65 is NaN"):
        rank(TableScorer(table), every_user(5), None, 3, users_per_block=2, items_per_block=64)


@pytest.mark.parametrize("setting", [{"k": 0}, {"k": 1, "users_per_block": 0}, {"k": 1, "items_per_block": -1}])
def test_sizes_below_one_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="expected at least 1"):
        rank(TableScorer(np.zeros((1, 2), np.float32)), every_user(1), None, **setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"metrics": ("recall", "map")}, r"\['map'\]: unknown; expected some of recall, recall_capped, hr"),
        ({"cutoffs": (5, 0)}, r"cutoffs = \[5, 0\]"),
        ({"cutoffs": ()}, r"cutoffs = \[\]"),
        ({"users_per_block": 0}, "users_per_block = 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        evaluate(TableScorer(np.zeros((1, 2), np.float32)), histories([[0]], 2), None, **setting)


@pytest.mark.parametrize(
    ("held_out", "seen", "message"),
    [
        (histories([[], []], 3), None, "none of 2 users has a held-out item"),
        (histories([[3], []], 4), None, r"held-out item 3: the scorer knows items 0\.\.2"),
        (histories([[1], []], 3), histories([[0]], 3), "held-out lists of 2 users, seen lists of 1"),
    ],
)
def test_lists_that_do_not_fit_are_refused(held_out: Histories, seen: Histories | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(TableScorer(np.zeros((2, 3), np.float32)), held_out, seen)
