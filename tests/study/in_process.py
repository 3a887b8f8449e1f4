"""Workers that train in this process, for tests of all but the processes: to begin one takes longer than a tiny run."""

from collections.abc import Iterable

from typer.testing import CliRunner

from resprout.cli.main import app
from resprout.study.folder import StudyFolder
from resprout.study.planned import PlannedRun


class InThisProcess:
    """`runner.Workers` that are done with a run when it has begun."""

    def __init__(self, folder: StudyFolder, jobs: int = 1, threads: int | None = None) -> None:
        self._folder, self.jobs = folder, jobs
        self._over: list[tuple[str, str | None]] = []

    def begin(self, run: PlannedRun) -> None:
        done = CliRunner().invoke(app, self._folder.train_arguments(run))
        self._folder.log(run.key).write_text(done.output)
        self._over.append((run.key, f"exit status {done.exit_code}" if done.exit_code else None))

    def ended(self) -> Iterable[tuple[str, str | None]]:
        over, self._over = self._over, []
        return over

    def stop(self) -> None:
        pass
