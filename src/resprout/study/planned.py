"""What a study comes to: its runs, those that are tried first, and what is made of the best of them."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resprout.errors import SettingsError
from resprout.training.settings import Settings, assignment

SEED, TEST = "training.seed", "evaluation.test"


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study. key: equal for equal settings; point: what its grid says of it, by key."""

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
        """The run in a few words: backbone, method, budget and what else its grid says."""
        settings = self.settings
        parts = [settings.data.source.rpartition("/")[2], settings.backbone_name, settings.method_name]
        parts += [] if settings.budget is None else [str(settings.budget)]
        shown = ("data.source", "backbone.name", "method.name", "budget.limit", TEST)
        parts += [f"{key.rpartition('.')[2]} {value}" for key, value in self.point.items() if key not in shown]
        parts += [] if settings.evaluation.test else ["trial"]
        return ", ".join(parts)


@dataclass(frozen=True)
class Choice:
    """Trials, which differ by what is tried, and for the key of each the runs that are made if it is the best."""

    trials: Sequence[PlannedRun]
    chosen: Mapping[str, Sequence[PlannedRun]]


@dataclass(frozen=True)
class Study:
    """A name, and its runs in the order of the file, none twice: those that are certain, trials among them.

    tried: keys of what is tried.
    """

    name: str
    runs: Sequence[PlannedRun]
    choices: Sequence[Choice] = ()
    tried: Sequence[str] = ()

    @property
    def possible(self) -> Iterator[PlannedRun]:
        """The runs that are certain, and those that may come of choices."""
        yield from self.runs
        for choice in self.choices:
            yield from itertools.chain.from_iterable(choice.chosen.values())


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
            {json.dumps(found, default=str): found for run in study.possible for found in [run.setting(key)]}.values()
        )
        for value in values:
            if value not in there:
                has = ", ".join(str(found) for found in there if found is not None)
                raise SettingsError(
                    f"--where {key}={value}: no run of the study has it; they have {has or 'no such key'}"
                )

    def meets(run: PlannedRun) -> bool:
        return all(run.setting(key) in values for key, values in wanted.items())

    choices = [part for choice in study.choices if (part := _part_of_choice(choice, meets)).trials]
    trials = {trial.key for choice in study.choices for trial in choice.trials}
    wanted_trials = {trial.key for choice in choices for trial in choice.trials}
    runs = [run for run in study.runs if (run.key in wanted_trials if run.key in trials else meets(run))]
    if not runs:
        raise SettingsError(f"no run of the study meets all of: {', '.join(conditions)}")
    return Study(study.name, runs, choices, study.tried)


def _part_of_choice(choice: Choice, meets: Callable[[PlannedRun], bool]) -> Choice:
    """The runs that may come of it and meet a condition, and the trials that can lead to them."""
    chosen = {key: [run for run in runs if meets(run)] for key, runs in choice.chosen.items()}
    return Choice([trial for trial in choice.trials if chosen[trial.key]], chosen)


def run_key(settings: Settings) -> str:
    """The same for the same resolved settings, whatever gave them."""
    text = json.dumps(settings.sections, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
