"""`resprout fit-budget`: the smallest budget that is about as good as dense."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resprout.cli.workers import Jobs, OnCluster, Threads, stopped_cleanly, workers_of

if TYPE_CHECKING:
    from resprout.study.fit import Point


def fit_budget(
    data: Annotated[str, typer.Option(metavar="NAME_OR_PATH", help="A known data set, a file or a folder.")] = "demo",
    backbone: Annotated[str, typer.Option(help="The model: see `resprout methods`.")] = "mf",
    method: Annotated[str, typer.Option(help="A method that takes a budget.")] = "resprout",
    margin: Annotated[str, typer.Option(help="What may be lost of dense's validation metric.")] = "1%",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each budget, with seeds 0, 1 and so on.")] = 1,
    lowest: Annotated[float, typer.Option(help="The smallest budget to try, in percent.")] = 2.0,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most, of each run.")] = None,
    jobs: Jobs = None,
    threads: Threads = None,
    cluster: OnCluster = None,
    out: Annotated[
        Path | None, typer.Option(help="Its folder.  [default: runs/studies/fit-<data>-<backbone>-<method>]")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting of all runs.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Settings by method, in place of a known data set's.")
    ] = None,
) -> None:
    """Find the smallest budget that is within a margin of dense quality; exit code 1 if there is none."""
    from resprout.cli.tables import figures, output
    from resprout.study.fit import Search, fit_budget
    from resprout.study.folder import StudyFolder
    from resprout.study.planned import Study
    from resprout.training.settings import assignments, merged

    named = {"data": {"source": data}, "backbone": {"name": backbone}, "method": {"name": method}}
    given = {} if epochs is None else {"training": {"epochs": epochs}}
    search = Search(merged(named, given, assignments(set_ or [])), _share(margin), range(seeds), lowest, recipe=recipe)
    runs = [*search.planned(None), *search.planned(search.highest)]  # what is wrong with the settings is told first
    name = Path(data).name.partition(".")[0]
    folder = StudyFolder(out or Path("runs") / "studies" / f"fit-{name}-{backbone}-{method}")
    workers = workers_of(folder, jobs, threads, cluster)
    folder.claim(Study("fit-budget", runs), f"# what `resprout fit-budget` has tried for {backbone}, {method}\n")
    walked: list[Point] = []

    def told_point(point: "Point") -> None:
        walked.append(point)
        how = "within" if point.fits else "below"
        typer.echo(f"{point.share:g} %: {100 * point.loss:+.2f} % lost, {how} the margin", err=True)

    with stopped_cleanly():
        found = fit_budget(search, folder, workers, lambda _: None, told_point)
    rows = [
        (
            f"{point.share:g} %",
            ", ".join(f"{value:.4f}" for value in point.values),
            f"{100 * point.loss:+.2f} %" + (f" ± {100 * point.error:.2f}" if point.error else ""),
            "yes" if point.fits else "no",
        )
        for point in sorted(walked, key=lambda point: -point.share)
    ]
    output().print(figures(None, ("budget", "validation, by seed", "lost against dense", "within"), rows))
    if found is None:
        typer.echo(f"not even 100 % is within {margin} of dense: tune the method first", err=True)
        raise typer.Exit(1)
    typer.echo(f"smallest budget within {margin} of dense: {found.share:g}%")


def _share(text: str) -> float:
    from resprout.errors import SettingsError

    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise SettingsError(f"--margin {text!r}: expected percent of dense's quality, like 1%")
    return share
