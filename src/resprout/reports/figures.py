"""Figures about groups of runs: quality against bytes, cost, sparsity and settings; losses; where slots are."""

import statistics
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from resprout.reports import plots
from resprout.reports.measured import Measured, group_labels, popularity_groups, rank_correlation
from resprout.reports.plots import Axis, Plot
from resprout.reports.tables import Cell, Table
from resprout.study.panels import Panel
from resprout.study.results import Group

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
    """Training losses by epoch, of the first run of each group (DSL paper, Figure 5); in panels if groups are many.

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
    """Of its last stage, before any refit."""
    first = [record for record in group.runs[0].run.records() if record["phase"] == "train"]
    last = [record for record in first if record["stage"] == first[-1]["stage"]]
    return [record["epoch"] for record in last], [record["loss"] for record in last]


def slots_by_popularity(panel: Panel) -> tuple[Table, list[Plot]] | None:
    """How much of its width a row holds, by its interactions (DSL paper, Figure 4); of the first run of each group.

    None if no group has tables in which rows differ.
    """
    rows: list[list[Cell]] = []
    by_table: dict[str, tuple[list[str], dict[str, _Series]]] = {}
    for group in panel.groups:
        of_seed = next((one for one in group.runs if one.run.model.exists()), None)
        if of_seed is None:  # kept without its model
            continue
        measured = Measured(of_seed.run)
        for name, (slots, degrees) in measured.slots().items():
            groups = popularity_groups(degrees)
            shares = [100 * float(slots[one].mean()) / measured.model.tables[name].shape.width for one in groups]
            _, parts = by_table.setdefault(name, (group_labels(degrees, groups), {}))
            series = parts.setdefault(group.runs[0].result["budget"]["limit"] or "", {})
            series[panel.label(group, budget=False)] = [float(place) for place in range(1, len(groups) + 1)], shares
            rho = rank_correlation(slots, degrees)
            rows.append([Cell(panel.label(group)), Cell(name), *(Cell(f"{x:.1f} %") for x in (shares[0], shares[-1]))])
            rows[-1].append(Cell("" if np.isnan(rho) else f"{rho:.3f}"))
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


def _drawn(series: _Points) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    return {own: ([x for x, _ in sorted(points)], [y for _, y in sorted(points)]) for own, points in series.items()}
