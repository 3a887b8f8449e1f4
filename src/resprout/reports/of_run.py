"""The report of one run: what was trained, within what, how good it is for whom, where its slots are, what it cost."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.filesize import decimal

from resprout.reports import plots
from resprout.reports.measured import Measured, group_labels, popularity_groups, rank_correlation
from resprout.reports.page import Section
from resprout.reports.plots import Axis, Plot
from resprout.reports.tables import Cell, Table
from resprout.training.observers import epochs_label, label, suited_labels

_DRAWN = 24


def title_of(result: dict[str, Any]) -> str:
    """A run in a few words."""
    limit = f" within {result['budget']['limit']}" if result["budget"]["limit"] else ""
    return f"{result['backbone']}, {result['method']}{limit}, on {result['dataset']}, seed {result['seed']}"


def sections_of(measured: Measured) -> list[Section]:
    """All of the report."""
    result = measured.run.read_result()
    sections = [Section("Verdict", verdict(result), [_summary(result)]), Section("Quality", "", [_quality(result)])]
    if measured.settings.evaluation.protocol == "full":
        sections.append(_by_activity(measured))
    if curves := _curves(measured):
        sections.append(Section("Training", "On validation data: the epochs that were evaluated.", curves))
    sections += [*_moves(measured), *_slots(measured)]
    sections.append(
        Section(
            "Cost",
            "All stages, of all trainings. Nominal: as the DSL paper counts; executed: what was multiplied.",
            [_cost(result)],
        )
    )
    return sections


def verdict(result: dict[str, Any]) -> str:
    """What the run deploys and what it held while it was trained, against dense tables."""
    budget, peak = result["budget"], result["cost"]["peak_table_bytes"]
    weights, share = (
        f"{budget['slots']:,} of {budget['dense_weights']:,}",
        budget["deployed_bytes"] / budget["dense_bytes"],
    )
    of_dense = peak / (3 * budget["dense_bytes"])
    return (
        f"It deploys {weights} weights in {budget['deployed_bytes']:,} bytes, {100 * share:.1f} % of the dense tables. "
        f"While it was trained, tables and what belongs to them took at most {peak:,} bytes, {100 * of_dense:.0f} % of "
        "dense weights with their two moments."
    )


def _summary(result: dict[str, Any]) -> Table:
    budget = result["budget"]
    rows = [
        ("data", result["dataset"]),
        ("backbone", result["backbone"]),
        ("method", result["method"]),
        ("budget", budget["limit"] or "none"),
        ("seed", str(result["seed"])),
        ("epochs", epochs_label(result)),
        *suited_labels(result),
    ]
    return Table("summary", "What was trained", ("", ""), [[Cell(one), Cell(other)] for one, other in rows], 2)


def _quality(result: dict[str, Any]) -> Table:
    rows = [
        [Cell(name), Cell(f"{result['validation'].get(name, math.nan):.4f}"), Cell(f"{value:.4f}")]
        for name, value in result["test"].items()
    ]
    return Table("quality", "Metrics", ("metric", "validation", "test"), rows)


def _by_activity(measured: Measured) -> Section:
    cutoffs = measured.settings.evaluation.cutoffs
    cutoff = max((k for k in cutoffs if k <= 20), default=min(cutoffs))
    users = measured.run.read_users()
    activity = measured.split.known("test").histories().counts[users.users]
    groups = popularity_groups(activity)
    labels = group_labels(activity, groups)
    series = {
        f"{head}@{cutoff}": [float(users.values[f"{name}@{cutoff}"][group].mean()) for group in groups]
        for name, head in (("recall", "Recall"), ("ndcg", "NDCG"))
    }
    rows = [
        [Cell(name), Cell(f"{len(group):,}"), *(Cell(f"{values[k]:.4f}") for values in series.values())]
        for k, (name, group) in enumerate(zip(labels, groups, strict=True))
    ]
    table = Table("by-activity", "Test metrics by activity", ("items known of a user", "users", *series), rows)
    plot = plots.bars(
        "by-activity-figure", "Test metrics by activity of users", labels, series, "items known of a user", "mean"
    )
    return Section(
        "Quality by activity of users",
        f"Fifths of the users who have test items, on test data ({cutoff} places).",
        [table, plot],
    )


def _curves(measured: Measured) -> list[Plot]:
    monitor = measured.settings.training.monitor
    losses: dict[str, tuple[list[float], list[float]]] = {}
    values: dict[str, tuple[list[float], list[float]]] = {}
    for record in measured.run.records():
        name = label(record["phase"], record["stage"])
        for found, value in ((losses, record["loss"]), (values, record["metrics"].get(monitor))):
            if value is not None:
                xs, ys = found.setdefault(name, ([], []))
                xs.append(record["epoch"])
                ys.append(value)
    drawn = []
    if losses:
        drawn.append(plots.lines("loss", "Training loss", losses, Axis("epoch"), Axis("loss"), markers=False))
    if values:
        title = f"{monitor} on validation data"
        drawn.append(plots.lines("validation", title, values, Axis("epoch"), Axis(monitor)))
    return drawn


def _moves(measured: Measured) -> Iterator[Section]:
    """How slots moved: what part of them in each epoch, and what part of all positions ever was one."""
    weights = measured.run.read_result()["budget"]["dense_weights"]
    series: dict[str, tuple[list[float], list[float]]] = {}
    moved_before: dict[str, int] = {}
    ever = 0.0
    for record in measured.run.records():
        state, name = record.get("method_state", {}), label(record["phase"], record["stage"])
        if "moved_slots" not in state:
            continue
        moved = state["moved_slots"] - moved_before.get(name, 0)
        moved_before[name] = state["moved_slots"]
        found = {f"{name}: moved in the epoch, of the slots": moved / record["slots"]}
        if "ever_slots" in state:
            ever = state["ever_slots"] / weights
            found[f"{name}: ever lived, of all positions"] = ever
        for key, share in found.items():
            xs, ys = series.setdefault(key, ([], []))
            xs.append(record["epoch"])
            ys.append(100 * share)
    if series:
        text = "Dropped and grown: as many slots grow as are dropped. "
        text += (
            f"At the end {100 * ever:.1f} % of all positions had been a slot at some time."
            if ever
            else "What part of all positions ever was a slot is not known: train with method.record_lived = true."
        )
        plot = plots.lines("moves", "How slots moved", series, Axis("epoch"), Axis("percent"), markers=False)
        yield Section("How the slots moved", text, [plot])


def _slots(measured: Measured) -> Iterator[Section]:
    for name, (slots, degrees) in measured.slots().items():
        groups = popularity_groups(degrees)
        labels = group_labels(degrees, groups)
        means = [float(slots[group].mean()) for group in groups]
        rho = rank_correlation(slots, degrees)
        filled = measured.filled(name)
        text = (
            f"Rows of table {name!r} by interactions; rank correlation of slots with these (Spearman): {rho:.3f}. "
            f"Less than a tenth of the rows have weights in {np.count_nonzero(filled < 0.1)} of {len(filled)} columns."
        )
        rows = [
            [Cell(one), Cell(f"{len(group):,}"), Cell(f"{mean:.2f}"), Cell(f"{np.std(slots[group]):.2f}")]
            for one, group, mean in zip(labels, groups, means, strict=True)
        ]
        table = Table(f"slots-{name}", "Slots by popularity", ("interactions", "rows", "mean slots", "deviation"), rows)
        plot = plots.bars(
            f"slots-{name}-figure",
            f"Where the slots of {name!r} are",
            labels,
            {"slots": means},
            "interactions of a row",
            "mean slots",
        )
        blocks = {
            one: measured.rows(name, group[np.linspace(0, len(group) - 1, min(len(group), _DRAWN)).astype(int)])
            for one, group in zip(reversed(labels), reversed(groups), strict=True)
        }
        title = f"Rows of {name!r}, {_DRAWN} of each group at most, by interactions: what is trained, and where"
        shown = plots.picture(f"slots-{name}-picture", title, blocks, "magnitude")
        yield Section("Where the slots are", text, [table, plot, shown])


def _cost(result: dict[str, Any]) -> Table:
    cost = result["cost"]
    rows = [
        [
            Cell(label(stage["phase"], stage["name"]) + (" (taken over)" if stage.get("taken_over") else "")),
            Cell(stage["storage"]),
            Cell(str(stage["epochs"])),
            Cell(f"{stage['seconds']:.1f}"),
            Cell(decimal(stage["peak_table_bytes"])),
            Cell(f"{stage['macs_nominal']:.3g}"),
            Cell(f"{stage['macs_executed']:.3g}"),
        ]
        for stage in cost["stages"]
    ]
    total = ["all", "", "", f"{cost['train_seconds']:.1f}", decimal(cost["peak_table_bytes"])]
    total += [f"{cost[f'macs_{kind}_training']:.3g}" for kind in ("nominal", "executed")]
    rows.append([Cell(text) for text in total])
    columns = ("stage", "storage", "epochs", "seconds", "peak tables", "multiply-adds, nominal", "executed")
    return Table("cost", "Cost", columns, rows, 2)
