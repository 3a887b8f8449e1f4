"""Runs of a study on a Ray cluster: a run whose machine is lost goes on at its last checkpoint on another.

All machines must see the study's folder and the data under the same paths, and have this library installed.
"""

import contextlib
import os
import runpy
import socket
import sys
import time
from pathlib import Path
from typing import Any

from resprout.errors import RunError, SettingsError
from resprout.study.folder import StudyFolder
from resprout.study.planned import PlannedRun
from resprout.study.processes import THREAD_VARIABLES

_LOOK_SECONDS, _PATIENCE_SECONDS = 0.2, 20
_TRIES_AFTER_A_LOSS = 3
_WAY_OUT = "start one with `ray start --head`, or name it in RAY_ADDRESS"


class RayCluster:
    """`runner.Workers` of the Ray cluster that runs here, or that RAY_ADDRESS names; SettingsError if there is none."""

    def __init__(self, folder: StudyFolder, jobs: int | None = None, threads: int = 1) -> None:
        """jobs: as many as the cluster has room for, if not given; threads: of each run."""
        try:
            import ray
        except ImportError as error:
            raise SettingsError("a cluster needs Ray: pip install 'resprout[cluster]'") from error
        if not ray.is_initialized():
            _connect(ray)
        self._ray, self._folder, self._jobs, self._threads = ray, StudyFolder(folder.path.resolve()), jobs, threads
        passed = {name: value for name, value in os.environ.items() if name.startswith("RESPROUT_")}
        variables = passed | dict.fromkeys(THREAD_VARIABLES, str(threads))
        # a process for each run, so that the peak of its memory is its own
        self._train = ray.remote(
            num_cpus=threads, max_retries=_TRIES_AFTER_A_LOSS, max_calls=1, runtime_env={"env_vars": variables}
        )(_train)
        self._running: dict[Any, str] = {}

    @property
    def jobs(self) -> int:
        """See `runner.Workers`; it follows what the cluster has."""
        return self._jobs or max(1, int(self._ray.cluster_resources().get("CPU", 0)) // self._threads)

    def begin(self, run: PlannedRun) -> None:
        """See `runner.Workers`."""
        self._running[self._train.remote(self._folder, run, str(Path.cwd()))] = run.key

    def ended(self) -> list[tuple[str, str | None]]:
        """See `runner.Workers`."""
        if not self._running:  # for which Ray does not wait
            time.sleep(_LOOK_SECONDS)
            return []
        over, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_LOOK_SECONDS)
        return [(self._running.pop(task), self._wrong(task)) for task in over]

    def stop(self) -> None:
        """See `runner.Workers`."""
        for task in self._running:
            self._ray.cancel(task)  # Ctrl-C there
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_PATIENCE_SECONDS)
        self._running.clear()

    def _wrong(self, task: Any) -> str | None:
        try:
            status = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return str(error).strip().splitlines()[-1]
        return f"exit status {status}" if status else None


def _connect(ray: Any) -> None:
    named = os.environ.get("RAY_ADDRESS", "auto")
    address, whose = (named, "RAY_ADDRESS") if named != "auto" else (_last_started(), "the last cluster started here,")
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host.removeprefix("ray://"), int(port)), _PATIENCE_SECONDS).close()
        except OSError as error:  # Ray itself would try for a minute and then end the program, or wait for ever
            why = error.strerror or error
            raise SettingsError(f"{whose} {address} does not answer ({why}): {_WAY_OUT}") from error
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise SettingsError(f"no Ray cluster at {address}: {_WAY_OUT}") from error


def _last_started() -> str:
    """The cluster that Ray has noted as started here; the note of one that was killed stays.

    Without a note Ray would take any cluster whose process it finds, another user's too, or one that is just ending.
    """
    note = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray", "ray_current_cluster")
    if address := note.read_text().strip() if note.is_file() else "":
        return address
    raise SettingsError(f"no Ray cluster: {_WAY_OUT}")


def _train(folder: StudyFolder, run: PlannedRun, directory: str) -> int:
    """Trains a run where Ray has put it; its exit status."""
    if not folder.plan.exists() or not Path(directory).is_dir():
        raise RunError(f"{socket.gethostname()} does not see {folder.path}: a study on a cluster needs a shared folder")
    os.chdir(directory)
    sys.argv = ["resprout", *folder.train_arguments(run)]
    with (
        folder.log(run.key).open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            runpy.run_module("resprout.cli.main", run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
    return 0
