"""Searches for the size of each row, against torch's own gradients and by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.methods import autoemb, esapn, sizes
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.mixed import sizes_of
from resprout.tables.update import Update

ROWS, WIDTH, RATE = 12, 9, 0.5
SIZES = (2, 4, 9)
IDS = np.array([3, 3, 0, 11, 7], np.int32)
DEGREES = np.array([1, 5, 2, 2, 40, 0, 7, 1, 9, 3, 3, 12])
# with no memory and an epsilon that hides the second moment, Adam is plain gradient descent of rate RATE
PLAIN = Update(RATE * 1e6, 1, beta_1=0.0, beta_2=0.0, epsilon=1e6)


def make(mixer=None, seed=0):
    shape = Shape("item", ROWS, WIDTH)
    table = build_tables([shape], "mixed", [0], Start("normal", 0.5, 3), False, choose().backend)["item"]
    random = np.random.default_rng(seed)
    if isinstance(mixer, sizes.SoftMixer):
        table.weights[:] = random.dirichlet(np.ones(3), ROWS)
    else:
        table.weights[:] = np.eye(3)[random.integers(0, 3, ROWS)]
    if mixer is not None:
        table.mix_by(mixer)
    return table


def started(network, seed=1):
    """The network with random weights, those of vectors too."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(0, 0.4, generator=torch.Generator().manual_seed(seed))
    return network


def pieces_of(table):
    """In float64, with gradients."""
    return [piece.double().detach().requires_grad_() for piece in table.pieces()]


def standardised(rows, module):
    normal = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
    return normal * (1 + module.gain.double()) + module.shift.double()


def soft(pieces, weights, mixer):
    """AutoEmb's rows, written out."""
    rows = 0
    for k, layer in enumerate(mixer.layers):
        linear, standard, _ = layer
        wide = pieces[k] @ linear.weight.double().T + linear.bias.double()
        rows = rows + weights[:, k : k + 1] * torch.tanh(standardised(wide, standard))
    return rows


def chain(pieces, weights, mixer):
    """ESAPN's rows, written out one by one."""
    rows = []
    for r, size in enumerate(weights.argmax(1)):
        row = pieces[size][r]
        for layer in mixer.layers[size:]:
            row = layer.weight.double() @ row + layer.bias.double()
        rows.append(row)
    return torch.tanh(standardised(torch.stack(rows), mixer.top))


def test_sizes_are_halves_of_the_width():
    assert sizes_of(64) == (2, 4, 8, 16, 32, 64)
    assert sizes_of(WIDTH) == SIZES
    assert [sizes_of(width) for width in (1, 2, 3, 4)] == [(1,), (2,), (3,), (2, 4)]


@pytest.mark.parametrize(("kind", "written_out"), [(sizes.SoftMixer, soft), (sizes.ChainMixer, chain)])
def test_rows_and_their_gradients(kind, written_out):
    mixer = started(kind(SIZES))
    table, pieces = make(mixer), None
    pieces = pieces_of(table)
    rows = written_out(pieces, torch.from_numpy(table.weights).double(), mixer)
    np.testing.assert_allclose(table.read_range(0, ROWS), rows.detach(), atol=1e-6)
    rows[torch.from_numpy(IDS).long()].pow(3).sum().backward()
    expected = [piece.detach() - RATE * piece.grad for piece in pieces]
    of_mixer = [weights.grad.clone() for weights in mixer.parameters()]
    mixer.zero_grad()
    autograd.rows(table, IDS).pow(3).sum().backward()
    table.update(PLAIN)
    np.testing.assert_allclose(table.values, torch.cat(expected, 1), atol=1e-5)
    for weights, gradient in zip(mixer.parameters(), of_mixer, strict=True):
        np.testing.assert_allclose(weights.grad, gradient, atol=1e-5)
    table.refresh()
    after = written_out(pieces_of(table), torch.from_numpy(table.weights).double(), mixer)
    np.testing.assert_allclose(table.read_range(0, ROWS), after.detach(), atol=1e-6)


def test_rows_get_the_columns_that_they_most_likely_need():
    """Every row has its first two; then those of the next size, and so on, the likeliest first."""
    table = make()
    table.chances[:] = [1, 0, 0]
    table.chances[4], table.chances[8], table.chances[2] = (1, 0.9, 0.7), (1, 0.8, 0.1), (1, 0.5, 0.2)
    lengths = {}
    for slots in (24, 24 + 2, 24 + 4, 24 + 2 + 2 + 5, 24 + 2 + 2 + 5 + 2):
        shape, start = Shape("item", ROWS, WIDTH), Start("normal", 0.1, 0)
        built = build_tables([shape], "prefix", [slots], start, False, choose().backend, {"item": table})["item"]
        assert built.slots == slots
        lengths[slots] = built.stored.lengths[[4, 8, 2]].tolist()
    assert lengths == {24: [2, 2, 2], 26: [4, 2, 2], 28: [4, 4, 2], 33: [9, 4, 2], 35: [9, 4, 4]}


def test_the_policy_reads_popularity_between_powers_of_two():
    policy = sizes.Policy(7, state=1, choices=2)
    with torch.no_grad():
        policy.popularity.copy_(torch.arange(len(policy.popularity))[:, None].expand(-1, 32))
    policy.of_popularity, policy.layers = nn.Identity(), nn.Identity()
    read = policy(np.array([0, 1, 2, 7]), torch.zeros(4, 1))[:, 0].detach()
    np.testing.assert_allclose(read, np.log2([1, 2, 3, 8]), rtol=1e-6)


