"""What every backbone must do, whatever its tables are made of."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from resprout import catalog
from resprout.backbones.backbone import Backbone
from resprout.backbones.lightgcn import LightGCN
from resprout.data.batches import Triplets
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import evaluate
from resprout.kernels.select import choose
from resprout.methods.method import Hooks
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.smoothing import InFloat32
from resprout.training.loop import Progress, Task, train
from resprout.training.observers import Observer
from resprout.training.optimizer import Optimizer
from resprout.training.settings import TrainingSettings

RATE = 0.03
WITHOUT_USERS, WITHOUT_ITEMS = "lightgcn without rows for users", "lightgcn without rows for items"
ONE_SIDED = {WITHOUT_USERS: "items", WITHOUT_ITEMS: "users"}
SMALL = {  # sizes and noise that suit 40 users
    "mf": {},
    "lightgcn": {},
    WITHOUT_USERS: {},
    WITHOUT_ITEMS: {},
    "neumf": {"layers": (16, 8)},
    "convncf": {"channels": 4, "factor_share": 0.2},
    "multvae": {"latent": 8},
    "cdae": {},
    "ultragcn": {"negatives": 20, "negative_weight": 0.5},
}
LARGE = {"convncf": 2.0}  # starting values at which gradients are felt: products of rows go through four layers
QUIET = {"multvae": {"dropout": 0.0}, "cdae": {"dropout": 0.0, "negatives": 0}}


def checkerboard(n_users=40, n_items=30, share=0.7, seed=0):
    """Users like the items of their own parity: (seen histories, held-out histories)."""
    users, items = np.nonzero((np.arange(n_users)[:, None] + np.arange(n_items)) % 2 == 0)
    seen = np.random.default_rng(seed).random(len(users)) < share
    return [
        Histories.from_pairs(users[k].astype(np.int32), items[k].astype(np.int32), n_users, n_items)
        for k in (seen, ~seen)
    ]


def shapes_of(name, backbone, *sizes):
    """The shapes of a backbone, or of one of its forms with rows for one side alone."""
    return backbone.one_sided_shapes(*sizes)[ONE_SIDED[name]] if name in ONE_SIDED else backbone.shapes(*sizes)


def make(name, histories, storage="dense", density=0.5, **options) -> Backbone:
    backbone = catalog.load_backbone("lightgcn" if name in ONE_SIDED else name)
    known = {key: value for key, value in options.items() if key in backbone.Options.model_fields}
    settings = backbone.Options(**{"width": 16, **SMALL.get(name, {}), **known})
    shapes = shapes_of(name, backbone, settings, histories.n_users, histories.n_items)
    slots = [max(1, int(density * shape.weights)) for shape in shapes]
    start = Start(settings.start, settings.start_scale, 0)
    tables = build_tables(shapes, storage, slots, start, False, choose().backend)
    return backbone(settings, tables, histories)


def a_batch(model, size=50, sampling="user"):
    return model.batches(size, 1, sampling).batch(0, 0)


def steps(model, count, batch_size=64, seed=0):
    settings = TrainingSettings(learning_rate=RATE, network_rate=RATE / 3)
    optimizer, batches = Optimizer(model, settings), model.batches(batch_size, seed, "interaction")
    for step in range(count):
        model.begin_step(step + 1, step / count)
        epoch, index = divmod(step, batches.per_epoch)
        model.loss(batches.batch(epoch, index)).backward()
        optimizer.update(RATE, step + 1)
        model.clear_gradient()


def all_finite(model):
    arrays = [table.read_range(0, table.shape.rows) for table in model.tables.values()]
    return all(np.isfinite(array).all() for array in (*arrays, *model.network_arrays().values()))


@pytest.fixture(params=[*catalog.backbone_names(), *ONE_SIDED])
def name(request):
    return request.param


@pytest.fixture(params=["dense", "packed"])
def storage(request):
    return request.param


@pytest.fixture
def unrounded(monkeypatch):
    """Between hops of a smoothing, which are bfloat16 else: what is checked here is the formula."""
    monkeypatch.setattr(LightGCN, "between", InFloat32)


def test_a_checkerboard_is_learnt(name, storage):
    seen, held_out = checkerboard()
    # with less L2, free vectors learn single cells by heart
    model = make(name, seen, storage, l2={"ultragcn": 0.01, "neumf": 0.1, "convncf": 1e-3}.get(name, 0.05))
    before = evaluate(model.scorer(), held_out, seen, (5,))["recall_capped@5"]
    steps(model, 300)
    after = evaluate(model.scorer(), held_out, seen, (5,))["recall_capped@5"]
    assert before < 0.8
    assert after > 0.95


@pytest.mark.usefixtures("unrounded")
def test_turning_all_tables_changes_scores_unless_it_says_that_it_does_not(name):
    seen, _ = checkerboard()
    model = make(name, seen, start="normal", start_scale=LARGE.get(name, 0.5), **QUIET.get(name, {}))
    users, items = np.arange(40, dtype=np.int32), np.tile(np.arange(30, dtype=np.int32), (40, 1))
    batch = a_batch(model)

    def seen_of():
        model.begin_step(1, 0.5)
        with torch.no_grad():
            return np.append(model.pair_scores(users, items).numpy(), model.loss(batch).item())

    before = seen_of()
    rotations = {}
    for table in model.tables.values():
        width = table.shape.width
        random = np.random.default_rng(width)
        rotation = rotations.setdefault(width, np.linalg.qr(random.standard_normal((width, width)))[0])
        table.values[:] = table.values @ rotation
    unchanged = np.allclose(seen_of(), before, rtol=1e-3, atol=1e-4)
    assert unchanged == model.rotation_invariant


@pytest.mark.usefixtures("unrounded")
def test_the_gradient_agrees_with_finite_differences(name, storage):
    seen, _ = checkerboard()
    model = make(name, seen, storage, start="normal", start_scale=LARGE.get(name, 0.5))
    for array in model.network_arrays().values():  # away from 0, where a layer with corners has no slope
        array += np.random.default_rng(0).normal(0, 0.1, array.shape).astype(np.float32)
    batch = a_batch(model)
    model.begin_step(100, 0.5)
    check_gradient(model, lambda: model.loss(batch), name)


def check_gradient(model, loss, name):
    """Along the gradient itself, in float64 where it is summed: a step of h changes the loss by h |g|^2."""
    loss().backward()
    gradients = {
        key: np.concatenate([block.copy() for _, block in table.gradient_blocks()])
        for key, table in model.tables.items()
    }
    values, moves = [], []
    for key, table in model.tables.items():
        table.clear_gradient()
        values.append(table.arrays(training=False)["values"].reshape(-1))
        moves.append(gradients[key][table.read_range(0, table.shape.rows) != 0])
    for key, weights in model.network.named_parameters():
        values.append(model.network_arrays()[key].reshape(-1))
        moves.append(np.zeros_like(values[-1]) if weights.grad is None else weights.grad.numpy().reshape(-1).copy())
    square = sum(float((g.astype(np.float64) ** 2).sum()) for g in moves)
    losses = []
    # layers with corners are straight only nearby
    h = (3e-3 if name == "convncf" else 3e-2) / np.sqrt(square)
    for sign in (1, -2):
        for array, move in zip(values, moves, strict=True):
            array += np.float32(sign * h) * move
        with torch.no_grad():
            losses.append(loss().item())
    assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(square, rel=2e-2)


def bpr(scores, batch, model):
    return softplus(scores[batch.users, batch.negatives] - scores[batch.users, batch.positives]).mean()


def cross_entropy(scores, batch, model):
    chosen = scores[batch.users[:, None], np.concatenate([batch.positives[:, None], batch.negatives], 1)]
    labels = torch.zeros_like(chosen)
    labels[:, 0] = 1
    return binary_cross_entropy_with_logits(chosen, labels)


def multinomial(scores, batch, model):
    seen = torch.stack([label_row(model.histories, user) for user in batch.users])
    return -(scores[batch.users].log_softmax(1) * seen).sum() / len(batch.users)


def logistic(scores, batch, model):
    seen = torch.stack([label_row(model.histories, user) for user in batch.users])
    return binary_cross_entropy_with_logits(scores[batch.users], seen, reduction="sum") / len(batch.users)


def weighted(scores, batch, model):
    degrees = [torch.from_numpy(lists.counts) for lists in (model.histories, model.histories.transposed())]
    beta = (torch.sqrt(degrees[0] + 1) / degrees[0])[:, None] / torch.sqrt(degrees[1] + 1)
    scores = scores + model.offset
    positive, options = (batch.users, batch.positives), model.options
    weights = options.constant_positive + options.graph_positive * beta[positive]
    loss = (weights * softplus(-scores[positive])).sum()
    negative = (batch.users[:, None], batch.negatives)
    weights = options.constant_negative + options.graph_negative * beta[negative]
    return loss + options.negative_weight * (weights * softplus(scores[negative])).mean(1).sum()


def label_row(histories, user):
    row = torch.zeros(histories.n_items, dtype=torch.float64)
    row[histories.of(user)] = 1
    return row


LOSS_OF_SCORES: dict[str, Callable[..., torch.Tensor]] = {
    "mf": bpr, "lightgcn": bpr, WITHOUT_USERS: bpr, WITHOUT_ITEMS: bpr, "convncf": bpr, "neumf": cross_entropy,
    "multvae": multinomial, "cdae": logistic, "ultragcn": weighted,
}  # fmt: skip


@pytest.mark.usefixtures("unrounded")
def test_scores_for_ranking_are_those_of_the_loss(name, storage, monkeypatch):
    """Without noise and L2, the loss computed from the ranking's scores, in float64, equals the loss of the batch."""
    seen, _ = checkerboard()
    quiet = {"l2": 0.0, "network_l2": 0.0, "item_weight": 0.0, "kl_weight": 0.0, **QUIET.get(name, {})}
    model = make(name, seen, storage, start_scale=LARGE.get(name, 0.5), **quiet)
    if name == "multvae":  # ranking takes the mean of z: draw no noise around it
        monkeypatch.setattr(torch.Tensor, "normal_", lambda self, **_: self.zero_())
    batch = a_batch(model)
    scorer = model.scorer()
    scores = torch.from_numpy(scorer.scores(scorer.queries(np.arange(40, dtype=np.int32)), 0, 30).astype(np.float64))
    assert scores.std() > 0.01
    assert model.loss(batch).item() == pytest.approx(LOSS_OF_SCORES[name](scores, batch, model).item(), rel=1e-5)


