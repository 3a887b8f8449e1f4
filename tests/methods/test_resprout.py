"""How many columns a budget is, and of how many bits."""

from types import SimpleNamespace

import numpy as np
import pytest

from resprout.budget import Budget, Shape
from resprout.errors import BudgetExceeded, SettingsError
from resprout.kernels.select import choose
from resprout.methods.method import Allowance, Hooks, Moment, all_stages
from resprout.methods.resprout import Options, Resprout
from resprout.tables.build import build_tables
from resprout.tables.initial import Start

SHAPES = (Shape("user", 1000, 64), Shape("item", 500, 64))


def planned(budget, of="deployed", precision="auto"):
    limit = None if budget is None else Budget.parse(budget, of)
    stage = Resprout(Options(precision=precision)).next_stage((), Allowance(SHAPES, limit))
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
        ("5%", "training", ("int8", 30)),  # 38.4 bytes a row, 8 for scale and moment
    ],
)
def test_columns_and_bits(budget, of, expected):
    assert planned(budget, of) == expected


def allowance_with_items(budget, interactions_of_item):
    return Allowance((Shape("node", 1500, 64),), budget, (Shape("item", 500, 64),), interactions_of_item)


@pytest.mark.parametrize(
    ("budget", "of", "user_rows", "expected"),
    [
        (None, "deployed", None, ("train", "float16", 64)),
        (None, "deployed", False, ("items", "float16", 64)),
        ("20%", "deployed", None, ("train", "bits6", 64)),  # 0.994^6 x 64 columns are more than 0.85 x 64
        ("10%", "deployed", None, ("items", "bits6", 64)),  # 76.8 bytes an item, against 3 bits a node
        ("10%", "deployed", True, ("train", "bits3", 64)),
        ("2%", "deployed", None, ("items", "bits2", 56)),  # 15.36 bytes an item
        ("17%", "training", None, ("train", "float16", 63)),
        ("10%", "training", None, ("items", "float16", 64)),
        ("5%", "training", None, ("items", "float16", 55)),  # 115.2 bytes an item, of which int8 has all 64 columns
        ("2%", "training", None, ("items", "int8", 38)),  # 46.1 bytes, of which float16 has 21
        ("100%", "deployed", False, ("items", "float16", 64)),  # whose tables are smaller than that
    ],
)
def test_rows_for_users_or_more_of_items(budget, of, user_rows, expected):
    allowance = allowance_with_items(budget and Budget.parse(budget, of), 330)
    (stage,) = all_stages(Resprout(Options(user_rows=user_rows)), allowance)
    assert (stage.name, stage.storage, *stage.widths) == expected
    assert stage.user_rows == (stage.name == "train")
    assert sum(shape.rows for shape in allowance.tables_of(stage)) == (1500 if stage.user_rows else 500)


@pytest.mark.parametrize(("user_rows", "name"), [(None, "train"), (False, "items")])
def test_rows_for_users_stay_where_items_have_few_interactions(user_rows, name):
    method = Resprout(Options(user_rows=user_rows))
    (stage,) = all_stages(method, allowance_with_items(Budget.parse("5%"), 25))
    assert stage.name == name


def test_rows_for_users_cannot_be_left_out_of_every_backbone():
    with pytest.raises(SettingsError, match="user_rows = false: this backbone has no form without rows for users"):
        Resprout(Options(user_rows=False)).next_stage((), Allowance(SHAPES, None))


def test_a_budget_without_room_for_a_column():
    with pytest.raises(BudgetExceeded, match="table 'user' would have no column left"):
        planned("0.5%")
    with pytest.raises(BudgetExceeded, match="no column left"):
        planned("1.5%", precision="int8")


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
