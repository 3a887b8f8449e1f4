"""Verdicts on hand-made results."""

from pathlib import Path

import pytest

from resprout.reports.significance import Comparison
from resprout.reports.verdicts import verdicts
from resprout.study.panels import Panel
from resprout.study.results import Group, Outcome
from resprout.training.folder import RunFolder


def group(method, training=1.0, inference=1.0, memory=1.0, slots=100, epochs=10):
    result = {
        "method": method,
        "budget": {"limit": None if method == "dense" else "50%", "slots": slots},
        "cost": {"macs_executed_training": training, "macs_executed_inference": inference, "peak_table_bytes": memory},
        "epochs": {"chosen": epochs},
    }
    return Group({}, [Outcome(RunFolder(Path(method)), {}, result)])


@pytest.mark.parametrize(
    ("costs", "difference", "expected"),
    [
        # all costs lower, and better or not surely worse
        ((0.6, 0.5, 0.7, 50, 10), Comparison(0.01, 0.01, 0.001), ("training, inference, memory", "yes", "yes", "yes")),
        ((0.6, 0.5, 0.7, 50, 10), Comparison(-0.01, 0.5, 0.05), ("training, inference, memory", "yes", "yes", "yes")),
        # surely worse
        ((0.6, 0.5, 0.7, 50, 10), Comparison(-0.01, 0.5, 0.049), ("training, inference, memory", "no", "no", "no")),
        # pruning: training costs more
        ((2.0, 0.5, 1.0, 50, 10), Comparison(0.0, 1.0, 1.0), ("inference", "yes", "no", "yes")),
        # takes longer, or keeps all weights
        ((0.6, 0.5, 0.7, 50, 11), Comparison(0.0, 1.0, 1.0), ("training, inference, memory", "yes", "yes", "no")),
        ((1.0, 1.0, 1.0, 100, 10), Comparison(0.0, 1.0, 1.0), ("none", "yes", "no", "no")),
    ],
)
def test_verdicts(costs, difference, expected):
    dense, other = group("dense"), group("dsl", *costs)
    (row,) = verdicts(Panel("", "recall@20", [dense, other]), dense, [None, difference]).rows
    texts = [cell.text for cell in row]
    assert texts[:2] == ["dsl", "50%"]
    assert (texts[2], *texts[5:]) == expected
