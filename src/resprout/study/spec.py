"""A study file: a grid over any settings, as a list of runs that are keyed by what they come to.

name = "methods"                        # of the folder; the file's own if not given
[base.data]                             # sections as in run.toml, for all runs; recipes hold as in `train`
source = "ml-1m"
[[grid]]                                # one or more; each is every combination of its axes
set = { "method.name" = "dsl" }
axes = { "budget.limit" = ["50%", "10%"], "training.seed" = [0, 1, 2] }
[quick]                                 # what --quick makes otherwise: base over base, axes in place of axes
base.training.epochs = 2
axes = { "training.seed" = [0] }
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resprout.api import settings_of
from resprout.errors import SettingsError
from resprout.training.recipes import with_recipe
from resprout.training.settings import Settings, assignment, merged, nested, read_toml


class Grid(BaseModel):
    """Every combination of the axes, which are lists of values by key, with what is set for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]] = Field(default_factory=dict)

    def points(self) -> Iterator[dict[str, Any]]:
        """The value of each axis, by key, one combination after the other."""
        for values in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))


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
    grid: list[Grid] = Field(min_length=1)
    quick: Quick = Field(default_factory=Quick)


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study. key: equal for equal settings; point: what tells it from the others of its grid, by key."""

    key: str
    settings: Settings
    point: Mapping[str, Any]

    def setting(self, key: str) -> Any:
        """The value of a setting like "backbone.width"; None if it has none."""
        value: Any = self.settings.sections
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    @property
    def label(self) -> str:
        """The run in a few words: backbone, method, budget and what else differs."""
        settings = self.settings
        parts = [settings.data.source.rpartition("/")[2], settings.backbone_name, settings.method_name]
        parts += [] if settings.budget is None else [str(settings.budget)]
        shown = ("data.source", "backbone.name", "method.name", "budget.limit")
        parts += [f"{key.rpartition('.')[2]} {value}" for key, value in self.point.items() if key not in shown]
        return ", ".join(parts)


@dataclass(frozen=True)
class Study:
    """A name, and its runs in the order of the file, none twice."""

    name: str
    runs: Sequence[PlannedRun]


def read_study(path: Path, quick: bool = False) -> Study:
    """The study that a file describes, or its quick form; SettingsError that names grid and key for what is wrong."""
    content = {"name": path.stem, **read_toml(path)}
    try:
        file = StudyFile(**content)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"study {path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    runs: dict[str, PlannedRun] = {}
    for number, grid in enumerate(file.grid, 1):
        axes = {key: file.quick.axes.get(key, values) if quick else values for key, values in grid.axes.items()}
        for point in Grid(axes=axes).points():
            base = merged(file.base, file.quick.base) if quick else file.base
            try:
                values = merged(base, *(nested(key, value) for key, value in (grid.set | point).items()))
                settings = settings_of(with_recipe(values)[0])
            except SettingsError as error:
                raise SettingsError(f"study {path}, grid {number}: {error}") from error
            run = PlannedRun(run_key(settings), settings, point)
            runs.setdefault(run.key, run)
    return Study(f"{file.name}-quick" if quick else file.name, list(runs.values()))


def part_of(study: Study, conditions: Sequence[str]) -> Study:
    """The runs that meet conditions like "method.name=dsl"; one key may be given several values, any of which will do.

    SettingsError for a key or value that no run of the study has.
    """
    wanted: dict[str, list[Any]] = {}
    for text in conditions:
        key, value = assignment(text, "--where")
        wanted.setdefault(key, []).append(value)
    for key, values in wanted.items():
        there = list(
            {json.dumps(found, default=str): found for run in study.runs for found in [run.setting(key)]}.values()
        )
        for value in values:
            if value not in there:
                has = ", ".join(str(found) for found in there if found is not None)
                raise SettingsError(
                    f"--where {key}={value}: no run of the study has it; they have {has or 'no such key'}"
                )
    runs = [run for run in study.runs if all(run.setting(key) in values for key, values in wanted.items())]
    if not runs:
        raise SettingsError(f"no run of the study meets all of: {', '.join(conditions)}")
    return Study(study.name, runs)


def run_key(settings: Settings) -> str:
    """The same for the same resolved settings, whatever gave them."""
    text = json.dumps(settings.sections, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
