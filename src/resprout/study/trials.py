"""What was tried in studies, by what was chosen from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resprout.study.folder import StudyFolder
from resprout.study.results import Group, ended_in, grouped, told_apart


@dataclass(frozen=True)
class Trials:
    """The ended trials of one choice, the best on validation data first.

    group: their runs; monitor: the metric that they are judged by; tried: what was tried in each; values: their metric.
    """

    group: Group
    monitor: str
    tried: Sequence[Mapping[str, Any]]
    values: Sequence[float]


def trials_of(folders: Sequence[Path]) -> list[Trials]:
    """The trials in these folders, each of a run or of a study; choices in the order in which they first appear."""
    studies = [StudyFolder(folder) for folder in folders]
    keys = list(dict.fromkeys(key for study in studies if study.plan.exists() for key in study.tried()))
    return [_ranked(group, keys) for group in grouped(told_apart(ended_in(folders, trials=True)), keys)]


def _ranked(group: Group, keys: Sequence[str]) -> Trials:
    monitor = group.runs[0].run.settings().training.monitor
    runs = sorted(group.runs, key=lambda outcome: -outcome.result["validation"][monitor])
    tried = [{key: outcome.point.get(key) for key in keys} for outcome in runs]
    return Trials(Group(group.point, runs), monitor, tried, [run.result["validation"][monitor] for run in runs])
