"""The report of several runs: means over seeds, whether differences are more than chance, and quality against bytes."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.filesize import decimal

from resprout.data import Dataset
from resprout.errors import SettingsError
from resprout.evaluation.ranking import main_metrics
from resprout.reports import plots
from resprout.reports.measured import Measured
from resprout.reports.page import Section
from resprout.reports.significance import Comparison, compared
from resprout.reports.tables import Cell, Table, marked
from resprout.study.results import Group, Outcome, groups_of
from resprout.training.folder import RunFolder
from resprout.training.prepare import load_dataset

_SHOWN = ("method.name", "budget.limit")


def sections_of(outcomes: Sequence[Outcome]) -> list[Section]:
    """All of the report; SettingsError for runs that cannot stand in one table."""
    monitor = _metric(outcomes)
    groups = groups_of(outcomes)
    seeds = sorted({len(group.runs) for group in groups})
    text = (
        f"Test data, mean and deviation over seeds ({' to '.join(map(str, seeds))} of them); best and second best are "
        "marked. Stars: the difference from the first line, user by user over seeds that all have (paired t-tests, "
        "corrected by Holm), is less likely by chance than 0.05, 0.01, 0.001."
    )
    return [
        Section("Comparison", text, [_table(groups, monitor, _differences(groups, monitor))]),
        Section(
            "Quality against bytes",
            "Deployed bytes: all that is needed to read the tables, index and row starts included.",
            list(_frontier(groups, monitor)),
        ),
        Section(
            "Quality against cost", "Multiply-adds executed in training, all stages.", list(_costs(groups, monitor))
        ),
    ]


def _metric(outcomes: Sequence[Outcome]) -> str:
    """The metric that all of them have: that of training, at test."""
    monitors = {RunFolder(outcome.folder).settings().training.monitor for outcome in outcomes}
    if len(monitors) != 1:
        raise SettingsError(f"runs that were chosen by {', '.join(sorted(monitors))} cannot stand in one table")
    return monitors.pop()


def _table(groups: Sequence[Group], monitor: str, differences: Sequence[Comparison | None]) -> Table:
    metrics = list(dict.fromkeys([monitor, *main_metrics(groups[0].runs[0].result["test"])]))
    spreads = {name: [group.spread("test", name) for group in groups] for name in metrics}
    marks = {name: marked([spread.mean for spread in found]) for name, found in spreads.items()}
    varying = _telling(groups)
    rows = []
    for k, (group, difference) in enumerate(zip(groups, differences, strict=True)):
        result = group.runs[0].result
        stars = difference.mark if difference is not None else ""
        rows.append(
            [
                Cell(result["method"]),
                Cell(result["budget"]["limit"] or ""),
                *(Cell("" if group.point[key] is None else str(group.point[key])) for key in varying),
                *(Cell(str(spreads[name][k]), marks[name][k], stars if name == monitor else "") for name in metrics),
                Cell(decimal(result["budget"]["deployed_bytes"])),
                Cell(decimal(int(group.spread("cost", "peak_table_bytes").mean))),
                Cell(f"{group.spread('cost', 'macs_nominal_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'macs_executed_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'train_seconds').mean:.0f}"),
                Cell(str(len(group.runs))),
            ]
        )
    costs = ("deployed", "peak in training", "multiply-adds, nominal", "executed", "seconds", "runs")
    others = [key.rpartition(".")[0] if key.endswith(".name") else key.rpartition(".")[2] for key in varying]
    return Table("comparison", "Comparison", ("method", "budget", *others, *metrics, *costs), rows, 2 + len(varying))


def _differences(groups: Sequence[Group], monitor: str) -> list[Comparison | None]:
    """Each group against the first one, by the users of the seeds that both have; none for that itself."""
    if len(groups) < 2 or not monitor.startswith(("recall@", "ndcg@")):
        return [None] * len(groups)
    datasets: dict[str, Dataset] = {}
    by_seed = [{run.result["seed"]: run for run in group.runs} for group in groups]
    common = sorted(set.intersection(*(set(runs) for runs in by_seed)))
    values = []
    for runs in by_seed:
        found = [_per_user(runs[seed], monitor, datasets) for seed in common]
        values.append(np.mean(found, 0) if found and len({len(one) for one in found}) == 1 else np.zeros(0))
    if not common or len({len(one) for one in values}) != 1 or not len(values[0]):
        return [None] * len(groups)
    return [None, *compared(values[0], values[1:])]


def _per_user(outcome: Outcome, monitor: str, datasets: dict[str, Dataset]) -> np.ndarray:
    run = RunFolder(outcome.folder)
    settings = run.settings()
    key = f"{settings.sections['data']}{settings.sections['filter']}"
    if key not in datasets:
        datasets[key] = load_dataset(settings)
    return Measured(run, datasets[key]).per_user(int(monitor.partition("@")[2])).values[monitor]


def _frontier(groups: Sequence[Group], monitor: str) -> Iterator[plots.Plot]:
    yield _against(groups, monitor, "frontier", "deployed bytes", ("budget", "deployed_bytes"))


def _costs(groups: Sequence[Group], monitor: str) -> Iterator[plots.Plot]:
    yield _against(
        groups, monitor, "quality-cost", "executed multiply-adds of training", ("cost", "macs_executed_training")
    )


def _against(groups: Sequence[Group], monitor: str, name: str, label: str, path: tuple[str, str]) -> plots.Plot:
    """One line for groups that differ by their budget alone, along a figure of their results."""
    series: dict[str, list[tuple[float, float]]] = {}
    for group in groups:
        values = [(key.rpartition(".")[2], group.point[key]) for key in _telling(groups)]
        own = [group.runs[0].result["method"], *(f"{key} {value}" for key, value in values if value is not None)]
        point = group.spread(*path).mean, group.spread("test", monitor).mean
        series.setdefault(", ".join(own), []).append(point)
    drawn = {own: ([x for x, _ in sorted(points)], [y for _, y in sorted(points)]) for own, points in series.items()}
    return plots.lines(name, f"{monitor} against {label}", drawn, label, f"test {monitor}", log_x=True)


def _telling(groups: Sequence[Group]) -> list[str]:
    """The settings besides method and budget that tell groups apart.

    Rates and weights that suit a method and a budget are passed over, unless groups differ by nothing else.
    """
    keys = [key for key in groups[0].point if key not in _SHOWN]
    fewer = [key for key in keys if not key.startswith(("training.", "backbone.l2", "stages."))]
    found = {tuple(str(group.point.get(key)) for key in (*_SHOWN, *fewer)) for group in groups}
    return fewer if len(found) == len(groups) else keys
