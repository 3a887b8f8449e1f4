"""The command `resprout`: one file here for each subcommand."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from resprout import __version__
from resprout.cli import data, demo, doctor, evaluate, fit_budget, methods, recommend, report, study, train
from resprout.errors import ResproutError

BAD_INPUT, INTERRUPTED = 2, 130


class OneLineErrors(TyperGroup):
    """Errors that the caller can mend end in one line and exit code 2, Ctrl-C in 130; others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """See `TyperGroup.invoke`."""
        try:
            return super().invoke(ctx)
        except ResproutError as error:
            typer.echo(f"resprout: error: {_one_line(error)}", err=True)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as interrupt:
            hint = f"; {interrupt}" if str(interrupt) else ""
            typer.echo(f"resprout: interrupted{hint}", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="resprout",
    cls=OneLineErrors,
    help="Recommenders whose embedding tables never leave a fixed memory budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("methods")(methods.methods)
app.command("doctor")(doctor.doctor)
app.command("compare")(study.compare)
app.command("report")(report.report)
app.command("fit-budget")(fit_budget.fit_budget)
app.add_typer(data.app, name="data")
app.add_typer(study.app, name="study")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"resprout {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line."""
    app()


def _one_line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


if __name__ == "__main__":
    main()
