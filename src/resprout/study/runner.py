"""The loop of a study: finished runs are passed over, broken ones gone on with, failed ones reported."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from resprout.data import ensure_files
from resprout.study.claims import Claims
from resprout.study.folder import StudyFolder
from resprout.study.planned import PlannedRun, Study


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error, and its last line."""

    run: PlannedRun
    message: str


@dataclass
class Progress:
    """Where a study stands.

    jobs: how many run side by side at most; seconds: by key, of runs that this process trained to their end; elsewhere:
    how many of those that wait are being trained by another process.
    """

    jobs: int
    done: list[PlannedRun] = field(default_factory=list)
    running: dict[str, PlannedRun] = field(default_factory=dict)
    waiting: list[PlannedRun] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    elsewhere: int = 0


class Workers(Protocol):
    """Where runs are trained: processes of this machine, or a cluster."""

    @property
    def jobs(self) -> int:
        """How many runs may be under way at a time."""

    def begin(self, run: PlannedRun) -> None:
        """Begins a run, or goes on with it."""

    def ended(self) -> list[tuple[str, str | None]]:
        """Keys of runs that have ended since the last call, each with what went wrong; waits a moment if none has."""

    def stop(self) -> None:
        """Stops all that run, each at its last checkpoint."""


def run_study(study: Study, folder: StudyFolder, workers: Workers, told: Callable[[Progress], None]) -> Progress:
    """Trains what is left of the study; `told` hears of it several times a second.

    A run that fails is reported at the end, and the others go on. What comes of a choice is trained as soon as all its
    trials are over. What another process trains in the same folder is left to it, and waited for. On Ctrl-C all that
    run are stopped, and KeyboardInterrupt is raised. DataError before the first run if the data of any cannot be had.
    """
    progress, undecided, claims = Progress(workers.jobs), list(study.choices), Claims(folder.path)

    def plan(runs: Sequence[PlannedRun]) -> None:
        for run in runs:
            (progress.done if folder.ended(run.key) else progress.waiting).append(run)

    def decide() -> None:
        failed = {failure.run.key for failure in progress.failed}
        for choice in list(undecided):
            if (runs := folder.chosen(choice, failed)) is not None:
                undecided.remove(choice)
                folder.add(runs)
                plan(runs)

    def begin() -> None:
        others = []
        while progress.waiting and len(progress.running) < workers.jobs:
            run = progress.waiting.pop(0)
            if not claims.take(run.key):
                others.append(run)
            elif folder.ended(run.key):  # by another process, since it was planned here
                claims.leave(run.key)
                progress.done.append(run)
            else:
                workers.begin(run)
                progress.running[run.key], begun[run.key] = run, time.monotonic()
        progress.waiting[:0], progress.elsewhere = others, len(others)

    plan(study.runs)
    decide()
    for settings in {run.settings.data.source: run.settings.data for run in progress.waiting}.values():
        ensure_files(settings)
    begun: dict[str, float] = {}
    try:
        while progress.waiting or progress.running:
            before = len(progress.done)
            begin()
            ended = workers.ended()
            for key, wrong in ended:
                run = progress.running.pop(key)
                claims.leave(key)
                if wrong is None and folder.run(key).result.exists():
                    progress.done.append(run)
                    progress.seconds[key] = time.monotonic() - begun[key]
                else:
                    progress.failed.append(Failure(run, folder.last_words(run) or wrong or "it left no result"))
            if ended or len(progress.done) > before:
                decide()
            told(progress)
    finally:
        workers.stop()
        claims.leave_all()
    return progress
