import io
import time
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from resprout.cli.progress import Bar, Lines, watcher
from resprout.data import Dataset, Interactions
from resprout.data.idmap import IdMap
from resprout.data.interactions import Dropped
from resprout.data.split import SplitCounts
from resprout.training.observers import EpochRecord, Plan


def record(epoch, value, phase="train", stage="train"):
    metrics = {} if value is None else {"recall@20": value}
    return EpochRecord(phase, stage, epoch, 10 * epoch, 0.5, 0.01, 1.0, 1234, metrics=metrics)


def test_a_bar_on_a_terminal_and_lines_elsewhere():
    assert isinstance(watcher("recall@20", Console(file=io.StringIO(), force_terminal=True)), Bar)
    assert isinstance(watcher("recall@20", Console(file=io.StringIO())), Lines)


def test_bar_shows_epoch_loss_metric_and_weights():
    file = io.StringIO()
    bar = Bar("recall@20", Console(file=file, force_terminal=True, width=120), "dsl")
    bar.begin(Plan("train", "train", 4, 10, 0, 1234))
    bar.step(5)
    for epoch, value in ((1, 0.25), (2, 0.125), (3, None)):
        bar.step(10 * epoch)
        bar.epoch(record(epoch, value))
    bar.end()
    bar.end()
    shown = file.getvalue()
    assert "dsl train 4/4" in shown
    assert "loss 0.5000" in shown
    assert "1,234 weights" in shown


def test_both_say_why_the_first_step_takes_long(capsys):
    file = io.StringIO()
    bar, lines = Bar("recall@20", Console(file=file, force_terminal=True, width=120)), Lines("recall@20", "dsl")
    for each in (bar, lines):
        each.compiling()  # before there is anything to show
        each.begin(Plan("train", "train", 2, 10, 0, 1234))
        each.compiling()
    text = "compiling kernels, once on this machine"
    assert capsys.readouterr().err.splitlines()[0] == f"dsl {text}"
    end = time.monotonic() + 20
    while text not in file.getvalue() and time.monotonic() < end:  # it is drawn ten times a second
        time.sleep(0.02)
    bar.step(1)
    bar.end()
    lines.end()
    shown = file.getvalue()
    assert "1,234 weights" in shown[shown.rindex(text) :]


def test_bar_remembers_the_best_value():
    file = io.StringIO()
    bar = Bar("recall@20", Console(file=file, force_terminal=True, width=120))
    bar.begin(Plan("train", "dense", 2, 10, 0, 1234))
    bar.epoch(record(1, 0.25))
    bar.epoch(record(2, 0.125))
    bar.end()
    assert "recall@20 0.1250 (best 0.2500)" in file.getvalue()
    bar.begin(Plan("train", "train", 2, 10, 0, 1234))
    bar.epoch(record(1, 0.0625))
    bar.end()
    assert "recall@20 0.0625 (best 0.0625)" in file.getvalue()


@pytest.mark.parametrize(
    ("phase", "stage", "shown"),
    [("refit", "train", "refit"), ("train", "round 2", "round 2"), ("refit", "round 2", "round 2, refit")],
)
def test_lines_of_a_refit_are_its_first_and_its_last_one(capsys, phase, stage, shown):
    lines = Lines("recall@20")
    lines.begin(Plan(phase, stage, 3, 10, 0, 1234))
    for epoch in (1, 2, 3):
        lines.epoch(record(epoch, None, phase, stage))
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"{shown} 0/3  10 steps an epoch  1,234 weights"
    assert last == f"{shown} 3/3  loss 0.5000  1,234 weights  0 s left"


def test_lines_of_slow_epochs_between_evaluations(capsys, monkeypatch):
    monkeypatch.setattr("resprout.cli.progress.time.perf_counter", iter(range(0, 100, 11)).__next__)
    lines = Lines("recall@20")
    lines.begin(Plan("train", "train", 9, 10, 2, 1234))
    for epoch in range(3, 8):  # after 11, 22, 33, 44, 55 s
        lines.epoch(record(epoch, None))
    shown = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in shown] == ["train 2/9", "train 5/9"]
    assert shown[1].endswith("1,234 weights  44 s left")


def test_both_say_what_was_read_but_not_for_each_of_several_trainings(capsys):
    rows = np.arange(3, dtype=np.int32)
    interactions = Interactions(rows, rows, IdMap.numbered(3), IdMap.numbered(3))
    dataset = Dataset("[small].csv", interactions, dropped=Dropped(duplicates=1200, below_min_user=3))
    counts = SplitCounts(1000, 20, 30, 0, 4, 5, 1, 0, 0)
    told = (
        "[small].csv: 3 users, 3 items; interactions: 1,000 to learn from, 20 to choose by, 30 to test on, 4 shown of "
        "held-out users, 5 left out that are of new users or items, 1 left out that repeat earlier ones; filtered: "
        "1,200 duplicates, 3 of users below filter.min_user"
    )
    file = io.StringIO()
    for title in ("", "dsl"):
        Bar("recall@20", Console(file=file, force_terminal=True, width=60), title).read(dataset, counts)
        Lines("recall@20", title).read(dataset, counts)
    assert capsys.readouterr().err == f"{told}\n"
    assert file.getvalue() == f"{told}\n"
    Lines("recall@20").read(replace(dataset, dropped=None), SplitCounts(7, 0, 2, 0, 0, 0, 0, 0, 0))
    assert capsys.readouterr().err.endswith("interactions: 7 to learn from, 0 to choose by, 2 to test on\n")
