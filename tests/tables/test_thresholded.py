"""The soft threshold of PEP against torch's own gradients in float64."""

import numpy as np
import pytest
import torch

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.update import Update

ROWS, WIDTH, RATE = 30, 7, 0.5
IDS = np.array([3, 3, 0, 29, 12], np.int32)
# with no memory and an epsilon that hides the second moment, Adam is plain gradient descent of rate RATE
PLAIN = Update(RATE * 1e6, 1, beta_1=0.0, beta_2=0.0, epsilon=1e6)


def make(of, start=-2.0, pull=0.0):
    shape = Shape("table", ROWS, WIDTH)
    table = build_tables([shape], "thresholded", [0], Start("normal", 0.2, 3), False, choose().backend)["table"]
    table.start_logits(of, start)
    table.pull = pull
    return table


def logits_of(table):
    return table.arrays(training=False)["logits"]


def cut(values, logits):
    return values.sign() * torch.relu(values.abs() - torch.sigmoid(logits))


@pytest.mark.parametrize("of", ["table", "row", "column"])
@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_reads_and_gradients(of, pull):
    table = make(of, pull=pull)
    values, logits = (torch.from_numpy(a.copy()).double() for a in (table.values, logits_of(table)))
    assert logits.shape == {"table": (1, 1), "row": (ROWS, 1), "column": (1, WIDTH)}[of]
    values.requires_grad_(), logits.requires_grad_()
    np.testing.assert_allclose(table.read_range(0, ROWS), cut(values, logits).detach(), atol=1e-7)
    assert 0 < table.slots == int((cut(values, logits) != 0).sum()) < ROWS * WIDTH
    expected = cut(values, logits)[torch.from_numpy(IDS).long()].pow(3).sum() + pull * logits.pow(2).sum() / 2
    expected.backward()
    autograd.rows(table, IDS).pow(3).sum().backward()
    table.update(PLAIN)
    table.clear_gradient()
    after = [torch.from_numpy(a).double() for a in (table.values, logits_of(table))]
    for before, now in zip((values, logits), after, strict=True):
        np.testing.assert_allclose(now, before.detach() - RATE * before.grad, atol=2e-6)
    np.testing.assert_allclose(table.read_range(0, ROWS), cut(*after), atol=1e-6)


@pytest.mark.parametrize("of", ["table", "row", "column"])
def test_its_most_important_weights_are_those_above_then_those_nearest_below(of):
    table = make(of)
    logits = np.linspace(-3, -1, logits_of(table).size, dtype=np.float32).reshape(logits_of(table).shape)
    table.load_arrays({**table.arrays(training=True), "logits": logits})
    margin = np.abs(table.values) - 1 / (1 + np.exp(-logits))
    for count in (table.slots - 5, table.slots, table.slots + 5):
        sources = {"mask_from": {"table": table}}
        shape, start = Shape("table", ROWS, WIDTH), Start("normal", 0.2, 3)
        packed = build_tables([shape], "packed", [count], start, False, choose().backend, **sources)["table"]
        assert packed.slots == count
        kept = packed.read_range(0, ROWS) != 0
        assert margin[kept].min() > margin[~kept].max()


def test_its_arrays_give_it_back():
    table, other = make("row"), make("table")
    for _ in range(3):
        autograd.rows(table, IDS).pow(2).sum().backward()
        table.update(Update(0.1, 10**6))
        table.clear_gradient()
    other.load_arrays({kind: array.copy() for kind, array in table.arrays(training=True).items()})
    for kind, array in table.arrays(training=True).items():
        np.testing.assert_array_equal(other.arrays(training=True)[kind], array)
    np.testing.assert_array_equal(other.read_range(0, ROWS), table.read_range(0, ROWS))
