"""What every backbone must do, whatever its tables are made of."""

import numpy as np
import pytest
import torch

from resprout import catalog
from resprout.backbones.backbone import Backbone
from resprout.data.batches import TripletBatches
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import evaluate
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.training.optimizer import update
from resprout.training.settings import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=0.03)


def checkerboard(n_users=40, n_items=30, share=0.7, seed=0):
    """Users like the items of their own parity: (seen histories, held-out histories)."""
    users, items = np.nonzero((np.arange(n_users)[:, None] + np.arange(n_items)) % 2 == 0)
    seen = np.random.default_rng(seed).random(len(users)) < share
    return [
        Histories.from_pairs(users[k].astype(np.int32), items[k].astype(np.int32), n_users, n_items)
        for k in (seen, ~seen)
    ]


def make(name, histories, storage="dense", density=0.5, **options) -> Backbone:
    backbone = catalog.load_backbone(name)
    settings = backbone.Options(**{"width": 16, **options})
    shapes = backbone.shapes(settings, histories.n_users, histories.n_items)
    slots = [max(1, int(density * shape.weights)) for shape in shapes]
    start = Start(settings.start, settings.start_scale, 0)
    tables = build_tables(shapes, storage, slots, start, False, choose().backend)
    return backbone(settings, tables, histories)


def steps(model, count, batch_size=64, seed=0):
    batches = TripletBatches(model.histories, batch_size, seed, "interaction")
    for step in range(count):
        epoch, index = divmod(step, batches.per_epoch)
        model.loss(batches.batch(epoch, index)).backward()
        update(model.tables.values(), SETTINGS.learning_rate, step + 1, SETTINGS)
        for table in model.tables.values():
            table.clear_gradient()


@pytest.fixture(params=catalog.backbone_names())
def name(request):
    return request.param


@pytest.fixture(params=["dense", "packed"])
def storage(request):
    return request.param


def test_a_checkerboard_is_learnt(name, storage):
    seen, held_out = checkerboard()
    model = make(name, seen, storage, l2=0.05)  # with less, free vectors learn single cells by heart
    before = evaluate(model.scorer(), held_out, seen, (5,))["recall_capped@5"]
    steps(model, 300)
    after = evaluate(model.scorer(), held_out, seen, (5,))["recall_capped@5"]
    assert before < 0.6
    assert after > 0.95


def test_the_gradient_agrees_with_finite_differences(name, storage):
    """Along the gradient itself, in float64 where the loss is summed: a step of h changes the loss by h |g|^2."""
    seen, _ = checkerboard()
    model = make(name, seen, storage, start_scale=0.5)
    batch = TripletBatches(seen, 50, 1, "user").batch(0, 0)
    model.loss(batch).backward()
    gradients = {
        key: np.concatenate([block.copy() for _, block in table.gradient_blocks()])
        for key, table in model.tables.items()
    }
    values = {}
    for key, table in model.tables.items():
        table.clear_gradient()
        values[key] = table.arrays(training=False)["values"]
        gradients[key] = gradients[key][table.read_range(0, table.shape.rows) != 0]
    square = sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values())
    losses = []
    h = 3e-2 / np.sqrt(square)
    for sign in (1, -2):
        for key in values:
            values[key].reshape(-1)[:] += np.float32(sign * h) * gradients[key]
        with torch.no_grad():
            losses.append(model.loss(batch).item())
    assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(square, rel=2e-2)


def test_scores_for_ranking_are_those_of_the_loss(name, storage):
    """With l2 off, the BPR loss computed from the ranking's scores equals the loss of the batch."""
    seen, _ = checkerboard()
    model = make(name, seen, storage, start_scale=0.5, l2=0.0)
    batch = TripletBatches(seen, 50, 1, "user").batch(0, 0)
    scorer = model.scorer()
    scores = scorer.scores(scorer.queries(np.arange(40, dtype=np.int32)), 0, 30)
    margin = scores[batch.users, batch.negatives] - scores[batch.users, batch.positives]
    expected = np.logaddexp(0, margin.astype(np.float64)).mean()
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_l2_term_falls_to_its_last_weight(name, storage):
    seen, _ = checkerboard()
    batch = TripletBatches(seen, 50, 1, "user").batch(0, 0)

    def loss(done, **options):
        model = make(name, seen, storage, start_scale=0.5, **options)
        model.done = done
        return model.loss(batch).item()

    assert loss(0.0, l2=0.5, l2_end=0.1) == loss(0.7, l2=0.5)
    assert loss(1.0, l2=0.5, l2_end=0.1) == loss(0.0, l2=0.1)
    assert loss(0.5, l2=0.5, l2_end=0.1) == pytest.approx(loss(0.0, l2=0.3), rel=1e-6)
    assert loss(1.0, l2=0.5, l2_end=0.0) == loss(0.0, l2=0.0)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_odd_batch_sizes(name, storage, batch_size):
    seen, _ = checkerboard()
    model = make(name, seen, storage)
    steps(model, 3, batch_size)
    assert all(np.isfinite(table.read_range(0, table.shape.rows)).all() for table in model.tables.values())


@pytest.mark.parametrize("width", [1, 9, 65])
def test_odd_widths(name, storage, width):
    seen, _ = checkerboard()
    model = make(name, seen, storage, width=width)
    steps(model, 3)
    assert all(np.isfinite(table.read_range(0, table.shape.rows)).all() for table in model.tables.values())


def test_a_packed_table_at_density_one_trains_like_a_dense_one(name):
    seen, _ = checkerboard()
    models = [make(name, seen, kind, density=1.0) for kind in ("dense", "packed")]
    for model in models:
        steps(model, 50)
    for key in models[0].tables:
        dense, packed = (model.tables[key].read_range(0, model.tables[key].shape.rows) for model in models)
        np.testing.assert_allclose(packed, dense, rtol=2e-3, atol=2e-4)


def test_all_weights_are_inside_the_tables_that_are_declared(name):
    seen, _ = checkerboard()
    model = make(name, seen)
    declared = {shape.name: shape for shape in type(model).shapes(model.options, seen.n_users, seen.n_items)}
    assert declared.keys() == model.tables.keys()
    assert all(table.shape == declared[key] for key, table in model.tables.items())
