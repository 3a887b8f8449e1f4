"""`resprout demo`: a dense model and four within a fifth of it, on the bundled data, within a minute."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

SHARED: dict[str, dict[str, Any]] = {
    "data": {"source": "demo"},
    "backbone": {"name": "lightgcn", "width": 64, "hops": 2},
    "training": {"epochs": 20, "batch_size": 4096, "evaluate_every": 5, "patience": 0},
}
# Chosen on the validation part (seed 0), for each method among the same nine: learning rates 0.06, 0.1 and 0.2 with
# l2 1e-3, 3e-3 and 1e-2. A few trials of dsl and dense before that settled hops and batch size, and dsl's regrow_every.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "dense": {"backbone": {"l2": 3e-3}, "training": {"learning_rate": 0.06}},
    "narrow": {"backbone": {"l2": 1e-2}, "training": {"learning_rate": 0.2}, "budget": {"limit": "20%"}},
    "random": {"backbone": {"l2": 3e-3}, "training": {"learning_rate": 0.2}, "budget": {"limit": "20%"}},
    "dsl": {
        "backbone": {"l2": 1e-2},
        "training": {"learning_rate": 0.2},
        # 740 steps in all: the paper's 2000 steps between two moves would be none.
        "method": {"regrow_every": 10},
        "budget": {"limit": "20%"},
    },
    "resprout": {"backbone": {"l2": 3e-3}, "training": {"learning_rate": 0.1}, "budget": {"limit": "20%"}},
}
USER, LAST = "u0003", "resprout"


def demo(
    out: Annotated[Path | None, typer.Option(help="Keep the runs in this folder.  [default: a temporary one]")] = None,
) -> None:
    """Train five models on the bundled data, compare them, and recommend with the last."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="resprout-demo-") as folder:
            _run(Path(folder))
        typer.echo("keep the runs: resprout demo --out FOLDER; your own data: resprout train --help")
    else:
        _run(out)
        typer.echo(f"more users: resprout recommend {out / LAST} --user ID; your own data: resprout train --help")


def _run(folder: Path) -> None:
    from rich.console import Console

    from resprout.cli.progress import watcher
    from resprout.cli.recommend import show_beside
    from resprout.cli.tables import comparison_table, output
    from resprout.serving.recommender import Recommender
    from resprout.training import run
    from resprout.training.settings import merged, resolve

    console = Console(stderr=True)
    results: list[dict[str, Any]] = []
    for method, own in OWN.items():
        settings = resolve(merged(SHARED, {"method": {"name": method}}, own))
        watching = watcher(settings.training.monitor, console, title=method)
        results.append(run.start(settings, folder / method, watching))
    output().print(comparison_table(results))
    recommender = Recommender.open(folder / LAST)
    show_beside(output(), recommender, USER, recommender.recommend([USER], 10))