@pytest.mark.usefixtures("unrounded")
def test_pair_scores_are_those_of_the_ranking_and_their_gradient_that_of_finite_differences(name, storage):
    seen, _ = checkerboard()
    model = make(name, seen, storage, start="normal", start_scale=LARGE.get(name, 0.5))
    for array in model.network_arrays().values():
        array += np.random.default_rng(0).normal(0, 0.1, array.shape).astype(np.float32)
    random = np.random.default_rng(1)
    users = np.array([3, 39, 0], np.int32)
    items = random.integers(0, 30, (3, 5)).astype(np.int32)
    model.begin_step(100, 0.5)
    scores, scorer = model.pair_scores(users, items), model.scorer()
    ranked = scorer.scores(scorer.queries(users), 0, 30)
    np.testing.assert_allclose(scores.detach(), np.take_along_axis(ranked, items, 1), rtol=2e-5, atol=2e-6)
    direction = torch.from_numpy(random.standard_normal(items.shape).astype(np.float32))
    check_gradient(model, lambda: (model.pair_scores(users, items) * direction).sum(), name)


@pytest.mark.usefixtures("unrounded")
@pytest.mark.parametrize("name", ["mf", "lightgcn", *ONE_SIDED, "ultragcn"])
def test_pair_scores_of_cosines(name, storage):
    seen, _ = checkerboard()
    model = make(name, seen, storage, start_scale=0.5, loss="softmax")
    users, items = np.array([3, 39], np.int32), np.array([[0, 29], [7, 7]], np.int32)
    scorer = model.scorer()
    ranked = np.take_along_axis(scorer.scores(scorer.queries(users), 0, 30), items, 1)
    np.testing.assert_allclose(model.pair_scores(users, items).detach(), ranked, rtol=2e-5)


