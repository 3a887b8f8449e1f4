"""Multiply-adds in the ledger of a run against those that are made: by the reference kernels, and by torch."""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from resprout import catalog
from resprout.backbones import losses
from resprout.data.batches import Triplets
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import rank
from resprout.kernels import reference
from resprout.kernels.reference.products import Executed
from resprout.methods import esapn, sizes
from resprout.methods.method import Hooks, Moment, Stage
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.training import cost
from resprout.training.loop import Progress
from resprout.training.optimizer import Optimizer
from resprout.training.settings import TrainingSettings

# no other size of a model is 9, 18, or the 16 x 16 of ConvNCF's maps, so that a product of rows can be told from other
# element-wise work by its last axis
WIDTH, MAP, USERS, ITEMS, STEPS = 9, 16 * 16, 12, 14, 4
SMALL = {
    "neumf": {"layers": (8, 6), "negatives": 3},
    "convncf": {"channels": 4, "factor_share": 0.5},
    "multvae": {"latent": 5},
    "ultragcn": {"negatives": 7, "neighbours": 3},
}
OTHERS = [
    ("mf", {"loss": "softmax", "negatives": 7}),
    ("lightgcn", {"loss": "cosine_contrastive", "negatives": 7}),
    ("lightgcn", {"hops": 0}),
    ("lightgcn", {"hops": 1}),
    ("ultragcn", {"share_negatives": False}),
    ("ultragcn", {"loss": "bpr"}),
    ("ultragcn", {"loss": "softmax", "item_weight": 0.0}),
    ("neumf", {"layers": (8,), "deep_width": 7}),
    ("cdae", {"negatives": 0, "l2": 0.0}),
]
STORAGES = [("dense", 1.0), ("packed", 0.5), ("packed", 1.0)]


def product_of_rows(one, other, out_shape):
    """Two operations a multiply-add, as torch counts."""
    both_are_arrays = all(isinstance(shape, torch.Size) and shape for shape in (one, other))
    is_product = both_are_arrays and len(out_shape) > 1 and out_shape[-1] in (WIDTH, 2 * WIDTH, MAP)
    return 2 * math.prod(out_shape) if is_product else 0


# torch's counter knows neither products entry by entry nor those that add to what is there
MORE_PRODUCTS = {
    torch.ops.aten.mul: product_of_rows,
    torch.ops.aten.addmm_: lambda out, one, other, out_shape, **_: 2 * math.prod(one) * other[1],
    torch.ops.aten.addmv_: lambda out, one, other, out_shape, **_: 2 * math.prod(one),
}


@contextmanager
def counted() -> Iterator[SimpleNamespace]:
    """Multiply-adds within, once it is left: `kernels`, `dense` (by torch) and `all`."""
    count, before = SimpleNamespace(), Executed.multiply_adds
    with FlopCounterMode(display=False, custom_mapping=MORE_PRODUCTS) as torchs:
        yield count
    count.kernels, count.dense = Executed.multiply_adds - before, torchs.get_total_flops() // 2
    count.all = count.kernels + count.dense


class OneBatch:
    """Always the same batch."""

    per_epoch = STEPS

    def __init__(self, batch):
        self.only = batch

    def batch(self, epoch, index):
        return self.only

    def fresh(self, step, factor):
        return self.only


@pytest.fixture
def histories():
    """Of uneven lengths, a user without any among them."""
    users, items = np.nonzero(np.random.default_rng(3).random((USERS, ITEMS)) < 0.5 * (np.arange(USERS) != 4)[:, None])
    assert len(users) % USERS
    return Histories.from_pairs(users.astype(np.int32), items.astype(np.int32), USERS, ITEMS)


