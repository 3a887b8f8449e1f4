"""What the commands show: figures as people read them, and rich tables of results."""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from resprout.evaluation.ranking import main_metrics
from resprout.training.observers import epochs_label, suited_labels

# Off a terminal nobody resizes the window: wide enough that no cell is cut.
_PLAIN_WIDTH = 200


def output() -> Console:
    """A console on standard output."""
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)


def figures(
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    text_columns: int = 1,
    rules: Collection[int] = (),
) -> Table:
    """A table whose first `text_columns` columns are text and the others figures; `rules`: rows with a line above."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < text_columns else "right", overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*row, end_section=number + 1 in rules)
    return table


def result_table(result: Mapping[str, Any]) -> Table:
    """One run: its test metrics, or those on validation data where test data were not read, and what it costs."""
    budget, cost = result["budget"], result["cost"]
    part = "test" if result["test"] else "validation"
    measured = result[part]
    rows = [
        ("data", result["dataset"]),
        ("model", f"{result['backbone']}, {result['method']}, seed {result['seed']}"),
        ("epochs", epochs_label(result)),
        *((f"{part} {metric}", f"{measured[metric]:.4f}") for metric in main_metrics(measured)),
        *suited_labels(result),
        # older results do not say
        *(("tables" if k == 0 else "", _made_of(table)) for k, table in enumerate(budget.get("tables", ()))),
        ("deployed", f"{decimal(budget['deployed_bytes'])}, {share(result)} of dense"),
        ("peak in training", f"{decimal(cost['peak_table_bytes'])} of tables"),
        ("training time", f"{cost['train_seconds']:.1f} s"),
    ]
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def _made_of(table: Mapping[str, Any]) -> str:
    weights, slots = table["rows"] * table["width"], table["slots"]
    bits = f"{8 * table['deployed_bytes'] / max(1, slots):.3g} bits a weight"
    if slots != weights:
        bits = f"{100 * slots / weights:.3g} % of the weights, {bits} with the index"
    return f"{table['name']}: {table['rows']:,} x {table['width']}, {bits}"


def comparison_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Runs on the same data and protocol, one a line."""
    shown = main_metrics(results[0]["test"])
    rows = [
        (
            result["method"],
            *(f"{result['test'][name]:.4f}" for name in shown),
            decimal(result["budget"]["deployed_bytes"]),
            share(result),
            decimal(result["cost"]["peak_table_bytes"]),
            f"{result['cost']['train_seconds']:.1f} s",
        )
        for result in results
    ]
    titles = [name.replace("recall", "Recall").replace("ndcg", "NDCG").replace("hr", "HR") for name in shown]
    columns = ("method", *titles, "deployed", "of dense", "peak in training", "training")
    return figures(None, columns, rows)


def share(result: Mapping[str, Any]) -> str:
    """Deployed bytes as a share of those of the dense tables, like "23.1 %"."""
    return f"{100 * result['budget']['deployed_bytes'] / result['budget']['dense_bytes']:.1f} %"