def test_pair_scores_are_products_while_the_network_is_not_trained(storage):
    seen, _ = checkerboard()
    model = make("convncf", seen, storage, factor_share=0.3)
    users, items = np.array([3, 39], np.int32), np.array([[0, 29], [7, 7]], np.int32)
    model.begin_step(1, 0.29)
    scores = model.pair_scores(users, items)
    of_users, of_items = model.tables["user"].read(users), model.tables["item"].read(items.reshape(-1))
    expected = np.einsum("uw,unw->un", of_users, of_items.reshape(2, 2, -1))
    np.testing.assert_allclose(scores.detach(), expected, rtol=2e-5, atol=1e-7)
    scores.sum().backward()
    assert all(weights.grad is None for weights in model.network.parameters())
    model.begin_step(2, 0.3)
    assert not np.allclose(model.pair_scores(users, items).detach(), expected)


@pytest.mark.parametrize("name", ["mf", "lightgcn", "ultragcn", "neumf", "convncf"])
def test_a_loss_is_a_mean_over_the_batch_unless_it_says_that_it_is_a_sum(name):
    seen, _ = checkerboard()
    model = make(name, seen, l2=0.0, network_l2=0.0)
    batch = a_batch(model)
    # what a batch shares, it shares still
    negatives = batch.negatives if len(batch.negatives) != 50 else np.concatenate([batch.negatives] * 2)
    twice = Triplets(np.tile(batch.users, 2), np.tile(batch.positives, 2), negatives)
    factor = 2 if model.sums_loss else 1
    assert model.loss(twice).item() == pytest.approx(factor * model.loss(batch).item(), rel=1e-5)


