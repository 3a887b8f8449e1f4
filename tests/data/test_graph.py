"""Graphs against the same in dense matrices."""

import numpy as np
import pytest

from resprout.data.graph import item_neighbours, normalised_graph
from resprout.data.histories import Histories


@pytest.fixture
def histories():
    random = np.random.default_rng(3)
    users, items = np.nonzero(random.random((50, 40)) < 0.15 * (np.arange(40) > 2))  # items 0 to 2 are nobody's
    return Histories.from_pairs(users.astype(np.int32), items.astype(np.int32), 50, 40)


def dense(histories):
    matrix = np.zeros((histories.n_users, histories.n_items))
    matrix[histories.users, histories.items] = 1
    return matrix


def test_normalised_graph(histories):
    matrix = dense(histories)
    whole = np.block([[np.zeros((50, 50)), matrix], [matrix.T, np.zeros((40, 40))]])
    root = 1 / np.sqrt(np.maximum(whole.sum(1), 1))
    found = normalised_graph(histories)
    rows = np.repeat(np.arange(90), np.diff(found.starts))
    made = np.zeros((90, 90))
    made[rows, found.neighbours] = found.weights
    np.testing.assert_allclose(made, root[:, None] * whole * root, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 5, 60])
def test_item_neighbours(histories, count):
    matrix = dense(histories)
    shared = matrix.T @ matrix
    np.fill_diagonal(shared, 0)
    total = shared.sum(1)
    weights = shared * (np.sqrt(total + 1) / np.maximum(total, 1))[:, None] / np.sqrt(total + 1)
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    expected = np.take_along_axis(weights, order, 1)
    found = item_neighbours(histories, count)
    kept = expected.shape[1]
    np.testing.assert_allclose(found.weights[:, :kept], expected, rtol=1e-5)
    assert (found.weights[:, kept:] == 0).all()
    rows, places = np.nonzero(found.weights)
    np.testing.assert_allclose(weights[rows, found.items[rows, places]], found.weights[rows, places], rtol=1e-5)
    assert (found.items[rows, places] != rows).all()


def test_items_of_nobody_have_no_neighbours(histories):
    assert (item_neighbours(histories, 3).weights[:3] == 0).all()
