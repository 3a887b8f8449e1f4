"""`resprout train`: one run, new or resumed."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resprout.training.settings import Settings
    from resprout.training.shared import SharedStages


def train(
    data: Annotated[
        str | None, typer.Option(metavar="NAME_OR_PATH", help="A known data set, a file or a folder.  [default: demo]")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="The model: see `resprout methods`.  [default: mf]")] = None,
    method: Annotated[
        str | None, typer.Option(help="How it keeps to the budget.  [default: resprout; dense without one]")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Share of the dense weights like 20%, or deployed bytes like 8MB.")
    ] = None,
    budget_of: Annotated[
        str | None, typer.Option(metavar="deployed|training", help="What its bytes are of.  [default: deployed]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.  [default: 100]")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random follows from it.  [default: 0]")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder.  [default: runs/<data>-<backbone>-<method>[-<budget>[-training]]-<seed>]"),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings; options here win.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting, like training.learning_rate=0.01."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings by method, in place of a known data set's; --config wins."),
    ] = None,
    no_recipe: Annotated[
        bool, typer.Option("--no-recipe", help="Leave out the recipe that a known data set has for the backbone.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train once more on train and validation data, for the epochs chosen.")
    ] = False,
    final: Annotated[
        bool,
        typer.Option(
            "--final", help="Deploy a model that is trained once more on all data, after test data were read."
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped; takes no other option but --share."),
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Take stages that other runs have left there, and leave own ones."),
    ] = None,
) -> None:
    """Train a model within a budget."""
    given: dict[str, Any] = {
        "data": data,
        "backbone": backbone,
        "method": method,
        "budget": budget,
        "budget-of": budget_of,
        "epochs": epochs,
        "seed": seed,
        "out": out,
        "config": config,
        "set": set_,
        "refit": refit,
        "final": final,
        "recipe": recipe,
        "no-recipe": no_recipe,
    }
    given = {name: value for name, value in given.items() if value is not None and value is not False and value != []}
    if resume is not None:
        _resume(resume, given, share)
    else:
        _start(given, share)


def _start(given: dict[str, Any], share: Path | None) -> None:
    from resprout.api import default_folder
    from resprout.cli.progress import watcher
    from resprout.training import run

    settings = _settings(given)
    folder: Path = given.get("out") or default_folder(settings)
    try:
        result = run.start(settings, folder, watcher(settings.training.monitor), shared=_shared(share))
    except KeyboardInterrupt:
        raise _interruption(folder) from None
    _show(folder, result)


def _resume(folder: Path, given: dict[str, Any], share: Path | None) -> None:
    from resprout.cli.progress import watcher
    from resprout.errors import SettingsError
    from resprout.training import run
    from resprout.training.folder import RunFolder

    if given:
        others = ", ".join(f"--{name}" for name in given)
        raise SettingsError(f"--resume takes its settings from {folder}/run.toml: leave {others} out")
    settings = RunFolder(folder).settings()
    try:
        result = run.resume(folder, watcher(settings.training.monitor), shared=_shared(share))
    except KeyboardInterrupt:
        raise _interruption(folder) from None
    _show(folder, result)


def _shared(folder: Path | None) -> "SharedStages | None":
    from resprout.training.shared import SharedStages

    return None if folder is None else SharedStages(folder)


def _settings(given: dict[str, Any]) -> "Settings":
    """Defaults, then the recipe, then --config, then named options, then --set."""
    from resprout.api import settings_of
    from resprout.errors import SettingsError
    from resprout.training.recipes import with_recipe
    from resprout.training.settings import assignments, merged, read_toml

    places = {
        "data": ("data", "source"),
        "backbone": ("backbone", "name"),
        "method": ("method", "name"),
        "budget": ("budget", "limit"),
        "budget-of": ("budget", "of"),
        "epochs": ("training", "epochs"),
        "seed": ("training", "seed"),
        "refit": ("training", "refit"),
        "final": ("training", "final"),
    }
    named: dict[str, dict[str, Any]] = {}
    for name, (section, key) in places.items():
        if name in given:
            named.setdefault(section, {})[key] = given[name]
    if {"recipe", "no-recipe"} <= given.keys():
        raise SettingsError("--recipe and --no-recipe exclude each other: leave one out")
    file = read_toml(given["config"]) if "config" in given else {}
    values = merged(file, named, assignments(given.get("set", [])))
    recipe = None
    if "no-recipe" not in given:
        values, recipe = with_recipe(values, given.get("recipe"))
    try:
        settings = settings_of(values)
    except SettingsError as error:
        if files := [str(given[name]) for name in ("recipe", "config") if name in given]:
            raise SettingsError(f"{error} (in {' or '.join(files)}, or in an option that wins over it)") from error
        raise
    if recipe is not None:
        leave_out = "" if "recipe" in given else " (--no-recipe leaves it out)"
        typer.echo(f"settings: recipe {recipe}, where you gave none{leave_out}", err=True)
    return settings


def _interruption(folder: Path) -> KeyboardInterrupt:
    from resprout.training.folder import RunFolder

    if not RunFolder(folder).settings_file.exists():
        return KeyboardInterrupt("nothing was written")
    return KeyboardInterrupt(f"go on with: resprout train --resume {shlex.quote(str(folder))}")


def _show(folder: Path, result: dict[str, Any]) -> None:
    from resprout.cli.tables import output, result_table

    output().print(result_table(result))
    quoted = shlex.quote(str(folder))
    measured = "" if result.get("final") else f"\n  resprout evaluate {quoted}"
    typer.echo(f"\nnext:\n  resprout recommend {quoted} --user ID{measured}")
