"""`resprout data`: the data sets known by name, the counts of any, and downloads."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resprout.data import Dataset, Interactions
    from resprout.data.known import KnownSet

app = typer.Typer(help="List, describe and fetch data sets.", no_args_is_help=True)


@app.command("list")
def list_known() -> None:
    """List the data sets known by name, where each one is found, and its licence."""
    from resprout.cli.tables import figures, output
    from resprout.data.known import KNOWN

    rows = [
        (one.name, place_of(one), one.licence, f"{one.users:,}", f"{one.items:,}", f"{one.interactions:,}")
        for one in KNOWN.values()
    ]
    output().print(figures(None, ("name", "where", "licence", "users", "items", "interactions"), rows, text_columns=3))
    typer.echo("not here: `resprout data fetch NAME`, or set RESPROUT_DATA to a folder that has it")


@app.command()
def describe(
    source: Annotated[str, typer.Argument(metavar="NAME_OR_PATH", help="A known data set, a file or a folder.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="How to read and filter: data.* and filter.* keys."),
    ] = None,
) -> None:
    """Show users, items, interactions and duplicates, as a whole and for each official part."""
    from resprout.cli.tables import figures, output

    dataset = _load(source, set_ or [])
    interactions = dataset.interactions
    rows = [_counts("all", interactions)]
    if dataset.parts is not None:
        from resprout.data.interactions import PART_NAMES

        parts = [(name, dataset.parts == number) for number, name in enumerate(PART_NAMES)]
        rows = [_counts(name, interactions.select(chosen)) for name, chosen in parts if chosen.any()] + rows
    columns = ("part", "user ids", "item ids", "users", "items", "interactions", "duplicates", "density")
    title = f"{dataset.name}: interactions of a user are given as min / median / max"
    output().print(figures(title, (*columns, "per user"), rows, text_columns=3))
    has = {
        "ratings or counts": interactions.weights is not None,
        "timestamps": interactions.timestamps is not None,
        "item names": dataset.item_names is not None,
    }
    typer.echo(", ".join(f"{'with' if there else 'without'} {what}" for what, there in has.items()))


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A known data set: see `resprout data list`.")]) -> None:
    """Download a known data set into the cache and check it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from resprout.catalog import unknown
    from resprout.data.known import KNOWN, load

    if name not in KNOWN:
        raise unknown("data set", name, KNOWN)
    if place_of(KNOWN[name]) == "not here":
        columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(name, total=None)
            load(name, progress=lambda done, total: progress.update(task, completed=done, total=total))
    else:
        load(name)
    typer.echo(f"{name}: complete and checked ({place_of(KNOWN[name])})")


def place_of(known: "KnownSet") -> str:
    """Where all files of a known set are: "bundled", "RESPROUT_DATA", "cache" or "not here"."""
    from resprout.data.known import DATA_VARIABLE, cache_folder

    if not known.files:
        return "bundled"
    given = os.environ.get(DATA_VARIABLE)
    places = {DATA_VARIABLE: Path(given).expanduser()} if given else {}
    for place, folder in {**places, "cache": cache_folder()}.items():
        if all((folder / known.folder / file.name).is_file() for file in known.files):
            return place
    return "not here"


def _load(source: str, assigned: list[str]) -> "Dataset":
    from resprout import data

    if not assigned:
        return data.load(source)
    # Settings know all sections and with them PyTorch, which a plain description does not need.
    from resprout.training.settings import assignments, merged, resolve

    values = merged({"data": {"source": source}}, assignments(assigned))
    settings = resolve(values)
    dataset = data.load(settings.data)
    return data.apply(dataset, settings.filter) if "filter" in values else dataset


def _counts(part: str, interactions: "Interactions") -> tuple[str, ...]:
    from resprout.data.interactions import count

    counts = count(interactions)
    found = interactions.compact()
    ids = [
        f"{one.ids[0]}..{one.ids[-1]}" if len(one) and not one.is_text else "text"
        for one in (found.user_ids, found.item_ids)
    ]
    return (
        part,
        *ids,
        f"{counts.users:,}",
        f"{counts.items:,}",
        f"{counts.interactions:,}",
        f"{counts.duplicates:,}",
        f"{100 * counts.density:.3f} %",
        f"{counts.per_user_min} / {counts.per_user_median:g} / {counts.per_user_max}",
    )
