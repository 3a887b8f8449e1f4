"""`resprout recommend`: the best items for some users, from a run's deployed model."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resprout.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from resprout.serving.recommender import Recommender

_OUTPUTS = (".csv", ".parquet")
_ROWS_AT_ONCE = 65_536
_HISTORY_ROWS = 20
_GAP = 4
_HEADERS = {"user_id": "user", "item_id": "item", "item_name": "name"}


def recommend(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run that has ended, or a model folder.")],
    user: Annotated[list[str] | None, typer.Option(metavar="ID", help="A user; give it again for more.")] = None,
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Users: one id a line, or CSV or Parquet with a user column."),
    ] = None,
    histories: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="New users: an interactions file of what they have had. `cdae`, `multvae` and models without rows for "
            "users can rank them.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Items for each user.")] = 10,
    include_seen: Annotated[
        bool,
        typer.Option(
            "--include-seen",
            help="Also items that the user has in the data that the model was trained on. Held-out ones are always "
            "candidates.",
        ),
    ] = False,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Recommend only these: one id a line, or CSV or Parquet with an item column."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv|.parquet", help="Write to this file instead of the screen.")
    ] = None,
) -> None:
    """Recommend items to users."""
    if out is not None and out.suffix.lower() not in _OUTPUTS:
        raise SettingsError(f"--out {out}: expected a name that ends in {' or '.join(_OUTPUTS)}")
    if not user and users is None and histories is None:
        raise SettingsError("for whom? Give --user ID (as often as needed), --users FILE or --histories FILE")
    if histories is not None and (user or users is not None):
        raise SettingsError("--histories brings its own users: leave out --user and --users")
    from resprout.cli.ids import check_known, read_ids

    listed = [] if users is None else read_ids(users, "user")
    wanted = [*(user or []), *listed]
    candidates = None if items is None else read_ids(items, "item")
    recommender = _opened(run)
    if users is not None:
        check_known(users, "user", listed, recommender.parts.user_ids)
    if items is not None and candidates is not None:
        check_known(items, "item", candidates, recommender.parts.item_ids)
    if histories is not None:
        new = _histories(histories)
        wanted = list(new)
        table = recommender.recommend_new(new, k, not include_seen, candidates)
    else:
        table = recommender.recommend(wanted, k, not include_seen, candidates)
    if out is not None:
        _write(table, out)
        typer.echo(f"{out}: {len(table):,} recommendations for {len(wanted):,} users", err=True)
    elif sys.stdout.isatty():
        _show(recommender, wanted if histories is None else [], table)
    else:
        _write_csv(table, sys.stdout.buffer)


def _histories(path: Path) -> dict[str, list[Any]]:
    """What each user of an interactions file has had, by outside ids."""
    from resprout.data import read

    found = read(path, min_users=1).interactions
    histories: dict[str, list[Any]] = {}
    for user, item in zip(found.users, found.items, strict=True):
        histories.setdefault(str(_plain(found.user_ids.ids[int(user)])), []).append(
            _plain(found.item_ids.ids[int(item)])
        )
    return histories


def _plain(outside: Any) -> Any:
    """An id as Python has it, from NumPy or Arrow."""
    return outside.as_py() if hasattr(outside, "as_py") else outside.item()


def _opened(folder: Path) -> "Recommender":
    from resprout.artifact.manifest import MANIFEST
    from resprout.serving.recommender import Recommender
    from resprout.training.folder import RunFolder

    if not (folder / MANIFEST).exists():
        folder = RunFolder(folder).deployed()
    return Recommender.open(folder)


def _write(table: Any, out: Path) -> None:
    import pyarrow.parquet

    from resprout.artifact.files import write_whole

    if out.suffix.lower() == ".csv":
        write_whole(out, lambda file: _write_csv(table, file))
    else:
        write_whole(out, lambda file: pyarrow.parquet.write_table(table, file))


def _write_csv(table: Any, file: Any) -> None:
    import csv
    import io

    import pyarrow as pa

    # Arrow's own writer puts quotes around every text.
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(_ROWS_AT_ONCE):
        writer.writerows(zip(*(column.cast(pa.string()).to_pylist() for column in batch.columns), strict=True))
        file.write(rows.getvalue().encode())
        rows.seek(0)
        rows.truncate()
    file.write(rows.getvalue().encode())


def _show(recommender: "Recommender", users: list[str], table: Any) -> None:
    from resprout.cli.tables import output

    if len(users) == 1:
        show_beside(output(), recommender, users[0], table)
    else:
        output().print(_listing(table.to_pylist(), ("user_id", "rank", "item_id", "item_name", "score")))


def show_beside(console: "Console", recommender: "Recommender", user: str, recommended: Any) -> None:
    """Prints a user's history and the recommendations side by side, or one below the other where there is no room."""
    from rich.table import Table

    history = recommender.history(user)
    name = "item_name" if "item_name" in history.column_names else "item_id"
    left_out = len(history) - _HISTORY_ROWS
    header = f"user {user} has" + (f" ({left_out:,} more not shown)" if left_out > 0 else "")
    listings = (
        _listing(history.slice(0, _HISTORY_ROWS).to_pylist(), (name,), {name: header}),
        _listing(recommended.to_pylist(), ("rank", "item_id", "item_name", "score"), {name: "recommended"}),
    )
    if sum(console.measure(listing).maximum for listing in listings) + _GAP > console.width:
        console.print(*listings)
        return
    grid = Table.grid(padding=(0, _GAP))
    grid.add_row(*listings)
    console.print(grid)


def _listing(rows: list[dict[str, Any]], columns: tuple[str, ...], headers: Mapping[str, str] = _HEADERS) -> "Table":
    from rich.markup import escape

    from resprout.cli.tables import figures

    shown = [column for column in columns if not rows or column in rows[0]]
    cells = [
        tuple(f"{row[column]:.4f}" if column == "score" else escape(str(row[column])) for column in shown)
        for row in rows
    ]
    return figures(None, [escape({**_HEADERS, **headers}.get(column, column)) for column in shown], cells, len(shown))