def test_what_a_method_adds_is_taken_times_the_batch_beside_a_loss_that_is_a_sum(name):
    class Adding(Hooks):
        def extra_loss(self, moment, batch):
            return torch.tensor(1.0)

    class Keeping(Observer):
        def epoch(self, record):
            losses.append(record.loss)

    seen, _ = checkerboard()
    losses, settings = [], TrainingSettings()
    for hooks in (Hooks(), Adding()):
        model = make(name, seen)
        batches, optimizer = model.batches(64, 0, "interaction"), Optimizer(model, settings)
        task = Task("train", "train", model, optimizer, batches, hooks, settings, 1, 1, None, lambda *_: None)
        train(task, Progress(), Keeping())
    factor = len(seen) / batches.per_epoch if model.sums_loss else 1
    assert losses[1] - losses[0] == pytest.approx(factor, rel=1e-4)


def test_scores_do_not_depend_on_blocks(name, storage):
    seen, _ = checkerboard()
    model = make(name, seen, storage, start_scale=0.5)
    scorer, users = model.scorer(), np.arange(40, dtype=np.int32)
    whole = scorer.scores(scorer.queries(users), 0, 30).copy()
    for some, begin, end in ((users[7:9], 0, 30), (users[[3, 3, 39]], 11, 12), (users, 29, 30)):
        part = scorer.scores(scorer.queries(some), begin, end)
        np.testing.assert_allclose(part, whole[some, begin:end], rtol=2e-5, atol=2e-6)


