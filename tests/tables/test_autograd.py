"""The operations against torch's own gradients in float64, for both storages."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from resprout.budget import Shape
from resprout.kernels.contract import Links
from resprout.kernels.select import choose
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.smoothing import InBfloat16, InFloat32, NodeSmoothing, SideSmoothing

ROWS = 70
IDS = np.array([3, 3, 0, 69, 12, 3, 0, 41], np.int32)
BETWEEN = [(InFloat32, 2e-6), (InBfloat16, 1e-2)]  # up to six roundings, each off by a 512th at most


def make_table(storage, width):
    shape = Shape("table", ROWS, width)
    slots = [max(1, shape.weights // 3)]
    return build_tables([shape], storage, slots, Start("normal", 0.5, 7), False, choose().backend)["table"]


def make_links():
    random = np.random.default_rng(1)
    dense = np.triu(random.random((ROWS, ROWS)) < 0.1, 1) * random.random((ROWS, ROWS))
    dense = (dense + dense.T).astype(np.float32)
    return links_of(dense), torch.from_numpy(dense).double()


def links_of(dense):
    rows, columns = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    return Links(starts, columns.astype(np.int32), dense[rows, columns].astype(np.float32))


def check(table, ours, truth, off=2e-6):
    """`ours(table)` and `truth(weights in float64)` must give the same loss and the same gradient of the weights.

    off: by how much of the largest gradient any may be off, and five times as much of the loss.
    """
    weights = torch.from_numpy(table.read_range(0, ROWS)).double().requires_grad_()
    expected = truth(weights)
    (expected_gradient,) = torch.autograd.grad(expected, weights)
    loss = ours(table)
    loss.backward()
    gradient = np.concatenate([block.copy() for _, block in table.gradient_blocks()])
    table.clear_gradient()
    scale = expected_gradient.abs().max().item()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=5 * off)
    np.testing.assert_allclose(gradient, expected_gradient.numpy(), atol=off * scale)


def check_smoothing(table, smoothing, nodes, smoothed, off):
    """Rows `nodes`, their gradient, and all rows, which are never rounded, by `smoothed(weights in float64)`."""
    its, width = torch.from_numpy(nodes).long(), table.shape.width
    for _ in range(2):  # the second time in borrowed buffers that hold old numbers
        check(
            table,
            lambda t: autograd.smoothed_rows(t, smoothing, nodes).pow(2).sum(),
            lambda w: smoothed(w)[its].pow(2).sum(),
            off,
        )
    expected = smoothed(torch.from_numpy(table.read_range(0, ROWS)).double())
    np.testing.assert_allclose(smoothing.all_rows(table.stored, width, table.backend), expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(params=["dense", "packed"])
def storage(request):
    return request.param


@pytest.mark.parametrize("width", [1, 8, 17, 64, 130])
def test_rows(storage, width):
    ids = torch.from_numpy(IDS).long()
    check(make_table(storage, width), lambda t: autograd.rows(t, IDS).pow(3).sum(), lambda w: w[ids].pow(3).sum())


@pytest.mark.parametrize("width", [5, 64])
def test_bags_with_an_empty_one_and_repeated_rows(storage, width):
    starts = np.array([0, 3, 3, 8])
    weights = np.array([0.5, -1, 2, 1, 1, 0.25, 3, -2], np.float32)

    def truth(w):
        weighted = torch.from_numpy(weights).double()[:, None] * w[torch.from_numpy(IDS).long()]
        return torch.stack([weighted[a:b].sum(0) for a, b in pairwise(starts)]).sin().sum()

    check(make_table(storage, width), lambda t: autograd.bags(t, IDS, starts, weights).sin().sum(), truth)


@pytest.mark.parametrize("width", [5, 64])
def test_scores_and_the_gradient_of_the_queries(storage, width):
    queries = torch.randn(3, width, generator=torch.Generator().manual_seed(0), requires_grad=True)
    table = make_table(storage, width)
    check(table, lambda t: autograd.scores(t, queries).pow(2).sum(), lambda w: (queries.double() @ w.T).pow(2).sum())
    whole = torch.from_numpy(table.read_range(0, ROWS)).double()
    expected = 2 * (queries.detach().double() @ whole.T) @ whole
    np.testing.assert_allclose(queries.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "count"), [(5, 3), (64, 1), (130, 8)])
def test_sampled_scores_and_the_gradient_of_the_queries(storage, width, count):
    random = np.random.default_rng(count)
    queries = torch.from_numpy(random.standard_normal((4, width)).astype(np.float32)).requires_grad_()
    ids = random.integers(0, ROWS, (4, count)).astype(np.int32)
    exact = queries.detach().double().requires_grad_()

    def truth(w):
        return (w[torch.from_numpy(ids).long()] * exact[:, None]).sum(2).sin().sum()

    table = make_table(storage, width)
    check(table, lambda t: autograd.sampled_scores(t, queries, ids).sin().sum(), truth)
    (expected,) = torch.autograd.grad(truth(torch.from_numpy(table.read_range(0, ROWS)).double()), exact)
    np.testing.assert_allclose(queries.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "count"), [(5, 3), (64, 1), (130, 8)])
def test_sampled_products_and_both_gradients(width, count):
    random = np.random.default_rng(count)
    queries, vectors = (torch.from_numpy(random.standard_normal((n, width)).astype(np.float32)) for n in (4, ROWS))
    ids = random.integers(0, ROWS, (4, count)).astype(np.int32)

    def gradients(dtype, products):
        given = [tensor.to(dtype).requires_grad_() for tensor in (queries, vectors)]
        return torch.autograd.grad(products(*given).sin().sum(), given)

    own = gradients(torch.float32, lambda q, v: autograd.sampled_products(q, v, ids, choose().backend))
    exact = gradients(torch.float64, lambda q, v: (v[torch.from_numpy(ids).long()] * q[:, None]).sum(2))
    for mine, true in zip(own, exact, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("between", "off"), BETWEEN)
@pytest.mark.parametrize("hops", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("width", [5, 64])
def test_smoothed_rows(storage, width, hops, between, off):
    links, dense = make_links()
    smoothing = NodeSmoothing(hops, links, between())

    def smoothed(w):
        total = hop = w
        for _ in range(hops):
            hop = dense @ hop
            total = total + hop
        return total / (hops + 1)

    check_smoothing(make_table(storage, width), smoothing, IDS, smoothed, off)


@pytest.mark.parametrize(("between", "off"), BETWEEN)
@pytest.mark.parametrize("hops", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [5, 64])
@pytest.mark.parametrize("own_first", [False, True])
def test_rows_smoothed_from_one_side_alone(storage, width, hops, own_first, between, off):
    n_others, generator = 11, np.random.default_rng(2)
    dense = generator.random((n_others, ROWS)) * (generator.random((n_others, ROWS)) < 0.3)
    dense[4] = dense[:, 2] = 0  # one of each side that nobody knows
    smoothing = SideSmoothing(hops, links_of(dense), links_of(dense.T), own_first, between())
    own, others = (slice(0, ROWS), slice(ROWS, None)) if own_first else (slice(n_others, None), slice(0, n_others))
    nodes = np.concatenate([IDS + own.start, np.array([4, 0, 10, 0]) + others.start]).astype(np.int32)
    both = torch.zeros(n_others + ROWS, n_others + ROWS).double()
    both[others, own], both[own, others] = torch.from_numpy(dense), torch.from_numpy(dense.T)

    def smoothed(w):
        zeros = torch.zeros(n_others, width).double()
        total = hop = torch.cat([w, zeros] if own_first else [zeros, w])
        for _ in range(hops):
            hop = both @ hop
            total = total + hop
        return total / (hops + 1)

    check_smoothing(make_table(storage, width), smoothing, nodes, smoothed, off)


def test_half_squares(storage):
    check(make_table(storage, 17), lambda t: 3 * autograd.half_squares(t), lambda w: 1.5 * w.pow(2).sum())


@pytest.mark.parametrize("width", [1, 17, 130])
def test_half_squares_of_rows(storage, width):
    ids = torch.from_numpy(IDS).long()
    ours, none = lambda t: 3 * autograd.half_squares_of(t, IDS), lambda t: autograd.half_squares_of(t, IDS[:0])
    check(make_table(storage, width), ours, lambda w: 1.5 * w[ids].pow(2).sum())
    assert none(make_table(storage, width)) == 0


def test_half_squares_beside_another_operation(storage):
    ids = torch.from_numpy(IDS).long()

    def truth(weights):
        return weights[ids].pow(3).sum() + 0.05 * weights.pow(2).sum()

    check(make_table(storage, 64), lambda t: autograd.rows(t, IDS).pow(3).sum() + 0.1 * autograd.half_squares(t), truth)


def test_gradients_of_several_operations_add_up(storage):
    links, dense = make_links()
    smoothing, ids = NodeSmoothing(2, links, InFloat32()), torch.from_numpy(IDS).long()

    def ours(t):
        smoothed = autograd.smoothed_rows(t, smoothing, IDS).pow(2).sum()
        return smoothed + autograd.rows(t, IDS).sin().sum() + autograd.rows(t, IDS[:3]).pow(3).sum()

    def truth(w):
        smoothed = ((w + dense @ w + dense @ dense @ w) / 3)[ids].pow(2).sum()
        return smoothed + w[ids].sin().sum() + w[ids[:3]].pow(3).sum()

    check(make_table(storage, 20), ours, truth)


@pytest.mark.parametrize(("between", "off"), BETWEEN)
def test_two_pending_smoothed_gradients_do_not_share_a_buffer(storage, between, off):
    links, dense = make_links()
    smoothing, ids = NodeSmoothing(3, links, between()), torch.from_numpy(IDS).long()
    powers = torch.eye(ROWS).double() + dense + dense @ dense + dense @ dense @ dense

    def ours(t):
        first = autograd.smoothed_rows(t, smoothing, IDS).pow(2).sum()
        return first + autograd.smoothed_rows(t, smoothing, IDS[:4]).pow(2).sum()

    def truth(w):
        return (powers @ w / 4)[ids].pow(2).sum() + (powers @ w / 4)[ids[:4]].pow(2).sum()

    check(make_table(storage, 20), ours, truth, off)
