"""Groups of runs side by side: quality with its spread over seeds, bytes, costs, and what is more than chance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.filesize import decimal

from resprout.evaluation.evaluate import UserMetrics
from resprout.evaluation.ranking import main_metrics
from resprout.reports.significance import Comparison, compared
from resprout.reports.tables import Cell, Mark, Table, marked
from resprout.study.panels import Panel
from resprout.study.results import Group, heads

_OF_DENSE = {
    "weights": ("budget", "slots"),
    "deployed bytes": ("budget", "deployed_bytes"),
    "peak in training": ("cost", "peak_table_bytes"),
    "multiply-adds of training": ("cost", "macs_executed_training"),
    "of inference": ("cost", "macs_executed_inference"),
}


def comparison(panel: Panel, differences: Sequence[Comparison | None]) -> Table:
    """A line a group: quality on test data, bytes and costs; marked is what is best within a budget."""
    groups, monitor = panel.groups, panel.monitor
    metrics = list(dict.fromkeys([monitor, *main_metrics(groups[0].runs[0].result["test"])]))
    spreads = {name: [group.spread("test", name) for group in groups] for name in metrics}
    marks = {name: _marked_in_blocks([spread.mean for spread in found], panel) for name, found in spreads.items()}
    rows = []
    for k, (group, difference) in enumerate(zip(groups, differences, strict=True)):
        result = group.runs[0].result
        stars = difference.mark if difference is not None else ""
        rows.append(
            [
                *map(Cell, group.name(panel.settings)),
                *(Cell(str(spreads[name][k]), marks[name][k], stars if name == monitor else "") for name in metrics),
                Cell(decimal(result["budget"]["deployed_bytes"])),
                Cell(decimal(int(group.spread("cost", "peak_table_bytes").mean))),
                Cell(f"{group.spread('cost', 'macs_nominal_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'macs_executed_training').mean:.3g}"),
                Cell(f"{group.spread('cost', 'train_seconds').mean:.0f}"),
                Cell(str(len(group.runs))),
            ]
        )
    texts = heads(panel.settings)
    costs = ("deployed", "peak in training", "multiply-adds, nominal", "executed", "seconds", "runs")
    return Table("comparison", "Comparison", (*texts, *metrics, *costs), rows, len(texts), panel.rules)


def _marked_in_blocks(values: Sequence[float], panel: Panel) -> list[Mark]:
    """Best and second best of those that have the same budget, if there are others."""
    marks: list[Mark] = []
    for block in panel.blocks:
        marks += marked(values[block.start : block.stop]) if len(block) > 1 else [""]
    return marks


def overview(panels: Sequence[Panel]) -> Table:
    """A line for each group of every panel: quality, and everything else as a part of dense's."""
    rows = []
    for panel in panels:
        for group in panel.groups:
            quality = group.spread("test", panel.monitor)
            cells = [Cell(panel.title), Cell(panel.label(group)), Cell(panel.monitor), Cell(str(quality))]
            parts = {"quality": ("test", panel.monitor)} | _OF_DENSE
            cells += [Cell(_part(group, panel.dense, path)) for path in parts.values()]
            rows.append(cells)
    columns = ("task and model", "method", "metric", "quality", "of dense", *_OF_DENSE)
    return Table("overview", "All of it", columns, rows, 3)


def _part(group: Group, dense: Group | None, path: Sequence[str]) -> str:
    if dense is None:
        return ""
    return f"{100 * group.spread(*path).mean / dense.spread(*path).mean:.1f} %"


def differences(panel: Panel) -> list[Comparison | None]:
    """Each group against the reference, by the users of the seeds that all have; none for that itself, or for all."""
    groups, monitor = panel.groups, panel.monitor
    by_seed = [{run.result["seed"]: run for run in group.runs} for group in groups]
    common = sorted(set.intersection(*(set(runs) for runs in by_seed)))
    if len(groups) < 2 or not common or not monitor.startswith(("recall@", "ndcg@")):
        return [None] * len(groups)
    values = [_over_seeds([runs[seed].run.read_users() for seed in common], monitor) for runs in by_seed]
    own = next(k for k, group in enumerate(groups) if group is panel.reference)
    if len({len(one) for one in values}) != 1:  # not the same users
        return [None] * len(groups)
    found: list[Comparison | None] = list(compared(values[own], [*values[:own], *values[own + 1 :]]))
    return [*found[:own], None, *found[own:]]


def _over_seeds(measured: Sequence[UserMetrics], monitor: str) -> NDArray[np.float64]:
    """The mean of each user; where seeds have users of their own, all of them."""
    values = [one.values[monitor] for one in measured]
    same = all(np.array_equal(one.users, measured[0].users) for one in measured)
    return np.mean(values, 0) if same else np.concatenate(values)
