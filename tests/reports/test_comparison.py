"""The table of groups side by side, on hand-made results."""

from pathlib import Path

from resprout.reports.comparison import comparison
from resprout.study.panels import Panel
from resprout.study.results import Group, Outcome
from resprout.training.folder import RunFolder


def group(method, limit, recall):
    costs = ("peak_table_bytes", "macs_nominal_training", "macs_executed_training", "train_seconds")
    result = {
        "method": method,
        "budget": {"limit": limit, "of": limit and "deployed", "deployed_bytes": 1},
        "test": {"recall@20": recall},
        "cost": dict.fromkeys(costs, 1.0),
    }
    return Group({}, [Outcome(RunFolder(Path(method)), {}, result)])


def test_best_and_second_best_are_those_of_a_budget():
    found = [
        ("dense", None, 0.5), ("a", "50%", 0.4), ("b", "50%", 0.45), ("c", "50%", 0.3), ("a", "20%", 0.2),
        ("a", "10%", 0.1), ("b", "10%", 0.05),
    ]  # fmt: skip
    panel = Panel("", "recall@20", [group(*one) for one in found])
    table = comparison(panel, [None] * len(found))
    place = table.columns.index("recall@20")
    assert [row[place].mark for row in table.rows] == ["", "second", "best", "", "", "best", "second"]
    assert table.rules == [1, 4, 5]
