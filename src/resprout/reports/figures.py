"""Figures about groups of runs: quality against bytes, cost, sparsity and settings; losses; where slots are."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from resprout.reports import plots
from resprout.reports.measured import Measured, group_labels, popularity_groups, rank_correlation
from resprout.reports.plots import Axis, Plot
from resprout.reports.tables import Cell, Table
from resprout.study.panels import Panel
from resprout.study.results import Group, Spread

_MOST_LINES = 8
_Points = dict[str, list[tuple[float, float]]]
_Series = dict[str, tuple[list[float], list[float]]]


def frontier(panel: Panel) -> Plot:
    """Quality against deployed bytes."""
    at = Axis("deployed bytes", log=True)
    return _against(panel, "frontier", at, lambda group: group.spread("budget", "deployed_bytes").mean)


def quality_cost(panel: Panel) -> Plot:
    """Quality against multiply-adds."""
    at = Axis("executed multiply-adds of training", log=True)
    return _against(panel, "quality-cost", at, lambda group: group.spread("cost", "macs_executed_training").mean)


def quality_sparsity(panel: Panel) -> Iterator[Plot]:
    """Quality against the share of the weights that are not there (DSL paper, Figure 2), if budgets differ."""

    def sparsity(group: Group) -> float:
        budget = group.runs[0].result["budget"]
        return 100 * float(1 - budget["slots"] / budget["dense_weights"])

    if len({round(sparsity(group)) for group in panel.groups}) > 2:
        yield _against(panel, "quality-sparsity", Axis("sparsity, percent of the weights"), sparsity)


def _against(panel: Panel, name: str, x: Axis, along: Callable[[Group], float]) -> Plot:
    """One line for groups that differ by their budget alone; dense as a line across."""
    series: _Points = {}
    for group in panel.groups:
        if group is not panel.dense:
            own = series.setdefault(panel.label(group, budget=False), [])
            own.append((along(group), group.spread("test", panel.monitor).mean))
    title = f"{panel.monitor} against {x.label}"
    return plots.lines(name, title, _drawn(series), x, Axis(f"test {panel.monitor}"), level=_dense_level(panel))


def by_setting(panel: Panel) -> Iterator[Plot]:
    """Quality against each number in which groups alone differ (DSL paper, Figure 3), a panel a budget."""
    for key in panel.settings:
        values = {group.point[key] for group in panel.groups} - {None}
        if len(values) < 2 or not all(isinstance(value, int | float) for value in values):
            continue
        parts: dict[str, _Points] = {}
        for group in panel.groups:
            if group.point[key] is not None and group is not panel.dense:
                budget = group.runs[0].result["budget"]["limit"] or "no budget"
                own = parts.setdefault(budget, {}).setdefault(panel.label(group, budget=False, without=key), [])
                own.append((float(group.point[key]), group.spread("test", panel.monitor).mean))
        if all(len(points) < 2 for series in parts.values() for points in series.values()):
            continue
        word, ratio = key.rpartition(".")[2], max(values) / max(min(values), 1e-9)
        drawn = {budget: _drawn(series) for budget, series in parts.items()}
        title = f"{panel.monitor} against {key}"
        yield plots.multiples(
            f"by-{word}".replace("_", "-"),
            title,
            drawn,
            Axis(word, log=ratio > 8),
            Axis(f"test {panel.monitor}"),
            level=_dense_level(panel),
        )


def _dense_level(panel: Panel) -> tuple[str, float] | None:
    """The line across that shows what dense comes to."""
    return None if panel.dense is None else ("dense", panel.dense.spread("test", panel.monitor).mean)


def losses(panel: Panel) -> Iterator[Plot]:
    """Training losses by epoch, means of the runs of each group (DSL paper, Figure 5); in panels if groups are many.

    A panel shows the groups that differ in one setting, where others have the value that most groups have.
    """
    curves = {panel.label(group): _loss_curve(group) for group in panel.groups}
    parts: dict[str, list[Group]] = {"": list(panel.groups)}
    if len(panel.groups) > _MOST_LINES:
        usual = {
            key: statistics.mode([group.point[key] for group in panel.groups if group.point[key] is not None])
            for key in panel.settings
        }
        parts = {
            key.rpartition(".")[2]: [
                group
                for group in panel.groups
                if all(group.point[other] in (None, usual[other]) for other in usual if other != key)
            ]
            for key in usual
        }
    drawn = {
        name: {panel.label(group): curves[panel.label(group)] for group in groups}
        for name, groups in parts.items()
        if 1 < len(groups) <= _MOST_LINES or not name
    }
    if drawn and len(curves) > 1 and len(next(iter(drawn.values()))) <= _MOST_LINES:
        log = all(value > 0 for _, values in curves.values() for value in values)
        y = Axis("training loss", log=log)
        yield plots.multiples("losses", "Training loss", drawn, Axis("epoch"), y, markers=False)


def _loss_curve(group: Group) -> tuple[list[float], list[float]]:
    """Of its last stage, before any refit: of as many epochs as all runs have."""
    curves = []
    for outcome in group.runs:
        first = [record for record in outcome.run.records() if record["phase"] == "train"]
        curves.append({record["epoch"]: record["loss"] for record in first if record["stage"] == first[-1]["stage"]})
    epochs = sorted(set.intersection(*map(set, curves)))
    return list(map(float, epochs)), [statistics.fmean(curve[epoch] for curve in curves) for epoch in epochs]


def slots_by_popularity(panel: Panel) -> tuple[Table, list[Plot]] | None:
    """How much of its width a row holds, by its interactions (DSL paper, Figure 4): means of the runs of each group.

    Of those whose models are there: kept ones have none. None if no group has tables in which rows differ.
    """
    rows: list[list[Cell]] = []
    by_table: dict[str, tuple[list[str], dict[str, _Series]]] = {}
    for group in panel.groups:
        for name, of_runs in _slot_shares(group).items():
            labels = of_runs[0].labels
            shares = [[each.shares[place] for each in of_runs] for place in range(len(labels))]
            _, parts = by_table.setdefault(name, (labels, {}))
            series = parts.setdefault(group.runs[0].result["budget"]["limit"] or "", {})
            places = [float(place) for place in range(1, len(labels) + 1)]
            series[panel.label(group, budget=False)] = places, [statistics.fmean(each) for each in shares]
            held = (_told(each, 1) + " %" for each in (shares[0], shares[-1]))
            correlation = _told([each.correlation for each in of_runs], 3)
            rows.append([Cell(text) for text in (panel.label(group), name, *held, correlation)])
    if not rows:
        return None
    heads = ("method", "table", "held by the least popular fifth", "by the most popular", "rank correlation")
    drawn = [
        plots.multiples(
            f"popularity-{name}",
            f"Share of the width that rows of {name!r} hold; fifths: {', '.join(labels)} interactions",
            parts,
            Axis("fifth of the rows"),
            Axis("percent of the width"),
        )
        for name, (labels, parts) in by_table.items()
        if max(map(len, parts.values())) <= _MOST_LINES
    ]
    return Table("slots", "Where slots are", heads, rows, 2), drawn


@dataclass(frozen=True)
class _SlotShares:
    """Of a run's table: percent of the width held by fifths of its rows, these, and the correlation with popularity."""

    shares: list[float]
    labels: list[str]
    correlation: float


def _slot_shares(group: Group) -> dict[str, list[_SlotShares]]:
    """By table, those of the runs that have as many fifths as the first one."""
    found: dict[str, list[_SlotShares]] = {}
    for outcome in group.runs:
        if not outcome.run.model.exists():
            continue
        measured = Measured(outcome.run)
        for name, (slots, degrees) in measured.slots().items():
            fifths, width = popularity_groups(degrees), measured.model.tables[name].shape.width
            shares = [100 * float(slots[fifth].mean()) / width for fifth in fifths]
            own = _SlotShares(shares, group_labels(degrees, fifths), rank_correlation(slots, degrees))
            of_table = found.setdefault(name, [])
            if not of_table or len(of_table[0].shares) == len(shares):
                of_table.append(own)
    return found


def _told(values: Sequence[float], digits: int) -> str:
    """Their mean and deviation; empty where any is not a number."""
    return "" if any(map(math.isnan, values)) else Spread.of(values).told(digits)


def _drawn(series: _Points) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    return {own: ([x for x, _ in sorted(points)], [y for _, y in sorted(points)]) for own, points in series.items()}
