"""The report of several runs: means over seeds, whether differences are more than chance, and quality against bytes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.filesize import decimal

from resprout.data import Dataset
from resprout.errors import SettingsError
from resprout.evaluation.evaluate import UserMetrics
from resprout.evaluation.ranking import main_metrics
from resprout.reports import plots
from resprout.reports.measured import Measured
from resprout.reports.page import Section
from resprout.reports.significance import Comparison, compared
from resprout.reports.tables import Cell, Table, marked
from resprout.reports.verdicts import VERDICTS, verdicts
from resprout.study.results import Group, Outcome, groups_of, heads, telling
from resprout.training.folder import RunFolder
from resprout.training.prepare import load_dataset


def sections_of(outcomes: Sequence[Outcome]) -> list[Section]:
    """All of the report; SettingsError for runs that cannot stand in one table."""
    monitor = _metric(outcomes)
    groups = groups_of(outcomes)
    reference = next((group for group in groups if group.runs[0].result["method"] == "dense"), groups[0])
    differences = _differences(groups, reference, monitor)
    seeds = sorted({len(group.runs) for group in groups})
    name = reference.runs[0].result["method"]
    text = (
        f"Test data, mean and deviation over seeds ({' to '.join(map(str, seeds))} of them); best and second best are "
        f"marked. Stars: the difference from {name}, user by user over seeds that all have (paired t-tests, corrected "
        "by Holm), is less likely by chance than 0.05, 0.01, 0.001."
    )
    sections = [Section("Comparison", text, [_table(groups, monitor, differences)])]
    if name == "dense" and any(differences):
        sections.append(Section("Verdicts", VERDICTS, [verdicts(groups, reference, differences)]))
    bytes_text = "Deployed bytes: all that is needed to read the tables, index and row starts included."
    cost_text = "Multiply-adds executed in training, all stages."
    return [
        *sections,
        Section("Quality against bytes", bytes_text, [_frontier(groups, monitor)]),
        Section("Quality against cost", cost_text, [_costs(groups, monitor)]),
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
    varying = telling(groups)
    rows = []
    for k, (group, difference) in enumerate(zip(groups, differences, strict=True)):
        result = group.runs[0].result
        stars = difference.mark if difference is not None else ""
        rows.append(
            [
                *map(Cell, group.name(varying)),
                *(Cell(str(spreads[name][k]), marks[name][k], stars if name == monitor else "") for name in metrics),
                Cell(decimal(result["budget"]["deployed_bytes"])),
                Cell(decimal(int(group.spread("cost", "peak_table_bytes").mean))),
                Cell(f"{group.spread('cost', 'macs_nominal_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'macs_executed_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'train_seconds').mean:.0f}"),
                Cell(str(len(group.runs))),
            ]
        )
    texts = heads(varying)
    costs = ("deployed", "peak in training", "multiply-adds, nominal", "executed", "seconds", "runs")
    return Table("comparison", "Comparison", (*texts, *metrics, *costs), rows, len(texts))


def _differences(groups: Sequence[Group], reference: Group, monitor: str) -> list[Comparison | None]:
    """Each group against the reference, by the users of the seeds that all have; none for that itself, or for all."""
    by_seed = [{run.result["seed"]: run for run in group.runs} for group in groups]
    common = sorted(set.intersection(*(set(runs) for runs in by_seed)))
    if len(groups) < 2 or not common or not monitor.startswith(("recall@", "ndcg@")):
        return [None] * len(groups)
    datasets: dict[str, Dataset] = {}
    values = [_over_seeds([_per_user(runs[seed], monitor, datasets) for seed in common], monitor) for runs in by_seed]
    own = next(k for k, group in enumerate(groups) if group is reference)
    if len({len(one) for one in values}) != 1:  # not the same users
        return [None] * len(groups)
    found: list[Comparison | None] = list(compared(values[own], [*values[:own], *values[own + 1 :]]))
    return [*found[:own], None, *found[own:]]


def _over_seeds(measured: Sequence[UserMetrics], monitor: str) -> NDArray[np.float64]:
    """The mean of each user; where seeds have users of their own, all of them."""
    values = [one.values[monitor] for one in measured]
    same = all(np.array_equal(one.users, measured[0].users) for one in measured)
    return np.mean(values, 0) if same else np.concatenate(values)


def _per_user(outcome: Outcome, monitor: str, datasets: dict[str, Dataset]) -> UserMetrics:
    run = RunFolder(outcome.folder)
    settings = run.settings()
    key = f"{settings.sections['data']}{settings.sections['filter']}"
    if key not in datasets:
        datasets[key] = load_dataset(settings)
    return Measured(run, datasets[key]).per_user(int(monitor.partition("@")[2]))


def _frontier(groups: Sequence[Group], monitor: str) -> plots.Plot:
    return _against(groups, monitor, "frontier", "deployed bytes", ("budget", "deployed_bytes"))


def _costs(groups: Sequence[Group], monitor: str) -> plots.Plot:
    path = "cost", "macs_executed_training"
    return _against(groups, monitor, "quality-cost", "executed multiply-adds of training", path)


def _against(groups: Sequence[Group], monitor: str, name: str, label: str, path: tuple[str, str]) -> plots.Plot:
    """One line for groups that differ by their budget alone, along a figure of their results."""
    series: dict[str, list[tuple[float, float]]] = {}
    settings = telling(groups)
    for group in groups:
        values = [(key.rpartition(".")[2], group.point[key]) for key in settings]
        own = [group.runs[0].result["method"], *(f"{key} {value}" for key, value in values if value is not None)]
        point = group.spread(*path).mean, group.spread("test", monitor).mean
        series.setdefault(", ".join(own), []).append(point)
    drawn = {own: ([x for x, _ in sorted(points)], [y for _, y in sorted(points)]) for own, points in series.items()}
    return plots.lines(name, f"{monitor} against {label}", drawn, label, f"test {monitor}", log_x=True)
