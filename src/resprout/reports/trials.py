"""What was tried for each row of a comparison, and what validation data said of it."""

from collections.abc import Sequence

from resprout.reports.tables import Cell, Table
from resprout.study.results import head, heads, telling
from resprout.study.trials import Trials

TRIALS = (
    "Settings that were tried with the first seed, each combination once, for every row alike. The first of each block "
    "was the best on validation data and stands for all seeds; of the others test data were not read."
)


def trials_table(choices: Sequence[Trials]) -> Table:
    """A line a trial: what it is for, what was tried, and the metric on validation data by which it was judged."""
    groups, keys = [choice.group for choice in choices], list(choices[0].tried[0])
    settings = [key for key in telling(groups) if key not in keys]
    rows = [
        [
            *map(Cell, choice.group.name(settings)),
            *(
                Cell("" if value is None else f"{value:g}" if isinstance(value, float) else str(value))
                for value in tried.values()
            ),
            Cell(f"{value:.4f}", "best" if k == 0 else ""),
        ]
        for choice in choices
        for k, (tried, value) in enumerate(zip(choice.tried, choice.values, strict=True))
    ]
    columns = (*heads(settings), *map(head, keys), " or ".join(dict.fromkeys(choice.monitor for choice in choices)))
    return Table("trials", "Trials", columns, rows, 2 + len(settings))
