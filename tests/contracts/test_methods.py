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


def shapes_of(backbone):
    kind = catalog.load_backbone(backbone)
    return tuple(kind.shapes(kind.Options(width=24), N_USERS, N_ITEMS))


def planned(name, backbone, budget, **options):
    """(the method's stages within the budget, shapes of its tables)"""
    kind = catalog.load_method(name)
    allowance = Allowance(shapes_of(backbone), Budget.parse(budget))
    method = kind(kind.Options(**{key: value for key, value in options.items() if key in kind.Options.model_fields}))
    stages = all_stages(method, allowance)
    assert all_stages(method, allowance) == stages
    return stages, allowance.shapes


def deployed(stages, shapes):
    """The tables that the last stage of a run leaves, and all that came before it, by storage and shape alone."""
    start, backend, by_name = Start("normal", 0.1, 0), choose().backend, {}
    for stage in stages:
        narrowed = [shape.narrowed(width) for shape, width in zip(shapes, stage.widths, strict=True)]
        sources = [None if source is None else by_name[source] for source in (stage.mask_from, stage.values_from)]
        tables = build_tables(
            narrowed, stage.storage, stage.slots, start, stage.scale_start, backend, *sources, stage.mask
        )
        if stage.storage == "mixed":
            for table in tables.values():
                table.chances[:] = 1
        by_name[stage.name] = tables
    return tables


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("budget", ["50%", "30%"])
def test_a_share_is_one_of_weights_and_for_rounded_tables_of_bytes(name, backbone, budget):
    stages, shapes = planned(name, backbone, budget)
    tables, share = deployed(stages, shapes), float(budget[:-1]) / 100
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
    stages, shapes = planned(name, backbone, f"{limit}B", precision=precision)
    tables = deployed(stages, shapes)
    taken = sum(table.memory(training=False).total for table in tables.values())
    column = sum(shape.rows for shape in shapes) * (6 if precision == "bits6" else 4)  # or eight, of six bits
    full = stages[-1].widths == tuple(shape.width for shape in shapes)
    assert limit - (4 if stages[-1].slots else column) < taken <= limit or (full and precision == "bits6")


def test_only_some_keep_to_the_budget_while_they_train(name):
    """As the README says of them."""
    stages, (shape,) = planned(name, "lightgcn", "50%")
    most = 0
    for stage in stages:
        whole = stage.storage in SEARCHED or not stage.slots
        most = max(most, stage.widths[0] * shape.rows if whole else sum(stage.slots))
    assert (most <= shape.weights // 2) == (name in ("narrow", "random", "dsl"))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_budget_of_training_bytes_is_kept_by_those_without_a_dense_table(name, backbone):
    kind, shapes = catalog.load_method(name), shapes_of(backbone)
    budget = Budget.parse("40%", "training")
    method = kind(kind.Options())
    stages = all_stages(method, Allowance(shapes, budget))
    if any(stage.storage not in ("packed", "int8", "float16") for stage in stages) and name != "narrow":
        return  # refused before training: see tests/training/test_run.py
    tables = deployed(stages, shapes)
    held = sum(table.memory(training=True).total for table in tables.values())
    held += method.hooks(stages[-1]).memory(tables).total
    limit = budget.bytes_of(shapes)
    assert limit == int(0.4 * 12 * sum(shape.weights for shape in shapes))
    full = stages[-1].widths == tuple(shape.width for shape in shapes)
    assert held <= limit
    assert held > 0.9 * limit or (full and name == "resprout")
    assert name in ("narrow", "random", "dsl", "resprout")
