"""`resprout evaluate`: the metrics of a run, measured again on its deployed model."""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Part(StrEnum):
    """The held-out parts."""

    validation = "validation"
    test = "test"


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that has ended.")],
    part: Annotated[Part, typer.Option(help="The held-out part to measure on.")] = Part.test,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a deployed model again; exit code 1 if the metrics are not those that the run recorded."""
    from resprout.errors import RunError
    from resprout.training.folder import RunFolder

    folder = RunFolder(run)
    recorded: dict[str, float] = folder.read_result()[part.value]
    if not recorded:
        other = Part.test if part is Part.validation else Part.validation
        raise RunError(
            f"run {run} has recorded nothing on {part.value} data to compare with: it has none, or was not to read "
            f"them; measure on the others with --part {other.value}"
        )
    found = _measured(folder, part.value)
    agree = found.keys() == recorded.keys() and all(
        math.isclose(found[name], recorded[name], rel_tol=1e-9, abs_tol=1e-12) for name in recorded
    )
    if as_json:
        report: dict[str, Any] = {"part": part.value, "metrics": found, "recorded": recorded, "agree": agree}
        typer.echo(json.dumps(report, indent=2))
    else:
        _show(part.value, found, recorded, agree)
    if not agree:
        raise typer.Exit(1)


def _measured(folder: Any, part: str) -> dict[str, float]:
    from resprout.artifact.format import load_model
    from resprout.data import Split
    from resprout.errors import SettingsError
    from resprout.serving.recommender import model_of
    from resprout.training.prepare import load_dataset, measure

    settings = folder.settings()
    if settings.training.final:
        raise SettingsError(
            f"{folder.path} deploys a model that was trained once more on all data (--final): measured on {part} data, "
            "it would be measured on what it has learnt; what it was worth before stands in its result.json"
        )
    if part == "validation" and settings.training.refit:
        raise SettingsError(
            f"{folder.path} was trained again on train and validation data (--refit): "
            "measured on validation data, it would be measured on what it has learnt"
        )
    model = model_of(load_model(folder.deployed()))
    split = Split.load(folder.path, load_dataset(settings).interactions)
    return measure(model, split, part, settings.evaluation)


def _show(part: str, found: dict[str, float], recorded: dict[str, float], agree: bool) -> None:
    from resprout.cli.tables import figures, output

    rows = [
        (name, f"{value:.6f}", f"{recorded[name]:.6f}" if name in recorded else "none") for name, value in found.items()
    ]
    output().print(figures(None, (part, "measured now", "recorded"), rows))
    typer.echo("measured and recorded metrics agree" if agree else "measured and recorded metrics DIFFER")
