"""What teachers teach, by hand."""

import numpy as np
import pytest
import torch

from resprout.methods import rkd, topology


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


def test_full_topology_is_the_angles():
    teacher = 3 * torch.eye(2)
    student = torch.tensor([[1.0, 0.0], [6.0, 8.0]])
    assert topology.full(teacher, student).item() == pytest.approx(2 * 0.36 / 4)
    turned = teacher @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert topology.full(teacher, turned).item() == pytest.approx(0, abs=1e-12)


def test_hierarchical_topology_compares_inside_of_groups_and_with_groups():
    """Two groups of two; in the second the teachers point apart, so that only each with itself is compared."""
    teacher = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, -3.0]])
    student = torch.tensor([[1.0, 0.0], [0.6, 0.8], [1.0, 1.0], [0.0, 2.0]], requires_grad=True)
    groups = torch.tensor([4, 4, 7, 7])
    loss = topology.hierarchical(teacher, student, groups)
    inside = 2 * (0.8 - 0.6) ** 2 / 6  # of six pairs only the first two differ
    cosines = []
    for vectors in (teacher, student.detach()):
        means = torch.stack([vectors[:2].mean(0), vectors[2:].mean(0)])
        cosines.append(topology.directions(vectors) @ topology.directions(means).T)
    between = (cosines[0] - cosines[1]).square().mean().item()
    assert loss.item() == pytest.approx(inside + between, rel=1e-5)
    loss.backward()
    assert student.grad.abs().sum() > 0


def test_groups_choose_their_expert_ever_more_sharply():
    groups = topology.Groups(teacher_width=2, student_width=3, count=2)
    teacher, student = torch.eye(2), torch.ones(2, 3)
    with torch.no_grad():
        groups.assign.weight.copy_(100 * torch.eye(2))
        for k, expert in enumerate(groups.experts):
            expert[2].weight.zero_()
            expert[2].bias.copy_(torch.eye(2)[k])
    assert groups.members(teacher).tolist() == [0, 1]
    random = torch.Generator().manual_seed(0)
    assert groups.distances(teacher, student, topology.temperature_at(1.0), random).item() == pytest.approx(0, abs=1e-6)
    assert topology.temperature_at(0.0) == 1
    assert topology.temperature_at(0.5) == pytest.approx(1e-5)


def test_what_groups_do_not_explain_is_a_share_of_the_teacher():
    groups = topology.Groups(teacher_width=2, student_width=3, count=2)
    with torch.no_grad():
        for weights in groups.experts.parameters():
            weights.zero_()
    for scale in (1.0, 50.0):
        teacher, random = scale * torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.Generator().manual_seed(0)
        assert groups.distances(teacher, torch.ones(2, 3), 1.0, random).item() == pytest.approx(1)


def test_pulling_apart_of_a_group_of_one():
    teacher, student = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0, 1.0]])
    assert topology.hierarchical(teacher, student, torch.tensor([5])).item() == pytest.approx(0, abs=1e-12)
