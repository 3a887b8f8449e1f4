"""`resprout demo`: a dense model and three within a fifth of its weights, on the bundled data, within a minute."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

SHARED: dict[str, dict[str, Any]] = {
    "data": {"source": "demo"},
    "backbone": {"name": "lightgcn", "width": 64, "hops": 2},
    "training": {"epochs": 20, "batch_size": 4096, "evaluate_every": 5, "patience": 0},
}
OWN: dict[str, dict[str, dict[str, Any]]] = {}
USER = "u0003"


def demo(
    out: Annotated[Path | None, typer.Option(help="Keep the runs in this folder.  [default: a temporary one]")] = None,
) -> None:
    """Train four models on the bundled data, compare them, and recommend with the one of DSL."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="resprout-demo-") as folder:
            _run(Path(folder))
        typer.echo("keep the runs: resprout demo --out FOLDER; your own data: resprout train --help")
    else:
        _run(out)
        typer.echo(f"more users: resprout recommend {out / 'dsl'} --user ID; your own data: resprout train --help")


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
    recommender = Recommender.open(folder / "dsl")
    show_beside(output(), recommender, USER, recommender.recommend([USER], 10))
