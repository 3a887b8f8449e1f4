"""Batches as functions of their place, and items drawn for them."""

from functools import partial

import numpy as np
import pytest

from resprout.data.batches import TripletBatches, UserBatches
from resprout.data.histories import Histories
from resprout.data.negatives import draw_any, draw_several, draw_shared


@pytest.fixture
def histories():
    users, items = np.nonzero(np.random.default_rng(0).random((30, 20)) < 0.5 * (np.arange(30) != 4)[:, None])
    return Histories.from_pairs(users.astype(np.int32), items.astype(np.int32), 30, 20)


def has(histories, users, items):
    return np.array([item in histories.of(user) for user, item in zip(users, items, strict=True)])


def test_an_epoch_has_each_user_with_a_history_once(histories):
    batches = UserBatches(histories, 7, 0)
    assert batches.per_epoch == 5
    users = np.concatenate([batches.batch(3, index).users for index in range(5)])
    assert sorted(users) == [user for user in range(30) if user != 4]
    assert users.tolist() != np.concatenate([batches.batch(4, index).users for index in range(5)]).tolist()
    np.testing.assert_array_equal(batches.batch(3, 2).users, UserBatches(histories, 7, 0).batch(3, 2).users)


def test_fresh_users_are_distinct_and_at_most_all(histories):
    batches = UserBatches(histories, 7, 0)
    assert len(set(batches.fresh(1, 2).users)) == 14
    assert len(set(batches.fresh(1, 9).users)) == 29
    np.testing.assert_array_equal(batches.fresh(1, 2).users, batches.fresh(1, 2).users)


@pytest.mark.parametrize("sampling", ["user", "interaction"])
def test_triplets_with_several_negatives(histories, sampling):
    batch = TripletBatches(histories, 64, 0, sampling, partial(draw_several, count=3)).batch(0, 0)
    assert batch.negatives.shape == (64, 3)
    assert has(histories, batch.users, batch.positives).all()
    assert not has(histories, np.repeat(batch.users, 3), batch.negatives.reshape(-1)).any()


def test_negatives_that_may_be_positives(histories):
    random, users = np.random.default_rng(0), np.zeros(500, np.int32)
    assert draw_any(random, histories, users, 4).shape == (500, 4)
    shared = draw_shared(random, histories, users, 300)
    assert shared.shape == (300,)
    assert set(shared) == set(range(20))
