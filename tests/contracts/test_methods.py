"""What every method must do, whatever the backbone: plans that are pure, and within the budget in weights or bytes."""

import pytest

from resprout import catalog
from resprout.budget import Budget
from resprout.kernels.select import choose
from resprout.methods.method import Allowance, all_stages
from resprout.tables.build import SEARCHED, build_tables
from resprout.tables.initial import Start

BACKBONES = ["mf", "lightgcn", "multvae"]
N_USERS, N_ITEMS = 60, 41


@pytest.fixture(params=[name for name in catalog.method_names() if name != "dense"])
def name(request):
    return request.param


def allowance_of(backbone, budget):
    kind = catalog.load_backbone(backbone)
    sizes = kind.Options(width=24), N_USERS, N_ITEMS
    one_sided = {side: tuple(shapes) for side, shapes in kind.one_sided_shapes(*sizes).items()}
    return Allowance(tuple(kind.shapes(*sizes)), budget, one_sided, {"users": 1000.0, "items": 1500.0})


def planned(name, backbone, budget, **options):
    """(the method's stages within the budget, what it has planned with)"""
    kind = catalog.load_method(name)
    allowance = allowance_of(backbone, Budget.parse(budget))
    method = kind(kind.Options(**{key: value for key, value in options.items() if key in kind.Options.model_fields}))
    stages = all_stages(method, allowance)
    assert all_stages(method, allowance) == stages
    return stages, allowance


def deployed(stages, allowance):
    """The tables that the last stage of a run leaves, and all that came before it, by storage and shape alone."""
    start, backend, by_name = Start("normal", 0.1, 0), choose().backend, {}
    for stage in stages:
        shapes = allowance.tables_of(stage)
        sources = [None if source is None else by_name[source] for source in (stage.mask_from, stage.values_from)]
        tables = build_tables(
            shapes, stage.storage, stage.slots, start, stage.scale_start, backend, *sources, stage.mask
        )
        if stage.storage == "mixed":
            for table in tables.values():
                table.chances[:] = 1
        by_name[stage.name] = tables
    return tables


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("budget", ["50%", "30%"])
def test_a_share_is_one_of_weights_and_for_rounded_tables_of_bytes(name, backbone, budget):
    stages, allowance = planned(name, backbone, budget)
    tables, share, shapes = deployed(stages, allowance), float(budget[:-1]) / 100, allowance.shapes
    assert [stage.deployed for stage in stages] == [False] * (len(stages) - 1) + [True]
    whole = sum(shape.weights for shape in shapes)
    slots = sum(table.slots for table in tables.values())
    taken = sum(table.memory(training=False).total for table in tables.values())
    if name in ("quantised", "resprout"):
        assert taken <= share * 4 * whole
    elif stages[-1].slots:
        assert slots == sum(stages[-1].slots) == int(share * whole)
    else:
        assert slots <= share * whole < slots + sum(shape.rows for shape in shapes)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_bytes_are_deployed_bytes_with_all_that_is_needed_to_read_them(name, backbone, precision):
    limit = 2048
    if name in ("quantised", "resprout") and precision == "float32":
        precision = "bits6"
    stages, allowance = planned(name, backbone, f"{limit}B", precision=precision)
    tables = deployed(stages, allowance)
    taken = sum(table.memory(training=False).total for table in tables.values())
    rows = sum(shape.rows for shape in allowance.tables_of(stages[-1]))
    column = rows * (6 if precision == "bits6" else 4)  # or eight, of six bits
    full = stages[-1].widths == allowance.widths
    assert limit - (4 if stages[-1].slots else column) < taken <= limit or (full and name in ("quantised", "resprout"))


def test_only_some_keep_to_the_budget_while_they_train(name):
    """As the README says of them."""
    stages, allowance = planned(name, "lightgcn", "50%")
    (shape,), most = allowance.shapes, 0
    for stage in stages:
        whole = stage.storage in SEARCHED or not stage.slots
        most = max(most, stage.widths[0] * shape.rows if whole else sum(stage.slots))
    assert (most <= shape.weights // 2) == (name in ("narrow", "random", "dsl"))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_budget_of_training_bytes_is_kept_by_those_without_a_dense_table(name, backbone):
    kind, budget = catalog.load_method(name), Budget.parse("40%", "training")
    allowance = allowance_of(backbone, budget)
    method, shapes = kind(kind.Options()), allowance.shapes
    stages = all_stages(method, allowance)
    if any(stage.storage not in ("packed", "int8", "float16") for stage in stages) and name != "narrow":
        return  # refused before training: see tests/training/test_run.py
    tables = deployed(stages, allowance)
    held = sum(table.memory(training=True).total for table in tables.values())
    held += method.hooks(stages[-1]).memory(tables).total
    limit = budget.bytes_of(shapes)
    assert limit == int(0.4 * 12 * sum(shape.weights for shape in shapes))
    full = stages[-1].widths == tuple(shape.width for shape in shapes)
    assert held <= limit
    assert held > 0.9 * limit or (full and name == "resprout")
    assert name in ("narrow", "random", "dsl", "resprout")
