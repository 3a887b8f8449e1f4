"""How many columns a budget is, and of how many bits."""

import pytest

from resprout.budget import Budget, Shape
from resprout.errors import BudgetExceeded
from resprout.methods.method import Allowance
from resprout.methods.resprout import Options, Resprout

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
        ("49%", "deployed", ("int8", 64)),
        ("26%", "deployed", ("bits6", 64)),  # 66.6 bytes a row; int8 wants 68
        ("20%", "deployed", ("bits6", 64)),  # 51.2 bytes a row, 49 taken
        ("10%", "deployed", ("bits3", 64)),  # 25.6 bytes, 25 taken
        ("6.7%", "deployed", ("bits3", 40)),  # 17.2 bytes, 16 taken: 64 of 2 bits are 17
        ("5%", "deployed", ("bits3", 24)),  # 12.8 bytes, 10 taken
        ("2%", "deployed", ("bits2", 16)),  # 5.1 bytes, 5 taken
        ("50%", "training", ("float16", 64)),
        ("17%", "training", ("int8", 64)),  # 130 bytes a row, of which float16 wants 132
        ("5%", "training", ("int8", 30)),  # 38.4 bytes a row, 8 for scale and moment
    ],
)
def test_columns_and_bits(budget, of, expected):
    assert planned(budget, of) == expected


def test_a_budget_without_room_for_a_column():
    with pytest.raises(BudgetExceeded, match="table 'user' would have no column left"):
        planned("0.5%")
    with pytest.raises(BudgetExceeded, match="no column left"):
        planned("1.5%", precision="int8")
