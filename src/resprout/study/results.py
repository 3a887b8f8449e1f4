"""What came out of runs: one line a run, and one line for runs that differ by nothing but their seed."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resprout.errors import RunError
from resprout.study.folder import StudyFolder
from resprout.study.planned import SEED
from resprout.training.folder import RunFolder
from resprout.training.settings import Settings

METHOD, BUDGET = "method.name", "budget.limit"


@dataclass(frozen=True)
class Outcome:
    """A run that has ended: what tells it from others, by key, and the content of its result.json."""

    run: RunFolder
    point: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Mean of some runs, and their standard deviation (of a sample; NaN for one run)."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """That of the values, of which there is at least one."""
        deviation = statistics.stdev(values) if len(values) > 1 else math.nan
        return cls(statistics.fmean(values), deviation)

    def told(self, digits: int) -> str:
        """The mean, and the deviation if there is one, with so many digits."""
        return f"{self.mean:.{digits}f}" + ("" if math.isnan(self.deviation) else f" ± {self.deviation:.{digits}f}")

    def __str__(self) -> str:
        return self.told(4)


@dataclass(frozen=True)
class Group:
    """Runs that differ by nothing but their seed, at least one."""

    point: Mapping[str, Any]
    runs: Sequence[Outcome]

    def spread(self, *path: str) -> Spread:
        """Of a figure of their results, such as `spread("test", "recall@20")`."""
        return Spread.of([_at(run.result, path) for run in self.runs])

    def name(self, settings: Sequence[str]) -> list[str]:
        """Method, budget, and the values of these settings, under the heads of `heads`; empty for none."""
        result, values = self.runs[0].result, [self.point[key] for key in settings]
        return [
            result["method"],
            *("" if value is None else str(value) for value in (result["budget"]["limit"], *values)),
        ]


def outcomes_of(folders: Sequence[Path]) -> list[Outcome]:
    """The ended runs in these folders, each of a run or of a study, without trials; RunError for other folders.

    What tells runs apart is what they were asked for: the settings in which any of them differ.
    """
    found = ended_in(folders, trials=False)
    for folder in folders:
        if not StudyFolder(folder).plan.exists() and folder not in {run.path for run, _ in found}:
            raise RunError(f"{folder} is a trial (evaluation.test is false): it cannot be compared on test data")
    if not found:
        raise RunError(f"no run has ended in {', '.join(map(str, folders))}: go on with `resprout study run`")
    outcomes, studies = told_apart(found), [study for study in map(StudyFolder, folders) if study.plan.exists()]
    return _without(outcomes, studies[0].tried()) if len(studies) == len(folders) == 1 else outcomes


def _without(outcomes: list[Outcome], keys: Sequence[str]) -> list[Outcome]:
    """Outcomes without settings that were chosen for them, unless nothing else tells some of them apart."""
    left = [
        Outcome(one.run, {key: value for key, value in one.point.items() if key not in keys}, one.result)
        for one in outcomes
    ]
    return left if len({json.dumps(one.point, default=str) for one in left}) == len(left) else outcomes


def ended_in(folders: Sequence[Path], *, trials: bool) -> list[tuple[RunFolder, Settings]]:
    """The ended runs in these folders, each of a run or of a study: those that are trials, or those that are none."""
    found: dict[Path, RunFolder] = {}
    for folder in folders:
        study = StudyFolder(folder)
        if study.plan.exists():
            ended = list(study.ended_runs().values())
        else:
            ended = [RunFolder(folder)]
            ended[0].read_result()
        found |= {run.path: run for run in ended}
    runs = [(run, run.settings()) for run in found.values()]
    return [(run, settings) for run, settings in runs if settings.evaluation.test != trials]


def told_apart(runs: Sequence[tuple[RunFolder, Settings]]) -> list[Outcome]:
    """Runs with the settings in which any of them differ."""
    flat = [_flat(settings.sections) for _, settings in runs]
    differing = _differing(flat)
    return [
        Outcome(run, {key: own.get(key) for key in differing}, run.read_result())
        for (run, _), own in zip(runs, flat, strict=True)
    ]


def groups_of(outcomes: Sequence[Outcome]) -> list[Group]:
    """Outcomes without their seeds, in the order in which they first appear."""
    return grouped(outcomes, [SEED])


def grouped(outcomes: Sequence[Outcome], without: Sequence[str]) -> list[Group]:
    """Outcomes that differ by nothing but some settings."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        point = {key: value for key, value in outcome.point.items() if key not in without}
        groups.setdefault(json.dumps(point, sort_keys=True, default=str), []).append(outcome)
    return [
        Group({key: value for key, value in runs[0].point.items() if key not in without}, runs)
        for runs in groups.values()
    ]


def telling(groups: Sequence[Group]) -> list[str]:
    """The settings that tell groups of the same method and budget apart; what only follows these two is passed over."""
    found = []
    for key in (key for key in groups[0].point if key not in (METHOD, BUDGET)):
        values: dict[tuple[str, str], set[str]] = {}
        for group in groups:
            own = str(group.point.get(METHOD)), str(group.point.get(BUDGET))
            values.setdefault(own, set()).add(str(group.point[key]))
        if any(len(of_one) > 1 for of_one in values.values()):
            found.append(key)
    return found


def heads(settings: Sequence[str]) -> list[str]:
    """What stands above `Group.name`."""
    return ["method", "budget", *map(head, settings)]


def head(setting: str) -> str:
    """What stands above the values of a setting: the last word of its key, but the first of names; and its stage."""
    words = setting.split(".")
    if words[0] == "stages":
        return f"{words[-1]} ({words[1]})"
    return words[0 if words[-1] == "name" else -1]


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return flat


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of which two runs have different values, none among them, of those that could have one."""
    found = []
    for key in dict.fromkeys(key for one in settings for key in one):
        having = {_owner(key, one) for one in settings if key in one}
        if len({json.dumps(one.get(key), default=str) for one in settings if _owner(key, one) in having}) > 1:
            found.append(key)
    return found


def _owner(key: str, settings: Mapping[str, Any]) -> Any:
    """What has an option of this key: a method, for its own and its stages'; a backbone; a budget; or every run."""
    section = key.partition(".")[0]
    if section == "budget":
        return key == BUDGET or BUDGET in settings
    return settings.get({"method": METHOD, "stages": METHOD, "backbone": "backbone.name"}.get(section, ""))


def _at(result: Any, path: Sequence[str]) -> float:
    for key in path:
        result = result[key]
    return float(result)
