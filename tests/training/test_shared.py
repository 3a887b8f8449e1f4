"""Stages that runs have in common are trained once, and come to the same bits."""

import itertools

import pytest
from run_makers import Stop, StopAt, files_of, what_came_out

from resprout.training import run
from resprout.training.observers import Observer
from resprout.training.shared import SharedStages


class Stages(Observer):
    """Which stages were trained."""

    def __init__(self):
        self.trained = []

    def begin(self, plan):
        self.trained.append((plan.phase, plan.stage))


def started(chosen, folder, shared=None):
    stages = Stages()
    run.start(chosen, folder, stages, shared=shared)
    return stages.trained


@pytest.mark.parametrize(
    "method", ["one_shot", "lottery", "rkd", "tkd, hierarchical", "pep", "quantised", "random, int8"]
)
@pytest.mark.parametrize("again", [(), ("refit",), ("refit", "final")])
def test_what_is_taken_over_is_what_would_have_been_trained(settings, tmp_path, method, again):
    chosen = settings(method, *(f"training.{phase}=true" for phase in again))
    shared = SharedStages(tmp_path / "shared")
    all_of_it = started(chosen, tmp_path / "alone")
    assert started(chosen, tmp_path / "giver", shared) == all_of_it
    left = started(chosen, tmp_path / "taker", shared)
    assert [part for part in left if part[1] not in ("rounded",)] == []
    assert what_came_out(tmp_path / "alone") == what_came_out(tmp_path / "giver") == what_came_out(tmp_path / "taker")
    over = [stage["taken_over"] for stage in files_of(tmp_path / "taker")[2]["cost"]["stages"]]
    assert over == [stage["epochs"] > 0 for stage in files_of(tmp_path / "taker")[2]["cost"]["stages"]]


def test_methods_share_a_dense_table_and_budgets_their_rounds(settings, tmp_path):
    shared, own = SharedStages(tmp_path / "shared"), ["method.cut=0.4", "method.round_epochs=6"]
    assert started(settings("dense"), tmp_path / "dense", shared) == [("train", "train")]
    assert started(settings("one_shot"), tmp_path / "one_shot", shared) == [("train", "train")]
    assert started(settings("quantised"), tmp_path / "quantised", shared) == [("train", "rounded")]
    # a number of epochs that is asked for is another plan than that of the training, though it is the same
    rounds = [("train", name) for name in ("dense", "round 1", "train")]
    assert started(settings("lottery", *own), tmp_path / "half", shared) == rounds
    smaller = started(settings("lottery", *own, "budget.limit=30%"), tmp_path / "smaller", shared)
    assert smaller == [("train", "round 2"), ("train", "train")]
    assert len(started(settings("autoemb"), tmp_path / "sizes", shared)) == 2
    assert started(settings("autoemb", "budget.limit=30%"), tmp_path / "fewer", shared) == [("train", "train")]


@pytest.mark.parametrize(
    "other",
    ["training.seed=1", "training.learning_rate=0.04", "backbone.l2=0.5", "split.test_share=0.3", "method.pull=0.02"],
)
def test_what_depends_on_something_else_is_trained(settings, tmp_path, other):
    shared = SharedStages(tmp_path / "shared")
    started(settings("pep"), tmp_path / "one", shared)
    trained = started(settings("pep", other), tmp_path / "other", shared)
    assert trained == [("train", "search"), ("train", "train")]


def test_a_run_that_is_stopped_shares_and_takes_like_any_other(settings, tmp_path):
    shared = SharedStages(tmp_path / "shared")
    started(settings("lottery"), tmp_path / "whole")
    with pytest.raises(Stop):
        run.start(settings("lottery"), tmp_path / "halves", StopAt(9), shared=shared)
    for stop_at in itertools.cycle((10, 16)):
        try:
            run.resume(tmp_path / "halves", StopAt(stop_at), shared=shared)
            break
        except Stop:
            pass
    assert what_came_out(tmp_path / "halves") == what_came_out(tmp_path / "whole")
    assert started(settings("lottery"), tmp_path / "taker", shared) == []
