"""What teachers teach, by hand."""

import numpy as np
import pytest
import torch

from resprout.methods import rkd, tkd


def test_position_weights_fall_and_sum_to_one():
    weights = rkd.position_weights(rkd.Options(items=3, spread=2.0))
    raw = np.exp([-0.5, -1.0, -1.5])
    np.testing.assert_allclose(weights, raw / raw.sum(), rtol=1e-6)


def test_an_item_weighs_by_how_far_below_its_place_it_is():
    """Of four random items none, one, two and all score above the teacher's first, second, third and fourth."""
    best, drawn = torch.tensor([[9.0, 3.5, 2.5, -1.0]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    weights = rkd.late_weights(best, drawn, n_items=101, sharpness=0.01)
    # ranks are estimated as 0, 25, 50 and 100; their places are 0, 1, 2 and 3
    np.testing.assert_allclose(weights, [np.tanh([0.0, 0.24, 0.48, 0.97])], rtol=1e-5)


def test_an_item_above_its_place_weighs_nothing():
    weights = rkd.late_weights(torch.tensor([[5.0, 5.0]]), torch.tensor([[1.0]]), n_items=50, sharpness=1.0)
    assert weights.tolist() == [[0.0, 0.0]]


def test_topology_is_the_angles():
    teacher = torch.eye(2)
    student = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert tkd.topology_loss(teacher, student).item() == pytest.approx(2 * 0.36 / 4)
    turned = teacher @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert tkd.topology_loss(teacher, turned).item() == pytest.approx(0, abs=1e-12)
