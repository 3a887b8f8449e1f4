"""NCF's protocol: against a count by hand, and against what a full ranking of the same candidates says."""

import numpy as np
import pytest

from resprout.data.histories import Histories
from resprout.errors import DataError, TrainingError
from resprout.evaluation.evaluate import DotScorer
from resprout.evaluation.sampled import _draw, evaluate_sampled

N_USERS, N_ITEMS = 300, 50


def lists(*of_users):
    users = np.repeat(np.arange(len(of_users)), [len(items) for items in of_users]).astype(np.int32)
    items = np.array([item for items in of_users for item in items], np.int32)
    return Histories.from_pairs(users, items, len(of_users), N_ITEMS)


class Fixed:
    """The same score of an item for everybody."""

    n_items = N_ITEMS

    def __init__(self, scores):
        self.of_items = np.asarray(scores, np.float32)

    def queries(self, users):
        return users

    def scores(self, queries, begin, end):
        return np.tile(self.of_items[begin:end], (len(queries), 1))


class Pairs(Fixed):
    """Refuses to score all items."""

    def scores(self, queries, begin, end):
        raise AssertionError

    def scores_of(self, queries, items):
        return self.of_items[items]


@pytest.mark.parametrize("kind", [Fixed, Pairs])
def test_a_count_by_hand(kind):
    """With all other items drawn, an item's place is that among unknown ones: above 40 are 9 of 50, less the known."""
    scorer = kind(np.arange(N_ITEMS))
    held_out, known = lists([40], [49, 10], []), lists([41, 42], [0], [5])
    found = evaluate_sampled(scorer, held_out, known, (5, 8, 20), 47, 0)
    before = [[7], [0, 38]]
    for k in (5, 8, 20):
        hits = [np.mean([place < k for place in places]) for places in before]
        gains = [np.mean([(place < k) / np.log2(place + 2) for place in places]) for places in before]
        assert found[f"sampled_hr@{k}"] == pytest.approx(np.mean(hits))
        assert found[f"sampled_ndcg@{k}"] == pytest.approx(np.mean(gains))


def test_a_model_that_scores_all_alike_gains_nothing():
    held_out = lists(*([u % N_ITEMS] for u in range(N_USERS)))
    known = lists(*([] for _ in range(N_USERS)))
    assert evaluate_sampled(Fixed(np.zeros(N_ITEMS)), held_out, known, (10,), 20, 0)["sampled_hr@10"] == 0


def test_random_scores_reach_what_chance_gives():
    random = np.random.default_rng(0)
    vectors = [random.normal(size=(rows, 8)).astype(np.float32) for rows in (N_USERS, N_ITEMS)]
    held_out = lists(*(random.choice(N_ITEMS, 2, replace=False) for _ in range(N_USERS)))
    known = lists(*([] for _ in range(N_USERS)))
    found = evaluate_sampled(DotScorer(*vectors), held_out, known, (10,), 19, 3)
    assert found["sampled_hr@10"] == pytest.approx(0.5, abs=0.06)
    assert found == evaluate_sampled(DotScorer(*vectors), held_out, known, (10,), 19, 3)
    assert found != evaluate_sampled(DotScorer(*vectors), held_out, known, (10,), 19, 4)


def test_draws_are_distinct_and_neither_known_nor_held_out():
    held_out, known = lists([3]), lists([1, 2])
    drawn = _draw(0, held_out, known, N_ITEMS, 47, 0)
    assert sorted(drawn) == [0, *range(4, N_ITEMS)]
    with pytest.raises(DataError, match=r"47 items left.*48 are asked.*sampled_negatives"):
        _draw(0, held_out, known, N_ITEMS, 48, 0)


def test_what_cannot_be_ranked_is_an_error():
    with pytest.raises(TrainingError, match="NaN"):
        evaluate_sampled(Fixed([np.nan] * N_ITEMS), lists([3]), lists([1]), (5,), 10, 0)
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate_sampled(Fixed(np.zeros(N_ITEMS)), lists([]), lists([1]), (5,), 10, 0)