def test_the_l2_term_falls_to_its_last_weight(name, storage):
    seen, _ = checkerboard()
    if "l2" not in type(make(name, seen).options).model_fields:
        return

    def loss(done, **options):
        model = make(name, seen, storage, start_scale=0.5, factor_share=0.0, **options)
        model.begin_step(1, done)
        return model.loss(a_batch(model)).item()

    assert loss(0.0, l2=0.5, l2_end=0.1) == loss(0.7, l2=0.5)
    assert loss(1.0, l2=0.5, l2_end=0.1) == loss(0.0, l2=0.1)
    assert loss(0.5, l2=0.5, l2_end=0.1) == pytest.approx(loss(0.0, l2=0.3), rel=1e-6)
    assert loss(1.0, l2=0.5, l2_end=0.0) == loss(0.0, l2=0.0)


@pytest.mark.parametrize("loss", ["softmax", "cosine_contrastive"])
@pytest.mark.parametrize("name", ["mf", "lightgcn", *ONE_SIDED, "ultragcn"])
def test_a_checkerboard_is_learnt_with_losses_of_cosines(name, storage, loss):
    seen, held_out = checkerboard()
    options = {"loss": loss, "negatives": 20, "temperature": 0.5, "negative_weight": 0.5, "margin": 0.0}
    model = make(name, seen, storage, l2=0.01, item_weight=0.0, **options)
    steps(model, 300)
    assert evaluate(model.scorer(), held_out, seen, (5,))["recall_capped@5"] > 0.95


def test_no_other_constant_score_fits_the_weighted_loss_of_all_pairs_better():
    seen, _ = checkerboard()
    model = make("ultragcn", seen)
    everything = Triplets(seen.users, seen.items, np.tile(np.arange(30, dtype=np.int32), (len(seen), 1)))

    def loss(shift):
        return weighted(torch.full((40, 30), shift, dtype=torch.float64), everything, model).item()

    assert model.offset > 0.1  # negatives have half the weight of positives here
    assert loss(0) < min(loss(-0.01), loss(0.01))
    for options in ({"log_odds": False}, {"loss": "bpr"}, {"constant_positive": 0.0, "graph_positive": 0.0}):
        assert make("ultragcn", seen, **options).offset == 0


def test_l2_of_ultragcn_suits_the_data_where_it_is_not_given(storage):
    seen, _ = checkerboard()

    def loss(size, l2, done=0.0, **options):
        model = make("ultragcn", seen, storage, start_scale=0.5, l2=l2, **options)
        model.begin_step(1, done)
        return model.loss(a_batch(model, size)).item()

    for size in (50, 7):  # a batch has its share of what all interactions have
        suited = 0.6 * size / len(seen) * np.sqrt((40 + 30) / len(seen))
        assert make("ultragcn", seen, storage).suited(size) == {"l2": pytest.approx(suited)}
        assert make("ultragcn", seen, storage, l2=0.0).suited(size) == {}
        assert loss(size, None) == pytest.approx(loss(size, suited), rel=1e-6)
        assert loss(size, None) != pytest.approx(loss(size, 0.0), rel=1e-3)
        assert loss(size, None, 0.5, l2_end=0.1) == pytest.approx(loss(size, (suited + 0.1) / 2), rel=1e-6)
    nothing = np.zeros(0, np.int32)
    assert make("ultragcn", Histories.from_pairs(nothing, nothing, 40, 30), storage).suited_l2 == 0


def test_negatives_of_each_positive_give_the_loss_of_shared_ones(storage):
    seen, _ = checkerboard()
    models = [make("ultragcn", seen, storage, start_scale=0.5, share_negatives=share) for share in (True, False)]
    batch = a_batch(models[0])
    losses = [models[0].loss(batch), models[1].loss(replace(batch, negatives=np.tile(batch.negatives, (50, 1))))]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    assert a_batch(models[1]).negatives.shape == (50, 20)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_odd_batch_sizes(name, storage, batch_size):
    seen, _ = checkerboard()
    model = make(name, seen, storage)
    steps(model, 3, batch_size)
    assert all_finite(model)