@pytest.fixture
def make(monkeypatch, histories):
    """A model on the reference kernels, without the element-wise work that no figure has: squares, lengths."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads would wait for each other longer than these few numbers take
    monkeypatch.setenv("RESPROUT_BACKEND", "reference")
    monkeypatch.setattr(torch.nn.functional, "normalize", lambda rows, eps: rows)
    for name in catalog.backbone_names():
        monkeypatch.setattr(f"resprout.backbones.{name}.half_squares", lambda rows, batch: rows.sum(), raising=False)

    def make(name, storage, density, **options):
        backbone = catalog.load_backbone(name.partition(" ")[0])
        settings = backbone.Options(**{"width": WIDTH, **SMALL.get(name, {}), **options})
        sizes, side = (settings, USERS, ITEMS), name.partition(" of ")[2]
        shapes = backbone.one_sided_shapes(*sizes)[side] if side else backbone.shapes(*sizes)
        slots = [int(density * shape.weights) for shape in shapes]
        tables = build_tables(shapes, storage, slots, Start("normal", 0.1, 0), False, reference)
        return backbone(settings, tables, histories)

    yield make
    torch.set_num_threads(threads)


def figures(model, batch):
    """The ledger of `STEPS` steps on that batch."""
    spent = cost.spent(model, Hooks(), OneBatch(batch), Progress(epochs=1, steps=STEPS), horizon=1)
    return cost.ledger(model, [("train", Stage("train", "", ()), spent)])


def trained(model, batch):
    """What `STEPS` steps on that batch execute: (all in all, only in forward passes)."""
    optimizer, whole, forward = Optimizer(model, TrainingSettings()), 0, 0
    for step in range(1, STEPS + 1):
        model.begin_step(step, (step - 1) / STEPS)
        with counted() as first:
            loss = model.loss(batch)
        with counted() as second:
            loss.backward()
            optimizer.update(0.01, step)
            model.clear_gradient()
        whole, forward = whole + first.all + second.all, forward + first.all
    return whole, forward


def ranked(model, block=USERS):
    """What ranking all items for all users executes."""
    with counted() as count:
        rank(model.scorer(), np.arange(USERS, dtype=np.int32), None, 3, users_per_block=block, items_per_block=5)
    return count.all


@pytest.fixture(params=STORAGES, ids=lambda storage: f"{storage[0]}-{storage[1]}")
def storage(request):
    return request.param


@pytest.fixture(params=[*catalog.backbone_names(), "lightgcn of items", "lightgcn of users"])
def name(request):
    return request.param


def test_a_slot_counts_and_a_position_without_one_does_not(make, histories):
    """By hand: two users' lists over slots, and a table whose every weight exists."""
    for storage, density in STORAGES:
        model = make("cdae", storage, density)
        table = model.tables["item_in"]
        slots = (table.read_range(0, ITEMS) != 0).sum(1)
        with counted() as count:
            model.hidden_of(histories, np.array([0, 7], np.int32))
        assert count.kernels == slots[histories.of(0)].sum() + slots[histories.of(7)].sum()
        assert count.dense == 0


def test_executed_multiply_adds_of_training(make, name, storage):
    model = make(name, *storage)
    batch = model.batches(6, 0, "user").batch(0, 0)
    assert figures(model, batch)["macs_executed_training"] == trained(model, batch)[0]


@pytest.mark.parametrize(("name", "options"), OTHERS)
def test_executed_multiply_adds_with_other_options(make, name, options):
    for storage, density in STORAGES:
        model = make(name, storage, density, **options)
        batch = model.batches(6, 0, "interaction").batch(0, 0)
        found = figures(model, batch)
        assert found["macs_executed_inference"] == ranked(model)
        assert found["macs_executed_training"] == trained(model, batch)[0]


@pytest.mark.parametrize("block", [5, USERS])
def test_executed_multiply_adds_of_ranking(make, name, storage, block, monkeypatch):
    for module in (cost, importlib.import_module(f"resprout.backbones.{name.partition(' ')[0]}")):
        monkeypatch.setattr(module, "USERS_PER_BLOCK", block, raising=False)
    model = make(name, *storage)
    assert cost.executed_inference(model) == ranked(model, block)


@pytest.mark.parametrize("name", ["mf", "lightgcn", "multvae", "neumf", "convncf"])
@pytest.mark.parametrize(
    ("method", "options"),
    [("rkd", {"items": 5, "samples": 3}), ("tkd", {}), ("tkd", {"topology": "hierarchical", "groups": 1})],
)
def test_executed_multiply_adds_of_what_a_teacher_adds(make, name, method, options):
    student, teacher = make(name, "dense", 1.0), make(name, "dense", 1.0)
    kind = catalog.load_method(method)
    hooks = kind(kind.Options(**options)).hooks(Stage("train", "dense", ()))
    hooks.prepare(student, lambda _: teacher, 0)
    student.begin_step(1, 0.0)
    batch = student.batches(6, 0, "user").batch(0, 0)
    moment = Moment(0, 1, STEPS, 0, student, None)
    plain = cost.executed_step(student, batch)
    with counted() as count:
        loss = student.loss(batch) + hooks.extra_loss(moment, batch)
        loss.backward()
        for table in student.tables.values():
            list(table.gradient_blocks())
        student.clear_gradient()
    whole = cost.executed_step(student, batch, lambda batch: hooks.extra_loss(moment, batch))
    assert whole + hooks.executed_outside_tables(student, batch) == count.all > plain


