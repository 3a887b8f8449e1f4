"""What the DSL paper asks of a method, answered for each: its Problem 1, and Definition 1 of a winning ticket."""

from collections.abc import Sequence

from resprout.reports.significance import Comparison
from resprout.reports.tables import Cell, Table
from resprout.study.panels import Panel
from resprout.study.results import Group, heads

VERDICTS = (
    "Problem 1 of the DSL paper wants training, inference (executed multiply-adds) and memory (peak of tables in "
    "training) all lower than dense, and quality equal. A winning ticket (its Definition 1) is a part of the weights "
    "that comes to the quality of all in as many epochs at most. Equal: users are not served worse by more than chance "
    "(p < 0.05, paired by user). This p is not corrected for the number of rows: that would make equality "
    "easier."
)
_COSTS = {
    "training": ("cost", "macs_executed_training"),
    "inference": ("cost", "macs_executed_inference"),
    "memory": ("cost", "peak_table_bytes"),
}


def verdicts(panel: Panel, dense: Group, differences: Sequence[Comparison | None]) -> Table:
    """A line for each group but the dense one: which costs are lower than its, and the answers to `VERDICTS`."""
    rows = []
    for group, difference in zip(panel.groups, differences, strict=True):
        if group is dense or difference is None:
            continue
        lower = [name for name, path in _COSTS.items() if group.spread(*path).mean < dense.spread(*path).mean]
        equal = difference.difference >= 0 or difference.alone >= 0.05
        fewer = group.spread("budget", "slots").mean < dense.spread("budget", "slots").mean
        in_time = group.spread("epochs", "chosen").mean <= dense.spread("epochs", "chosen").mean
        cells = (
            *group.name(panel.settings),
            ", ".join(lower) or "none",
            f"{difference.difference:+.4f}",
            f"{difference.alone:.2g}",
            "yes" if equal else "no",
            "yes" if equal and len(lower) == len(_COSTS) else "no",
            "yes" if equal and fewer and in_time else "no",
        )
        rows.append([Cell(text) for text in cells])
    texts = (*heads(panel.settings), "costs below dense")
    columns = (*texts, "difference", "p", "equal", "Problem 1", "winning ticket")
    return Table("verdicts", "Verdicts", columns, rows, len(texts))