@pytest.mark.parametrize("width", [1, 9, 65])
def test_odd_widths(name, storage, width):
    seen, _ = checkerboard()
    model = make(name, seen, storage, width=width)
    steps(model, 3)
    assert all_finite(model)
    scorer = model.scorer()
    assert np.isfinite(scorer.scores(scorer.queries(np.arange(5, dtype=np.int32)), 0, 30)).all()


def test_a_packed_table_at_density_one_trains_like_a_dense_one(name):
    seen, _ = checkerboard()
    models = [make(name, seen, kind, density=1.0) for kind in ("dense", "packed")]
    for model in models:
        steps(model, 50)
    for key in models[0].tables:
        dense, packed = (model.tables[key].read_range(0, model.tables[key].shape.rows) for model in models)
        np.testing.assert_allclose(packed, dense, rtol=2e-3, atol=2e-4)


def test_all_weights_are_inside_the_tables_that_are_declared(name):
    """What is outside of tables does not grow with users, nor by more than a number an item."""
    models = [make(name, checkerboard(users, items)[0]) for users, items in ((40, 30), (80, 30), (40, 60))]
    model = models[0]
    declared = {shape.name: shape for shape in shapes_of(name, type(model), model.options, 40, 30)}
    assert declared.keys() == model.tables.keys()
    assert all(table.shape == declared[key] for key, table in model.tables.items())
    outside = [sum(array.size for array in model.network_arrays().values()) for model in models]
    assert outside[1] == outside[0]
    assert outside[2] <= outside[0] + 30


def test_the_network_comes_back_from_its_arrays(name):
    seen, _ = checkerboard()
    model, other = make(name, seen), make(name, seen)
    steps(model, 3)
    other.load_network({key: array.copy() for key, array in model.network_arrays().items()})
    for key, array in model.network_arrays().items():
        np.testing.assert_array_equal(other.network_arrays()[key], array)


@pytest.mark.parametrize(
    "name", [*(n for n in catalog.backbone_names() if catalog.load_backbone(n).folds_in), WITHOUT_USERS]
)
def test_unseen_users_are_ranked_from_their_histories(name, storage):
    """Half of the users are unknown to training; with part of their items shown, the others are found."""
    seen, held_out = checkerboard()
    users = seen.users
    trained = users < 20
    known = Histories.from_pairs(users[trained], seen.items[trained], 40, 30)
    model = make(name, known, storage)
    steps(model, 300, 8)
    new = held_out.users >= 20
    asked = Histories.from_pairs(held_out.users[new], held_out.items[new], 40, 30)
    assert evaluate(model.scorer(seen), asked, seen, (5,))["recall_capped@5"] > 0.95
    beyond = Histories(np.array([*seen.starts, len(seen.items)]), seen.items, 30)
    scorer = model.scorer(beyond)
    assert np.isfinite(scorer.scores(scorer.queries(np.array([40], np.int32)), 0, 30)).all()


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_a_new_user_with_the_items_of_another_is_ranked_alike_where_users_have_no_rows(hops):
    seen, _ = checkerboard()
    model = make(WITHOUT_USERS, seen, hops=hops, start_scale=0.5)
    beyond = Histories(np.array([*seen.starts, len(seen) + len(seen.of(3))]), np.append(seen.items, seen.of(3)), 30)
    scorer = model.scorer(beyond)
    other, new = scorer.scores(scorer.queries(np.array([3, 40], np.int32)), 0, 30)
    assert other.std() > 0
    np.testing.assert_allclose(new, other, rtol=1e-5, atol=1e-7)
    assert not make("lightgcn", seen).ranks_new_users
    assert not make(WITHOUT_ITEMS, seen).ranks_new_users
