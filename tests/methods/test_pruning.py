"""Methods that prune: what their stages are, and where their weights come from."""

from types import SimpleNamespace

import numpy as np
import pytest

from resprout.budget import Budget, Shape
from resprout.errors import BudgetExceeded
from resprout.kernels.select import choose
from resprout.methods import lottery, one_shot, pep, without_rewinding
from resprout.methods.method import Allowance, Moment, all_stages
from resprout.tables.build import build_tables
from resprout.tables.initial import Start

SHAPES = (Shape("user", 100, 10), Shape("item", 30, 10))


def stages_of(method, budget):
    """All stages, asked for twice: the answer must not change."""
    allowance = Allowance(SHAPES, Budget.parse(budget))
    stages = all_stages(method, allowance)
    assert stages == all_stages(method, allowance)
    return stages


def shares(stages):
    return [sum(stage.slots) / 1300 if stage.slots else 1.0 for stage in stages]


def test_rounds_of_a_lottery_keep_nine_tenths_each():
    stages = stages_of(lottery.Lottery(lottery.Options()), "50%")
    np.testing.assert_allclose(shares(stages), [*(0.9**r for r in range(7)), 0.5], atol=1 / 1300)
    assert stages[-1].slots == (500, 150)
    assert [stage.deployed for stage in stages] == [False] * 7 + [True]
    assert [stage.mask_from for stage in stages] == [None, *(stage.name for stage in stages[:-1])]
    assert {(stage.values_from, stage.draw) for stage in stages} == {(None, 0)}
    assert len({stage.name for stage in stages}) == 8


@pytest.mark.parametrize(("budget", "rounds"), [("20%", 17), ("10%", 23), ("5%", 30)])
def test_a_lottery_has_as_many_rounds_as_its_authors(budget, rounds):
    assert len(stages_of(lottery.Lottery(lottery.Options()), budget)) == rounds


def test_rounds_without_rewinding_start_with_values_of_their_own():
    options = without_rewinding.Options(cut=0.5)
    stages = stages_of(without_rewinding.WithoutRewinding(options), "25%")
    assert shares(stages) == [1.0, 0.5, 0.25]
    assert [stage.draw for stage in stages] == [0, 1, 2]
    assert {stage.values_from for stage in stages} == {None}


def test_rounds_that_continue_start_with_the_values_of_the_last():
    options = without_rewinding.Options(cut=0.5, mode="continue", round_epochs=4)
    stages = stages_of(without_rewinding.WithoutRewinding(options), "25%")
    assert [stage.values_from for stage in stages] == [None, "dense", "round 1"]
    assert [(stage.draw, stage.epochs) for stage in stages] == [(0, 4), (0, 4), (0, None)]


@pytest.mark.parametrize(
    ("retrain", "values_from", "epochs"), [("rewind", None, None), ("finetune", "dense", None), ("none", "dense", 0)]
)
def test_one_shot_has_two_stages(retrain, values_from, epochs):
    dense, final = stages_of(one_shot.OneShot(one_shot.Options(retrain=retrain)), "20%")
    assert (dense.storage, dense.deployed, final.deployed) == ("dense", False, True)
    assert (final.mask_from, final.values_from, final.epochs) == ("dense", values_from, epochs)
    assert final.slots == (200, 60)


def test_a_budget_that_leaves_a_small_table_without_a_slot():
    """Though there are more slots than tables."""
    with pytest.raises(BudgetExceeded, match=r"budget 0\.02% is too small: table 'user' would have no weight left"):
        Budget.parse("0.02%").slots([Shape("user", 10, 64), Shape("item", 100_000, 64)])
    assert Budget.parse("1%").slots(SHAPES) == [10, 3]


@pytest.mark.parametrize(("sums_loss", "pull"), [(False, 0.25), (True, 16.0)])
def test_thresholds_are_pulled_as_hard_beside_a_loss_that_is_a_sum(sums_loss, pull):
    tables = build_tables(SHAPES, "thresholded", (), Start("normal", 0.1, 0), False, choose().backend)
    model = SimpleNamespace(tables=tables, sums_loss=sums_loss)
    pep.Search(pep.Options(pull=0.25), 100).begin(Moment(0, 0, 10, 0, model, None, batch_size=64))
    assert [table.pull for table in tables.values()] == [pull, pull]
