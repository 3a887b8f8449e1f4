"""Runs of a study side by side, each in a process of its own: finished ones are passed over, broken ones gone on with.

A study's folder has `study.toml` (a copy of the file), `plan.json` (keys, labels and points of its runs), for each run
`KEY/` (its folder) and `KEY.log` (what it has said), and `stages/` (what runs have in common, see `training.shared`).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from resprout.artifact.files import read_json, write_json, write_text
from resprout.errors import RunError
from resprout.study.spec import PlannedRun, Study
from resprout.training.folder import RunFolder

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error, and its last line."""

    run: PlannedRun
    message: str


@dataclass
class Progress:
    """Where a study stands. seconds: of runs that ended in this session."""

    done: list[PlannedRun] = field(default_factory=list)
    running: dict[str, PlannedRun] = field(default_factory=dict)
    waiting: list[PlannedRun] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class StudyFolder:
    """The paths of a study's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / "plan.json"
        self.stages = path / "stages"

    def run(self, key: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / key)

    def log(self, key: str) -> Path:
        """What a run has said."""
        return self.path / f"{key}.log"

    def claim(self, study: Study, source: str) -> None:
        """Makes the folder and writes what the study is; RunError if it holds something else than this study."""
        if self.path.exists() and not self.plan.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(f"output folder {self.path} holds other files: name another with --out")
        write_text(self.path / "study.toml", source)
        write_json(self.plan, {"name": study.name, "runs": []})
        self.add(study.runs)

    def keys(self) -> list[str]:
        """Keys of the runs that are planned."""
        return [run["key"] for run in read_json(self.plan)["runs"]]

    def add(self, runs: Sequence[PlannedRun]) -> None:
        """Plans more runs, unless they are planned already."""
        plan, known = read_json(self.plan), set(self.keys())
        new = [{"key": r.key, "label": r.label, "point": dict(r.point)} for r in runs if r.key not in known]
        write_json(self.plan, {**plan, "runs": [*plan["runs"], *new]})


def run_study(
    study: Study, folder: StudyFolder, jobs: int, told: Callable[[Progress], None], threads: int | None = None
) -> Progress:
    """Trains what is left of the study, at most `jobs` runs at a time; `told` hears of it several times a second.

    threads: of each run; the cores shared out evenly if not given. A run that fails is reported at the end, and the
    others go on. On Ctrl-C all that run are stopped, each at its last checkpoint, and KeyboardInterrupt is raised.
    """
    progress = Progress()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    for run in study.runs:
        (progress.done if folder.run(run.key).result.exists() else progress.waiting).append(run)
    each = threads or max(1, (os.cpu_count() or 1) // jobs)
    begun: dict[str, float] = {}
    try:
        while progress.waiting or processes:
            while progress.waiting and len(processes) < jobs:
                run = progress.waiting.pop(0)
                processes[run.key] = _started(run, folder, each)
                progress.running[run.key], begun[run.key] = run, time.monotonic()
            time.sleep(_LOOK_SECONDS)
            for key in [key for key, process in processes.items() if process.poll() is not None]:
                run, status = progress.running.pop(key), processes.pop(key).returncode
                if status == 0 and folder.run(key).result.exists():
                    progress.done.append(run)
                    progress.seconds.append(time.monotonic() - begun[key])
                else:
                    progress.failed.append(Failure(run, _last_line(folder.log(key), status)))
            told(progress)
    finally:
        _stop(list(processes.values()))
    return progress


def _started(run: PlannedRun, folder: StudyFolder, threads: int) -> "subprocess.Popen[bytes]":
    own = folder.run(run.key)
    if own.path.exists() and not own.settings_file.exists():
        shutil.rmtree(own.path)  # killed before it had written what it is
    command = [sys.executable, "-m", "resprout.cli.main", "train", "--share", str(folder.stages)]
    if own.settings_file.exists():
        command += ["--resume", str(own.path)]
    else:
        settings = folder.path / f"{run.key}.toml"
        write_text(settings, tomli_w.dumps(run.settings.sections))
        command += ["--config", str(settings), "--no-recipe", "--out", str(own.path)]
    count = str(threads)
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), count)
    with folder.log(run.key).open("ab") as log:
        # a group of its own: Ctrl-C reaches it through us alone, once
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def _stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    end = time.monotonic() + _PATIENCE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(log: Path, status: int) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {status}"
