"""How many columns a budget is, and of how many bits."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from resprout.budget import Budget, Shape
from resprout.errors import BudgetExceeded, SettingsError
from resprout.kernels.select import choose
from resprout.methods.method import Allowance, Hooks, Moment, all_stages
from resprout.methods.quantised import Quantised
from resprout.methods.resprout import Options, Resprout
from resprout.tables.build import build_tables
from resprout.tables.initial import Start

SHAPES = (Shape("user", 1000, 64), Shape("item", 500, 64))


def planned(budget, of="deployed", **options):
    limit = None if budget is None else Budget.parse(budget, of)
    stage = Resprout(Options(**options)).next_stage((), Allowance(SHAPES, limit))
    assert len(set(stage.widths)) == 1
    return stage.storage, stage.widths[0]


@pytest.mark.parametrize(
    ("budget", "of", "expected"),
    [
        (None, "deployed", ("float16", 64)),
        ("50%", "deployed", ("float16", 64)),  # 128 bytes a row
        ("49%", "deployed", ("bits6", 64)),
        ("20%", "deployed", ("bits6", 64)),  # 51.2 bytes a row, 49 taken
        ("10%", "deployed", ("bits3", 64)),  # 25.6 bytes, 25 taken
        ("6.7%", "deployed", ("bits3", 40)),  # 17.2 bytes, 16 taken: 64 of 2 bits are 17
        ("5%", "deployed", ("bits3", 24)),  # 12.8 bytes, 10 taken
        ("2%", "deployed", ("bits2", 16)),  # 5.1 bytes, 5 taken
        ("50%", "training", ("float16", 64)),
        ("17%", "training", ("float16", 63)),  # 130 bytes a row, 4 for the moment
        ("10%", "training", ("int8", 64)),  # 76.8 bytes, of which float16 has 36 columns
        ("5%", "training", ("int8", 35)),  # 38.4 bytes a row, 3 for scale and moment
    ],
)
def test_columns_and_bits(budget, of, expected):
    assert planned(budget, of) == expected


@pytest.mark.parametrize(("worth", "expected"), [(0.6, ("int8", 64)), (0.5, ("float16", 36))])
def test_a_column_of_int8_counts_as_much_as_the_backbone_makes_of_it(worth, expected):
    assert planned("10%", "training", int8_worth=worth) == expected


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("20%", "bits6"),
        ("11%", "planes26"),  # 28.16 bytes a row, of which 0.43 are for what columns have, and one for the code
        ("10%", "planes24"),
        ("5%", "planes11"),
        ("2%", "planes3"),
        ("1.2%", "planes1"),
    ],
)
def test_planes_where_bits_are_few_and_rows_can_be_turned(budget, expected):
    allowance = Allowance(SHAPES, Budget.parse(budget), rotation_invariant=True)
    stage = Resprout(Options()).next_stage((), allowance)
    assert (stage.storage, stage.widths) == (expected, (64, 64))
    tables = build_tables(SHAPES, stage.storage, (), Start("normal", 0.1, 0), False, choose().backend)
    taken = sum(table.memory(training=False).total for table in tables.values())
    limit = allowance.budget.bytes_of(SHAPES)
    assert limit - 1500 < taken <= limit or expected == "bits6"


def test_planes_of_more_bytes_than_columns_can_use():
    allowance = Allowance(SHAPES, Budget.parse("90%"), rotation_invariant=True)
    assert Resprout(Options(precision="planes")).next_stage((), allowance).storage == "planes64"


@pytest.mark.parametrize(
    ("allowance", "error"),
    [
        (Allowance(SHAPES, Budget.parse("5%")), "scores of this backbone are not products of rows"),
        (Allowance(SHAPES, None, rotation_invariant=True), "needs a budget of deployed bytes"),
        (
            Allowance(SHAPES, Budget.parse("5%", "training"), rotation_invariant=True),
            "needs a budget of deployed bytes",
        ),
        (Allowance(SHAPES, Budget.parse("0.8%"), rotation_invariant=True), "no byte a row left"),
    ],
)
@pytest.mark.parametrize("method", [Quantised, Resprout])
def test_where_there_are_no_planes(method, allowance, error):
    with pytest.raises((SettingsError, BudgetExceeded), match=error):
        all_stages(method(method.Options(precision="planes")), allowance)


def test_a_dense_table_has_the_same_planes():
    allowance = Allowance(SHAPES, Budget.parse("5%"), rotation_invariant=True)
    dense, rounded = all_stages(Quantised(Quantised.Options(precision="planes")), allowance)
    (trained,) = all_stages(Resprout(Options()), allowance)
    assert (dense.storage, dense.widths, dense.deployed) == ("dense", (64, 64), False)
    assert (rounded.storage, rounded.widths) == (trained.storage, trained.widths) == ("planes11", (64, 64))
    assert (rounded.values_from, rounded.epochs) == (dense.name, 0)


def allowance_with_sides(budget, of_users, of_items):
    one_sided = {"items": (Shape("item", 500, 64),), "users": (Shape("user", 1000, 64),)}
    interactions = {"users": of_users, "items": of_items}
    return Allowance((Shape("node", 1500, 64),), budget, one_sided, interactions)


@pytest.mark.parametrize(
    ("budget", "of", "rows_for", "expected"),
    [
        (None, "deployed", None, ("train", "float16", 64)),
        (None, "deployed", "items", ("items", "float16", 64)),
        ("20%", "deployed", None, ("train", "bits6", 64)),  # 0.994^6 x 64 columns are more than 0.85 x 64
        ("10%", "deployed", None, ("items", "bits6", 64)),  # 76.8 bytes an item, against 3 bits a node
        ("10%", "deployed", "both", ("train", "bits3", 64)),
        ("10%", "deployed", "users", ("users", "bits4", 64)),  # 38.4 bytes a user
        ("2%", "deployed", None, ("items", "bits2", 56)),  # 15.36 bytes an item
        ("17%", "training", None, ("train", "float16", 63)),
        ("10%", "training", None, ("items", "float16", 64)),
        ("5%", "training", None, ("items", "float16", 55)),  # 115.2 bytes an item, of which int8 has all 64 columns
        ("2%", "training", None, ("items", "int8", 43)),  # 46.1 bytes, of which float16 has 21
        ("100%", "deployed", "items", ("items", "float16", 64)),  # whose tables are smaller than that
    ],
)
def test_rows_for_both_or_more_of_one_side(budget, of, rows_for, expected):
    allowance = allowance_with_sides(budget and Budget.parse(budget, of), 99, 330)
    (stage,) = all_stages(Resprout(Options(rows_for=rows_for)), allowance)
    assert (stage.name, stage.storage, *stage.widths) == expected
    assert stage.rows_for == {"train": "both"}.get(stage.name, stage.name)
    rows = {"both": 1500, "items": 500, "users": 1000}[stage.rows_for]
    assert sum(shape.rows for shape in allowance.tables_of(stage)) == rows


@pytest.mark.parametrize(
    ("of_users", "of_items", "rows_for", "name"),
    [
        (30, 25, None, "train"),  # both sides need rows
        (30, 25, "items", "items"),
        (9, 25, None, "items"),  # a user knows too little to need a row
        (30, 9, None, "users"),
        (30, 100, None, "items"),  # an item says all about itself
        (100, 30, None, "users"),
    ],
)
def test_a_side_goes_without_rows_where_it_knows_little_or_the_other_one_much(of_users, of_items, rows_for, name):
    method = Resprout(Options(rows_for=rows_for))
    (stage,) = all_stages(method, allowance_with_sides(Budget.parse("3%"), of_users, of_items))
    assert stage.name == name


@pytest.mark.parametrize("side", ["items", "users"])
def test_not_every_backbone_does_without_rows(side):
    with pytest.raises(SettingsError, match=f"rows_for = '{side}': this backbone has no form with rows for {side} al"):
        Resprout(Options(rows_for=side)).next_stage((), Allowance(SHAPES, None))


def test_a_budget_without_room_for_a_column():
    with pytest.raises(BudgetExceeded, match="table 'user' would have no column left"):
        planned("0.5%")
    with pytest.raises(BudgetExceeded, match="no column left"):
        planned("0.5%", precision="int8")


@pytest.mark.parametrize("budget", ["0.5%", "600B"])
@pytest.mark.parametrize("precision", ["planes", "float16", "int8", "bits3"])
@pytest.mark.parametrize("method", [Quantised, Resprout])
def test_a_budget_that_is_too_small_says_which_one_would_do(method, budget, precision):
    def plan(limit):
        allowance = Allowance(SHAPES, Budget.parse(limit), rotation_invariant=True)
        return all_stages(method(method.Options(precision=precision)), allowance)

    with pytest.raises(BudgetExceeded) as refused:
        plan(budget)
    (enough,) = re.findall(r"; give (\S+) or more$", str(refused.value))
    assert enough[-1] == budget[-1]
    assert plan(enough)
    less = f"{int(enough[:-1]) - 1}B" if enough.endswith("B") else f"{float(enough[:-1]) - 0.01:.2f}%"
    with pytest.raises(BudgetExceeded):
        plan(less)


def test_rounding_that_begins_late():
    """Losses read float16 weights up to the share, the rest of the world rounded ones."""
    method = Resprout(Options(precision="bits2", round_at=0.4))
    (stage,) = all_stages(method, Allowance(SHAPES, None))
    tables = build_tables(SHAPES, stage.storage, (), Start("normal", 0.1, 0), False, choose().backend)
    levels = {name: len(np.unique(np.abs(table.read_range(0, 1)))) for name, table in tables.items()}
    assert levels == {"user": 2, "item": 2}
    hooks, read = method.hooks(stage), {}
    for step in (4, 5):
        moment = Moment(0, step, 10, 0, SimpleNamespace(tables=tables), lambda factor: None)
        hooks.before_batch(moment)
        read[step] = {name: len(np.unique(np.abs(table.read_range(0, 1)))) for name, table in tables.items()}
        hooks.after_update(moment)
        assert {name: len(np.unique(np.abs(table.read_range(0, 1)))) for name, table in tables.items()} == levels
    assert min(read[4].values()) > 30
    assert read[5] == levels
    assert type(Resprout(Options(precision="bits2")).hooks(stage)) is Hooks


@pytest.mark.parametrize("share", [0.4, 0.5, 1])
def test_tables_are_turned_until_rounding_begins(share):
    """Epochs of two steps, ten in all: after each epoch, and at the first step that reads rounded weights."""
    method = Resprout(Options(precision="planes", turn_until=share))
    allowance = Allowance(SHAPES, Budget.parse("5%"), rotation_invariant=True)
    (stage,) = all_stages(method, allowance)
    tables = build_tables(SHAPES, stage.storage, (), Start("normal", 0.1, 0), False, choose().backend)
    hooks, before, found = method.hooks(stage), {}, []

    def note(what):
        now = tables["user"].unrounded.copy()
        if (now != before.get("user", now)).any():
            found.append(what)
        # rows differ more along some axis each time, so that turning them is seen
        tables["user"].unrounded[:, len(found)] *= np.float16(1.5)
        before["user"] = tables["user"].unrounded.copy()

    note(0)
    for step in range(1, 11):
        moment = Moment((step - 1) // 2, step, 10, 0, SimpleNamespace(tables=tables), lambda factor: None)
        hooks.before_batch(moment)
        assert tables["user"].reads_unrounded == (step <= share * 10)
        note(step)
        hooks.after_update(moment)
        assert not tables["user"].reads_unrounded
        if step % 2 == 0:
            hooks.after_epoch(moment)
            note(step + 0.5)
    steps = [step for step in (2.5, 4.5, 6.5, 8.5, 10.5) if int(step) <= share * 10]
    assert found == sorted([*steps, *([int(share * 10) + 1] if share < 1 else [])])