def test_autoemb_controllers_get_the_gradient_of_the_loss():
    """Of a loss on rows that are mixed by what the controller says, by popularity."""
    mixer, table = started(sizes.SoftMixer(SIZES)), make()
    controller = started(autoemb._Controller(table, DEGREES))
    table.mix_by(mixer)
    controller.choose()
    table.refresh()
    assert (table.weights[2] == table.weights[3]).all()
    assert (table.weights[2] != table.weights[9]).any()
    np.testing.assert_allclose(table.chances, np.cumsum(table.weights[:, ::-1], 1)[:, ::-1], rtol=1e-6)
    weights = controller.weights()[controller._places]
    rows = torch.stack([weights[:, k : k + 1] * c for k, c in enumerate(mixer.candidates(table.pieces()))]).sum(0)
    expected = torch.autograd.grad(rows[torch.from_numpy(IDS).long()].pow(3).sum(), controller.policy.parameters())
    autograd.rows(table, IDS).pow(3).sum().backward()
    with torch.no_grad():
        gradient, candidates = table.whole_gradient(), mixer.candidates(table.pieces())
        of_weights = torch.stack([(gradient * candidate).sum(1) for candidate in candidates], 1)
    controller.learn(of_weights)
    for own, wanted in zip(controller.policy.parameters(), expected, strict=True):
        np.testing.assert_allclose(own.grad, wanted, atol=1e-4)
    assert sum(own.grad.abs().sum() for own in controller.policy.parameters()) > 0


def grower(most=10**6):
    mixer, table = started(sizes.ChainMixer(SIZES)), make()
    table.weights[:] = np.eye(3)[0]
    grower = esapn._Grower(table, mixer, DEGREES, most)
    started(grower.policy, seed=5)
    grower.losses.fill_(torch.nan)
    table.mix_by(mixer)
    return grower


def test_esapn_rewards_what_brought_losses_below_the_last_five():
    one = grower()
    rows = np.array([4, 0, 8], np.int32)
    one.losses[4] = torch.tensor([np.nan, np.nan, 0.2, 0.4, 0.6])
    state = one.table.weights[rows]
    tried = one.tried(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(one.table.weights[rows].argmax(1), tried.grown.astype(int))
    before, after = torch.tensor([0.5, 0.7, 0.9]), torch.tensor([0.3, 1.0, 0.9])
    one.settle(tried, before, after)
    # the usual loss of the first is the mean of its last ones; the others have none yet
    advantages = torch.tensor([0.4 - 0.3, 0.7 - 1.0, 0.0])
    logits = one.policy(DEGREES[rows], torch.from_numpy(state))
    chosen = torch.from_numpy(tried.grown.astype(np.int64))
    loss = (functional.cross_entropy(logits, chosen, reduction="none") * advantages).mean()
    for own, wanted in zip(one.policy.parameters(), torch.autograd.grad(loss, one.policy.parameters()), strict=True):
        np.testing.assert_allclose(own.grad, wanted, atol=1e-6)
    np.testing.assert_allclose(one.losses[4], [np.nan, 0.2, 0.4, 0.6, 0.5], rtol=1e-6)
    np.testing.assert_allclose(one.losses[0], [*[np.nan] * 4, 0.7], rtol=1e-6)


@pytest.mark.parametrize("room", [0, 1, 2, 5, 7, 100])
def test_esapn_rows_grow_while_there_is_room_and_stay_what_they_are(room):
    one = grower(most=2 * ROWS + room)
    before, rows = one.table.read_range(0, ROWS), np.arange(ROWS, dtype=np.int32)
    for moments in one.table.moments:
        moments[:] = 1
    for _ in range(3):
        logits = torch.stack([torch.zeros(ROWS), torch.linspace(-1, 2, ROWS)], 1).requires_grad_()
        tried = esapn._Try(rows, one.table.weights.copy(), logits, np.zeros(ROWS, bool))
        one.settle(tried, torch.ones(ROWS), torch.ones(ROWS))
        one.table.refresh()
    taken = (one.table.weights @ np.array(SIZES)).sum()
    assert taken <= 2 * ROWS + room
    assert (taken > 2 * ROWS) == (room >= 2)
    grown = one.table.weights.argmax(1)
    assert (np.diff(grown) >= 0).all()  # the surest first
    assert not grown[logits.detach().numpy()[:, 1] <= 0].any()
    np.testing.assert_allclose(one.table.read_range(0, ROWS), before, atol=1e-5)
    np.testing.assert_array_equal(one.table.moments[0][:, 2:6] == 0, np.repeat(grown[:, None] >= 1, 4, 1))


def test_esapn_chances_are_those_of_growing_again_and_again():
    one = grower()
    one.table.weights[6] = [0, 1, 0]
    one.set_chances()
    degrees = np.unique(DEGREES)
    state = torch.eye(3).repeat(len(degrees), 1)
    asked = one.policy(np.repeat(degrees, 3), state).softmax(1)[:, 1].detach().numpy().reshape(-1, 3)
    of = {degree: asked[k] for k, degree in enumerate(degrees)}
    np.testing.assert_allclose(one.table.chances[6], [1, 1, of[7][1]], rtol=1e-5)
    np.testing.assert_allclose(one.table.chances[0], [1, of[1][0], of[1][0] * of[1][1]], rtol=1e-5)
