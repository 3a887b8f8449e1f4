"""`resprout study`: grids of runs, and `resprout compare`: what came out of them, side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resprout.cli.workers import Jobs, OnCluster, Threads, stopped_cleanly, workers_of

if TYPE_CHECKING:
    from rich.table import Table

    from resprout.study.folder import StudyFolder
    from resprout.study.panels import Panel
    from resprout.study.runner import Progress

app = typer.Typer(help="Run and show grids of runs.", no_args_is_help=True)


@app.command("run")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The grid: see studies/ for examples.")],
    out: Annotated[
        Path | None, typer.Option(help="Its folder, new or of the same study.  [default: runs/studies/<name>]")
    ] = None,
    jobs: Jobs = None,
    threads: Threads = None,
    cluster: OnCluster = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="SECTION.KEY=VALUE", help="Only runs that have it; of one key, any of several values."),
    ] = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.jsonl", help="Runs that ended elsewhere.  [default: kept/*.jsonl beside FILE.toml]"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The quick form that the file describes.")] = False,
) -> None:
    """Train what is left of a study, shared with other processes that run it; exit code 1 if any of its runs failed."""
    from resprout.errors import SettingsError
    from resprout.study.folder import StudyFolder
    from resprout.study.kept import KeptRuns
    from resprout.study.planned import part_of
    from resprout.study.runner import run_study
    from resprout.study.spec import read_study

    study = read_study(file, quick)
    kept = sorted((file.parent / "kept").glob("*.jsonl")) if kept is None else kept
    for path in kept:
        if not path.is_file():
            raise SettingsError(f"--kept {path}: there is no such file; `resprout study keep` makes one")
    folder = StudyFolder(out or Path("runs") / "studies" / study.name, KeptRuns(kept))
    if not study.runs:
        raise SettingsError(f"study {file}: its grids have no runs")
    chosen = part_of(study, where or [])
    workers = workers_of(folder, jobs, threads, cluster)
    folder.claim(study, file.read_text("utf-8"))
    watch = _Watcher(folder)
    with stopped_cleanly(), watch:
        progress = run_study(chosen, folder, workers, watch.told)
    if any(run.settings.evaluation.test for run in progress.done):
        _print([folder.path])
    for failure in progress.failed:
        typer.echo(f"failed: {failure.run.label}: {failure.message} ({folder.log(failure.run.key)})", err=True)
    if progress.failed:
        raise typer.Exit(1)


@app.command("keep")
def keep(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="The folder of a study.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Runs are added to those that it has.")],
) -> None:
    """Keep what has come out of a study, without models, in a file from which it can go on elsewhere."""
    from resprout.errors import RunError
    from resprout.study.folder import StudyFolder
    from resprout.study.kept import keep_runs

    study = StudyFolder(folder)
    if not study.plan.exists():
        raise RunError(f"{folder} is not the folder of a study: it has no plan.json")
    ended = study.ended_runs()
    typer.echo(f"{keep_runs(ended.values(), file)} of {len(ended)} runs are new in {file}")


@app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="The folder of a study.")],
) -> None:
    """Show what has come out of a study so far."""
    compare([folder])


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs that have ended, or studies.")],
) -> None:
    """Show runs side by side: mean and deviation over seeds."""
    _print(runs)


def _print(folders: list[Path]) -> None:
    """A table for each task and model."""
    from resprout.cli.tables import output
    from resprout.study.folder import StudyFolder
    from resprout.study.panels import panels_of
    from resprout.study.results import outcomes_of

    panels = panels_of(outcomes_of(folders))
    for panel in panels:
        output().print(_comparison(panel, panel.title if len(panels) > 1 else None))
        if panel.unsaid:
            output().print(f"Not all rows have the same {', '.join(panel.unsaid)} either.", soft_wrap=True)
    for study in map(StudyFolder, folders):
        planned = len(study.keys()) if study.plan.exists() else 0
        if planned and (left := planned - len(study.ended_runs())):
            output().print(f"{study.path}: {left} of {planned} runs have not ended.", soft_wrap=True)


def _comparison(panel: "Panel", title: str | None) -> "Table":
    """A line a group: method and budget, what else differs, quality, bytes and cost."""
    from rich.filesize import decimal

    from resprout.cli.tables import figures
    from resprout.evaluation.ranking import main_metrics
    from resprout.study.results import heads

    groups, varying = panel.groups, panel.settings
    results = [group.runs[0].result for group in groups]
    metrics = [name for name in main_metrics(results[0]["test"]) if all(name in each["test"] for each in results)]
    rows = []
    for group, result in zip(groups, results, strict=True):
        rows.append(
            (
                *group.name(varying),
                *(str(group.spread("test", name)) for name in metrics),
                decimal(result["budget"]["deployed_bytes"]),
                decimal(int(group.spread("cost", "peak_table_bytes").mean)),
                f"{group.spread('cost', 'macs_executed_training').mean:.3g}",
                f"{group.spread('cost', 'train_seconds').mean:.0f} s",
                str(len(group.runs)),
            )
        )
    texts, costs = heads(varying), ["deployed", "peak in training", "multiply-adds", "training", "runs"]
    return figures(title, [*texts, *metrics, *costs], rows, len(texts), panel.rules)


class _Watcher:
    """Shows a study: a live table on a terminal, a line for each run that ends elsewhere."""

    def __init__(self, folder: "StudyFolder") -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._folder = folder
        self._live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
        self._told: set[str] = set()
        self._greeted = False

    def __enter__(self) -> "_Watcher":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def told(self, progress: "Progress") -> None:
        """Shows where the study stands."""
        if self._live is not None:
            self._live.update(self._table(progress))
            return
        if not self._greeted:
            found = {run.key for run in progress.done} - set(progress.seconds)
            if found:
                typer.echo(f"{len(found)} runs were there already", err=True)
            self._told |= found
            self._greeted = True
        lines = [("done" if run.key in progress.seconds else "found", run) for run in progress.done]
        lines += [("failed", failure.run) for failure in progress.failed]
        for how, run in lines:
            if run.key not in self._told:
                self._told.add(run.key)
                typer.echo(f"{how}: {run.label}; {self._counts(progress)}", err=True)

    def _counts(self, progress: "Progress") -> str:
        left = len(progress.waiting) + len(progress.running)
        text = f"{len(progress.done)} done, {len(progress.failed)} failed, {left} left"
        if progress.elsewhere:
            text += f" ({progress.elsewhere} trained by another process)"
        if progress.seconds and left:
            seconds = sum(progress.seconds.values()) / len(progress.seconds) * left / progress.jobs
            text += f", about {seconds / 60:.0f} min" if seconds > 90 else f", about {seconds:.0f} s"
        return text

    def _table(self, progress: "Progress") -> "Table":
        from resprout.cli.tables import figures

        rows = []
        for key, run in progress.running.items():
            record = _last_record(self._folder.run(key).metrics)
            at = "" if record is None else f"{record['stage']} {record['epoch']}"
            metrics = {} if record is None else record["metrics"]
            monitor = run.settings.training.monitor
            value = f"{metrics[monitor]:.4f}" if monitor in metrics else ""
            rows.append((run.label, at, value))
        return figures(self._counts(progress), ("running", "epoch", "validation"), rows)


def _last_record(path: Path) -> dict[str, Any] | None:
    try:
        lines = path.read_text("utf-8").splitlines()
        last: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or being written
        return None
    return last
