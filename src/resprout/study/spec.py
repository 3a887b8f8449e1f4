"""A study file: a grid over any settings, as a list of runs that are keyed by what they come to.

name = "methods"                        # of the folder; the file's own if not given
recipe = "mine.toml"                    # in place of the bundled ones, if given; beside this file, or a path from there
[base.data]                             # sections as in run.toml, for all runs; recipes hold as in `train`
source = "ml-1m"
[[grid]]                                # one or more; each is every combination of its axes
set = { "backbone.name" = "mf" }
axes = { "training.seed" = [0, 1, 2] }
tried = { "training.learning_rate" = [0.01, 0.03] }  # of the first seed; what validation data choose stands for all
parts = [                               # if given, one product for each, of its axes and the common ones
  {},
  { "method.name" = ["dsl", "narrow"], "budget.limit" = ["50%", "10%"] },
]
recipe = "other.toml"                   # for this grid alone
[quick]                                 # what --quick makes otherwise: base over base, axes in place of axes and tried
base.training.epochs = 2
axes = { "training.seed" = [0] }
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from resprout.api import settings_of
from resprout.catalog import unknown
from resprout.errors import SettingsError
from resprout.study.planned import SEED, TEST, Choice, PlannedRun, Study, run_key
from resprout.training.recipes import with_recipe
from resprout.training.settings import merged, nested, read_toml


class Grid(BaseModel):
    """Every combination of the axes, which are lists of values by key, with what is set for all of them.

    parts: further axes, each with all common ones but those of its own keys, for a grid that is no single product.
    tried: settings that are chosen for each combination of the others but the seed, from every combination of these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]] = Field(default_factory=dict)
    parts: list[dict[str, list[Any]]] = Field(default=[{}], min_length=1)
    tried: dict[str, list[Any]] = Field(default_factory=dict)
    recipe: str | None = None


class Quick(BaseModel):
    """What a quick form has otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]] = Field(default_factory=dict)


class StudyFile(BaseModel):
    """The content of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.-]+$")
    base: dict[str, Any] = Field(default_factory=dict)
    recipe: str | None = None
    grid: list[Grid] = Field(min_length=1)
    quick: Quick = Field(default_factory=Quick)


_FIELDS = {"grid": Grid.model_fields, "quick": Quick.model_fields}


def read_study(path: Path, quick: bool = False) -> Study:
    """The study that a file describes, or its quick form; SettingsError that names grid and key for what is wrong."""
    content = {"name": path.stem, **read_toml(path)}
    try:
        file = StudyFile(**content)
    except ValidationError as error:
        raise _refused(path, error.errors()[0]) from None
    base, other = (merged(file.base, file.quick.base), file.quick.axes) if quick else (file.base, {})
    runs: dict[str, PlannedRun] = {}
    choices: list[Choice] = []
    found: list[PlannedRun]
    for where, grid, part in _parts(file):
        recipe = grid.recipe or file.recipe
        plan = partial(_planned, base, grid.set, path.parent / recipe if recipe else None)
        axes, tried = (
            {key: other.get(key, values) for key, values in given.items()}
            for given in ({**grid.axes, **part}, grid.tried)
        )
        try:
            if tried:
                own = list(_choices(plan, axes, tried))
                choices += own
                found = [trial for choice in own for trial in choice.trials]
            else:
                found = [plan(point) for point in _points(axes)]
        except SettingsError as error:
            raise SettingsError(f"study {path}, {where}: {error}") from error
        for run in found:
            runs.setdefault(run.key, run)
    keys = dict.fromkeys(key for grid in file.grid for key in grid.tried)
    return Study(f"{file.name}-quick" if quick else file.name, list(runs.values()), choices, list(keys))


def _refused(path: Path, error: ErrorDetails) -> SettingsError:
    """What is wrong with the form of a study file; grids are counted from 1, as a reader does."""
    *places, last = error["loc"]
    where = " ".join(str(place + 1) if isinstance(place, int) else place for place in places)
    if error["type"] == "extra_forbidden":
        fields = _FIELDS[str(places[0])] if places else StudyFile.model_fields
        return unknown(", ".join(filter(None, [f"study {path}", where])), str(last), fields)
    key = str(last + 1) if isinstance(last, int) else last
    return SettingsError(f"study {path}: {' '.join(filter(None, [where, key]))}: {error['msg'].lower()}")


def _parts(file: StudyFile) -> Iterator[tuple[str, Grid, Mapping[str, list[Any]]]]:
    """Each part of each grid, and where it is: grids and parts are counted from 1."""
    for number, grid in enumerate(file.grid, 1):
        for count, part in enumerate(grid.parts, 1):
            yield f"grid {number}" + (f", part {count}" if len(grid.parts) > 1 else ""), grid, part


def _points(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The value of each axis, by key, one combination after the other."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _planned(
    base: Mapping[str, Any], common: Mapping[str, Any], recipe: Path | None, point: Mapping[str, Any]
) -> PlannedRun:
    given = {**common, **point}
    values = merged(base, *(nested(key, value) for key, value in given.items()))
    settings = settings_of(with_recipe(values, recipe)[0])
    return PlannedRun(run_key(settings), settings, given)


def _choices(
    plan: Callable[[dict[str, Any]], PlannedRun], axes: Mapping[str, Sequence[Any]], tried: Mapping[str, Any]
) -> Iterator[Choice]:
    """One for each combination of the axes but the seed, of whose values the first is that of the trials."""
    seeds = axes.get(SEED, ())
    own = [{SEED: seed} for seed in seeds] or [{}]
    for point in _points({key: values for key, values in axes.items() if key != SEED}):
        chosen = {}
        trials = []
        for values in _points(tried):
            trial = plan({**point, **own[0], **values, TEST: False})
            if not trial.settings.split.validation_share:
                raise SettingsError("trials are judged by validation data: split.validation_share is 0")
            trials.append(trial)
            chosen[trial.key] = [plan({**point, **seed, **values}) for seed in own]
        yield Choice(trials, chosen)
