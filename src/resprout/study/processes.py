"""Runs of a study side by side on this machine, each in a process of its own."""

import os
import subprocess
import sys
import time

from resprout.study.folder import StudyFolder
from resprout.study.planned import PlannedRun

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 20
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")


class Processes:
    """`runner.Workers` of this machine."""

    def __init__(self, folder: StudyFolder, jobs: int, threads: int | None = None) -> None:
        """threads: of each run; the cores shared out evenly if not given."""
        self._folder, self._jobs = folder, jobs
        self._threads = threads or max(1, (os.cpu_count() or 1) // jobs)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def jobs(self) -> int:
        """See `runner.Workers`."""
        return self._jobs

    def begin(self, run: PlannedRun) -> None:
        """See `runner.Workers`."""
        command = [sys.executable, "-m", "resprout.cli.main", *self._folder.train_arguments(run)]
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(self._threads))
        with self._folder.log(run.key).open("ab") as log:
            # a group of its own: Ctrl-C reaches it through us alone, once
            self._running[run.key] = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def ended(self) -> list[tuple[str, str | None]]:
        """See `runner.Workers`."""
        time.sleep(_LOOK_SECONDS)
        over = [key for key, process in self._running.items() if process.poll() is not None]
        statuses = [(key, self._running.pop(key).returncode) for key in over]
        return [(key, f"exit status {status}" if status else None) for key, status in statuses]

    def stop(self) -> None:
        """See `runner.Workers`."""
        for process in self._running.values():
            process.terminate()  # one that was started in the background is deaf to Ctrl-C
        end = time.monotonic() + _PATIENCE_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
