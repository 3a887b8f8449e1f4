"""`resprout report`: a page about a run, or about several."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_OR_STUDY...", help="Folders of runs that have ended, or of studies.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Its folder.  [default: report/ in the folder of the run or study]")
    ] = None,
) -> None:
    """Write a page with tables and figures, that needs no network, and each of them as files."""
    from resprout.errors import RunError, SettingsError
    from resprout.reports import of_run, of_study
    from resprout.reports.measured import Measured
    from resprout.reports.page import write_report
    from resprout.study.folder import StudyFolder
    from resprout.study.results import outcomes_of
    from resprout.study.trials import trials_of
    from resprout.training.folder import RunFolder

    if out is None and len(runs) > 1:
        raise SettingsError("several folders: name one for the report with --out")
    folder = out or runs[0] / "report"
    try:
        import matplotlib  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        raise SettingsError(f"reports need {error.name}: pip install 'resprout[reports]'") from error
    if len(runs) == 1 and not StudyFolder(runs[0]).plan.exists():
        run = RunFolder(runs[0])
        run.deployed()
        if not run.read_result()["test"]:
            raise RunError(f"{run.path} has no metrics on test data to report, as trials have none (evaluation.test)")
        title, sections = of_run.title_of(run.read_result()), of_run.sections_of(Measured(run))
    else:
        outcomes = outcomes_of(runs)
        title = f"{len(outcomes)} runs: {', '.join(one.name for one in runs)}"
        sections = of_study.sections_of(outcomes, trials_of(runs))
    typer.echo(str(write_report(folder, title, sections)))