@pytest.fixture
def some_pairs(monkeypatch):
    """Five users, each with an item of their own; and no standardisation, which is work on single numbers."""
    pairs = esapn._Pairs(
        np.array([0, 1, 5, 7, 9], np.int32), np.array([[3, 1], [0, 2], [5, 5], [6, 1], [9, 3]], np.int32)
    )
    monkeypatch.setattr(esapn, "_drawn", lambda *_: pairs)
    monkeypatch.setattr(sizes.Standardised, "forward", lambda self, rows: rows + self.shift)


@pytest.mark.parametrize("name", ["mf", "lightgcn", "multvae", "neumf"])
@pytest.mark.parametrize(("method", "options"), [("autoemb", {}), ("esapn", {"pairs": 5})])
def test_executed_multiply_adds_of_a_search_for_sizes(make, some_pairs, name, method, options):
    model, kind = make(name, "mixed", 1.0), catalog.load_method(method)
    slots = tuple(2 * table.shape.rows for table in model.tables.values())  # no room to grow
    hooks = kind(kind.Options(**options)).hooks(Stage("search", "mixed", (), slots))
    hooks.prepare(model, lambda _: None, 0)
    batch = model.batches(6, 0, "user").batch(0, 0)

    def backward(factor):
        model.clear_gradient()
        model.loss(batch).backward()

    def moment_at(step):
        return Moment(0, step, STEPS, 0, model, backward)

    hooks.begin(moment_at(0))
    optimizer = Optimizer(model, TrainingSettings(), hooks.network)
    with counted() as count:
        for step in range(1, STEPS + 1):
            model.begin_step(step, (step - 1) / STEPS)
            hooks.before_batch(moment_at(step))
            model.loss(batch).backward()
            optimizer.update(0.01, step)
            hooks.after_update(moment_at(step))
            model.clear_gradient()
            hooks.network.zero_grad()
    spent = cost.spent(model, hooks, OneBatch(batch), Progress(epochs=1, steps=STEPS), 1, moment_at)
    assert spent.macs_executed == count.all


def test_nominal_multiply_adds_of_training(make, name, storage, histories, monkeypatch):
    """Three dense forward passes, times the paper's share; on a batch of all interactions, whose rows are all rows."""
    # a triplet is two products, whether both are made or not
    by_products = staticmethod(lambda user, positive, negative: (user * negative).sum(1) - (user * positive).sum(1))
    monkeypatch.setattr(losses._Gaps, "apply", by_products)
    model, dense = make(name, *storage), make(name, "dense", 1.0)
    batch = model.batches(len(histories), 0, "interaction").batch(0, 0)
    _, forward = trained(dense, batch)
    slots, weights = (sum(table.slots for table in each.tables.values()) for each in (model, dense))
    nominal = figures(model, batch)["macs_nominal_training"]
    assert nominal == pytest.approx(3 * forward * (2 * slots / weights + 1) / 3, abs=1)


def test_a_search_behind_thresholds_takes_nominally_what_a_dense_training_takes(make):
    model, dense = make("mf", "thresholded", 1.0), make("mf", "dense", 1.0)
    for table in model.tables.values():
        table.start_logits("table", -3.0)
        assert 0 < table.slots < table.shape.weights
    batch = model.batches(6, 0, "user").batch(0, 0)
    kinds = ("macs_nominal_training", "macs_executed_training")
    assert [figures(model, batch)[kind] for kind in kinds] == [figures(dense, batch)[kind] for kind in kinds]


def test_nominal_multiply_adds_of_inference(make, name, storage, histories):
    """Those of the dense model, times the density of each factor of a score that is a row of a table."""
    model, dense = make(name, *storage), make(name, "dense", 1.0)
    users, items = np.divmod(np.arange(USERS * ITEMS, dtype=np.int32), np.int32(ITEMS))
    with counted() as count:
        if "lightgcn" in name:
            dense.scorer()
        elif name == "neumf":
            dense.loss(Triplets(users, items, np.zeros((len(users), 0), np.int32)))
    of_hops = count.kernels * (USERS + ITEMS)  # for every node apart, as the paper's figures have it
    whole = {
        "lightgcn": of_hops,
        "lightgcn of items": of_hops,
        "lightgcn of users": of_hops,
        "neumf": count.all,  # the whole network for each pair, no half of it shared
    }.get(name) or ranked(dense)
    slots, weights = (sum(table.slots for table in each.tables.values()) for each in (model, dense))
    factors = 2 if name in ("mf", "ultragcn", "convncf") else 1
    assert cost.nominal_inference(model) == pytest.approx(whole * (slots / weights) ** factors, abs=1)
