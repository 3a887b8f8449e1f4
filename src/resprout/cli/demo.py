"""`resprout demo`: a dense model and three within a fifth of its weights, on the bundled data, in less than a minute."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

PLACEHOLDER = None


def demo(
    out: Annotated[Path | None, typer.Option(help="Keep the runs in this folder.  [default: a temporary one]")] = None,
) -> None:
    """Train four models on the bundled data, compare them, and recommend with the one of DSL."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="resprout-demo-") as folder:
            _run(Path(folder))
        typer.echo("`resprout demo --out FOLDER` keeps the runs; `resprout train --help` trains on your own data")
    else:
        _run(out)
        typer.echo(f"next: resprout recommend {out / 'dsl'} --user ID, or resprout train --help for your own data")


def _run(folder: Path) -> None:
    from rich.console import Console

    from resprout.cli.progress import watcher
    from resprout.cli.recommend import beside
    from resprout.cli.tables import comparison_table, output
    from resprout.serving.recommender import Recommender
    from resprout.training import run
    from resprout.training.folder import RunFolder
    from resprout.training.settings import merged, resolve

    console = Console(stderr=True)
    results: list[dict[str, Any]] = []
    for method, own in OWN.items():
        console.print(f"training {method}")
        settings = resolve(merged(SHARED, {"method": {"name": method}}, own))
        results.append(run.start(settings, folder / method, watcher(settings.training.monitor, console)))
    output().print(comparison_table(results))
    recommender = Recommender.open(RunFolder(folder / "dsl").model)
    output().print(beside(recommender, USER, recommender.recommend([USER], 10)))
