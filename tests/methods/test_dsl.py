"""When, how many and where slots move."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from resprout.budget import Budget, Shape
from resprout.errors import SettingsError
from resprout.kernels.contract import row_slots
from resprout.kernels.select import choose
from resprout.methods.dsl import DSL, Options
from resprout.methods.method import Allowance, Moment
from resprout.schedules import decayed
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.places import flags

SHAPES = (Shape("user", 30, 10), Shape("item", 20, 10))
IDS = np.arange(20, dtype=np.int32)


def tables_and_hooks(options, budget="40%"):
    method = DSL(options)
    stage = method.next_stage((), Allowance(SHAPES, Budget.parse(budget)))
    start, backend = Start("normal", 0.1, 0), choose().backend
    tables = build_tables(SHAPES, stage.storage, stage.slots, start, False, backend, mask=stage.mask)
    return tables, method.hooks(stage)


def after_step(hooks, tables, step, total=1000, factors=None):
    def backward(factor):
        if factors is not None:
            factors.append(factor)
        for table in tables.values():
            table.clear_gradient()
            (autograd.rows(table, IDS) - 1).square().sum().backward()

    hooks.after_update(Moment(0, step, total, 0, SimpleNamespace(tables=tables), backward))


def masks(tables):
    return {name: table.mask.copy() for name, table in tables.items()}


def changed(before, after):
    return any((before[name] != after[name]).any() for name in before)


def test_slots_move_every_so_many_steps_and_at_no_other():
    tables, hooks = tables_and_hooks(Options(regrow_every=7, grow="random"))
    moved_at = []
    for step in range(1, 22):
        before = masks(tables)
        after_step(hooks, tables, step)
        if changed(before, masks(tables)):
            moved_at.append(step)
    assert moved_at == [7, 14, 21]


@pytest.mark.parametrize(("total", "first"), [(1000, 20), (10**6, 2000), (10, 1)])
def test_the_default_is_the_papers_interval_or_fifty_moves(total, first):
    tables, hooks = tables_and_hooks(Options())
    before = masks(tables)
    if first > 1:
        after_step(hooks, tables, first - 1, total)
        assert not changed(before, masks(tables))
    after_step(hooks, tables, first, total)
    assert changed(before, masks(tables))


def test_the_share_that_moves_falls_and_is_nothing_at_the_end():
    moved = []
    for step in (10, 500, 1000):
        tables, hooks = tables_and_hooks(Options(regrow_every=10, share=0.4, grow="random"))
        after_step(hooks, tables, step)
        moved.append(hooks.state()["moved_slots"])
    slots = sum(table.slots for table in tables.values())
    assert slots == 200
    assert moved[0] <= 0.4 * slots
    assert moved[0] > moved[1] > moved[2] == 0


@pytest.mark.parametrize(("options", "outside", "inside"), [
    ({"freeze_at": 0.75}, 760, 740), ({"begin_at": 0.25}, 240, 250),
])  # fmt: skip
def test_nothing_moves_outside_its_time(options, outside, inside):
    tables, hooks = tables_and_hooks(Options(regrow_every=10, **options))
    before = masks(tables)
    after_step(hooks, tables, outside)
    assert not changed(before, masks(tables))
    after_step(hooks, tables, inside)
    assert changed(before, masks(tables))


def test_slots_stay_in_their_table_unless_the_scope_is_joint():
    for scope, stays in (("table", True), ("joint", False)):
        tables, hooks = tables_and_hooks(Options(regrow_every=1, scope=scope))
        for step in range(1, 20):
            after_step(hooks, tables, step)
        counts = {name: table.slots for name, table in tables.items()}
        assert sum(counts.values()) == 200
        assert (counts == {"user": 120, "item": 80}) == stays


def test_growth_by_gradient_takes_only_rows_that_have_one():
    tables, hooks = tables_and_hooks(Options(regrow_every=1, share=0.5))
    before = tables["user"].read_range(0, 30) != 0
    after_step(hooks, tables, 1)
    mask = np.unpackbits(tables["user"].stored.mask.view(np.uint8), axis=1, bitorder="little")[:, :10].astype(bool)
    grown = mask & ~before
    assert grown[:20].sum() > 0
    assert grown[20:].sum() == 0


def test_zero_growth_batches_use_the_gradient_that_is_there():
    for batches, expected in ((0, []), (3, [3])):
        factors = []
        tables, hooks = tables_and_hooks(Options(regrow_every=1, growth_batches=batches))
        for table in tables.values():
            (autograd.rows(table, IDS[:5]) - 1).square().sum().backward()
        before = tables["user"].stored.mask.copy()
        after_step(hooks, tables, 1, factors=factors)
        assert factors == expected
        grown = tables["user"].stored.mask & ~before
        assert grown[:5].any()
        assert grown[5:20].any() == (batches > 0)


@pytest.mark.parametrize(("options", "expected"), [
    ({}, [1] * 11), ({"growth_batches": 3, "begin_at": 0.2, "freeze_at": 0.7}, [3] * 8), ({"growth_batches": 0}, []),
    ({"grow": "random"}, []),
])  # fmt: skip
def test_the_fresh_batches_that_it_announces_are_those_that_it_takes(options, expected):
    factors = []
    tables, hooks = tables_and_hooks(Options(regrow_every=7, **options))
    for table in tables.values():
        (autograd.rows(table, IDS) - 1).square().sum().backward()
    for step in range(11, 90):
        after_step(hooks, tables, step, 100, factors)
    assert list(hooks.fresh_batches(range(11, 90), 100)) == factors == expected


@pytest.mark.parametrize("scope", ["table", "joint"])
def test_nowhere_to_grow_is_refused(scope):
    tables, hooks = tables_and_hooks(Options(regrow_every=1, scope=scope))

    def backward(factor):
        for table in tables.values():  # only weights that exist have a gradient, as in columns that others lack
            table.clear_gradient()
            autograd.half_squares(table).backward()

    moment = Moment(0, 1, 100, 0, SimpleNamespace(tables=tables), backward)
    with pytest.raises(SettingsError, match="nowhere to grow: no weight without a slot has a gradient"):
        hooks.after_update(moment)


@pytest.mark.parametrize("scope", ["table", "joint"])
def test_with_all_weights_nothing_moves(scope):
    tables, hooks = tables_and_hooks(Options(regrow_every=1, scope=scope), "100%")
    before = masks(tables)
    after_step(hooks, tables, 1)
    assert not changed(before, masks(tables))
    assert hooks.state() == {"moved_slots": 0}


@pytest.mark.parametrize(("kind", "values"), [
    ("cosine", [1, 0.8535534, 0.5, 0]), ("linear", [1, 0.75, 0.5, 0]), ("constant", [1, 1, 1, 1]),
])  # fmt: skip
def test_schedules(kind, values):
    assert [decayed(kind, done) for done in (0, 0.25, 0.5, 1)] == pytest.approx(values)


def test_a_record_of_where_slots_ever_were():
    tables, hooks = tables_and_hooks(Options(regrow_every=5, grow="random", record_lived=True))
    hooks.prepare(SimpleNamespace(tables=tables), lambda name: None, 0)
    lived = masks(tables)
    assert hooks.state() == {"moved_slots": 0, "ever_slots": 200}
    for step in range(1, 31):
        after_step(hooks, tables, step)
        for name, mask in masks(tables).items():
            lived[name] |= mask
    ever = sum(int(np.bitwise_count(mask).sum()) for mask in lived.values())
    assert 200 < ever < 500
    assert hooks.state()["ever_slots"] == ever
    plain = tables_and_hooks(Options(regrow_every=5))[1]
    masks_bytes = sum(mask.nbytes for mask in lived.values())
    assert hooks.memory(tables).total - plain.memory(tables).total == masks_bytes


@pytest.mark.parametrize("scope", ["table", "joint"])
def test_rows_without_a_mask_gain_and_lose_columns_at_their_ends(scope):
    tables, hooks = tables_and_hooks(Options(regrow_every=2, mask="prefix", scope=scope, record_lived=True))
    hooks.prepare(SimpleNamespace(tables=tables), lambda name: None, 0)
    before = masks(tables)
    for step in range(1, 9):
        after_step(hooks, tables, step)
        assert sum(table.slots for table in tables.values()) == 200
    assert {table.storage for table in tables.values()} == {"prefix"}
    assert changed(before, masks(tables))
    assert hooks.state()["ever_slots"] > 200
    held = hooks.memory(tables).bytes_by_kind
    assert held["lived_mask"] == sum(mask.nbytes for mask in before.values())
    assert held["moves"] == 2 * held["lived_mask"] + 4 * 200


def test_slots_of_least_sensitivity_go():
    tables, hooks = tables_and_hooks(Options(regrow_every=1, drop="sensitivity", growth_batches=0))
    before, rows = masks(tables), {name: table.read_range(0, table.shape.rows) for name, table in tables.items()}
    gone = {}
    for name, table in tables.items():
        gradient = np.random.default_rng(3).standard_normal(rows[name].shape).astype(np.float32)
        ids = np.arange(table.shape.rows, dtype=np.int32)
        (autograd.rows(table, ids) * torch.from_numpy(gradient)).sum().backward()
        slots = rows[name] != 0
        count = int(0.5 * decayed("cosine", 1 / 1000) * table.slots)
        ranked = np.where(slots, np.abs(rows[name] * gradient), np.inf).ravel()
        gone[name] = set(np.argsort(ranked, kind="stable")[:count])
        by_magnitude = np.where(slots, np.abs(rows[name]), np.inf).ravel()
        assert gone[name] != set(np.argsort(by_magnitude, kind="stable")[:count])
    after_step(hooks, tables, 1)
    for name, table in tables.items():
        left = flags(before[name] & ~table.mask, rows[name])
        assert left.any()
        assert set(np.flatnonzero(left)) <= gone[name]


@pytest.mark.parametrize("weighed", [{"drop": "sensitivity"}, {"floor": 1}, {"drop": "sensitivity", "floor": 2}])
@pytest.mark.parametrize("mask", ["random", "prefix"])
def test_what_slots_are_worth_is_within_a_budget_of_training(mask, weighed):
    shapes, budget = (Shape("node", 500, 64),), Budget.parse("60kB", "training")
    method = DSL(Options(mask=mask, **weighed))
    stage = method.next_stage((), Allowance(shapes, budget))
    start = Start("normal", 0.1, 0)
    tables = build_tables(shapes, stage.storage, stage.slots, start, False, choose().backend, mask=stage.mask)
    held = tables["node"].memory(training=True).total + method.hooks(stage).memory(tables).total
    assert budget.size - 32 < held <= budget.size


@pytest.mark.parametrize("mask", ["random", "prefix"])
def test_rows_keep_their_floor_while_slots_move(mask):
    tables, hooks = tables_and_hooks(Options(regrow_every=1, share=0.9, grow="random", mask=mask, floor=2))
    least = {name: np.minimum(row_slots(table.mask), 2) for name, table in tables.items()}
    for step in range(1, 30):
        after_step(hooks, tables, step)
    assert hooks.state()["moved_slots"] > 0
    assert all((row_slots(table.mask) >= least[name]).all() for name, table in tables.items())


@pytest.mark.parametrize("mask", ["random", "prefix"])
def test_new_slots_have_second_moments_if_asked(mask):
    for new_moments, zeros in (("zero", True), ("row", False)):
        tables, hooks = tables_and_hooks(Options(regrow_every=1, mask=mask, new_moments=new_moments))
        for table in tables.values():
            table.moments[1][:] = 0.5
        after_step(hooks, tables, 1)
        assert hooks.state()["moved_slots"] > 0
        assert any((table.moments[1] == 0).any() for table in tables.values()) == zeros


def test_rows_without_a_mask_are_float32():
    with pytest.raises(SettingsError, match=r"method\.precision = 'int8': rows that keep a prefix are float32 only"):
        tables_and_hooks(Options(mask="prefix", precision="int8"))


def test_rows_without_a_mask_have_more_slots_in_as_many_bytes():
    shapes = (Shape("node", 500, 64),)
    for of in ("deployed", "training"):
        budget = Budget.parse("30kB", of)
        (masked,), (prefix,) = (
            DSL(Options(mask=mask)).next_stage((), Allowance(shapes, budget)).slots for mask in ("random", "prefix")
        )
        # eight bytes of mask a row, or one of length
        assert (prefix - masked == (500 * 8 - 500) / 4) == (of == "deployed")
        tables = build_tables(shapes, "prefix", [prefix], Start("normal", 0.1, 0), False, choose().backend)
        held = tables["node"].memory(training=of == "training").total
        held += tables["node"].moving_bytes(weighed=False) if of == "training" else 0
        assert budget.size - 32 < held <= budget.size
