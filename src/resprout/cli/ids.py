"""Lists of ids in files, for users to recommend to and items to recommend."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resprout.errors import DataError

if TYPE_CHECKING:
    from resprout.data.idmap import IdMap

_PARQUET = (".parquet", ".pq")
_TABLES = (".csv", ".tsv", *_PARQUET)


def read_ids(path: Path, role: str) -> list[Any]:
    """The ids in a file: the user or item column (`role`) of CSV, TSV or Parquet, or one id a line of other files.

    Raises DataError if the file is missing, empty, or has no such column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {role} ids")
    try:
        ids = _column(path, role) if path.suffix.lower() in _TABLES else _lines(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not ids:
        raise DataError(f"{path}: no {role} ids in it; expected at least one")
    return ids


def check_known(path: Path, role: str, ids: Sequence[Any], known: "IdMap") -> None:
    """DataError naming file and line of the first of the ids, read from that file, that the model does not know."""
    try:
        known.rows(ids)
    except DataError:
        for row, one in enumerate(ids):
            try:
                known.rows([one])
            except DataError as error:
                raise DataError(
                    f"{_place(path, row)}: {role}: {error}; leave it out, or train again on data that has it"
                ) from None


def _place(path: Path, row: int) -> str:
    """Where an id stands, for people."""
    if path.suffix.lower() in _PARQUET:
        return f"{path}, row {row}"
    if path.suffix.lower() in _TABLES:
        from resprout.data.readers.delimited import delimiter_of
        from resprout.data.readers.text import numbered_records

        content = path.read_bytes()
        lines = [line for line, _ in numbered_records(content, delimiter_of(content.splitlines()[0]))]
        return f"{path}, line {lines[1 + row]}"
    filled = [number for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
    return f"{path}, line {filled[row]}"


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _column(path: Path, role: str) -> list[Any]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix.lower() in _PARQUET:
            schema = pyarrow.parquet.read_schema(path)
            table = pyarrow.parquet.read_table(path, columns=[_name(path, schema.names, role)])
        else:
            table = _read_delimited(path, role)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: cannot be parsed: {str(error).splitlines()[0]}") from None
    column = table.column(0)
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise DataError(f"{path}: row {row} of column {table.column_names[0]!r} is empty; expected a {role} id")
    ids: list[Any] = column.to_pylist()
    return ids


def _read_delimited(path: Path, role: str) -> Any:
    import pyarrow as pa
    import pyarrow.csv

    from resprout.data.readers.delimited import delimiter_of, fields_of

    lines = path.read_bytes().splitlines()
    if not lines:
        raise DataError(f"{path}: the file is empty; expected a header line with a {role} column")
    delimiter = delimiter_of(lines[0])
    name = _name(path, fields_of(lines[0], delimiter), role)
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        # As text: "007" is no number.
        convert_options=pyarrow.csv.ConvertOptions(include_columns=[name], column_types={name: pa.string()}),
    )


def _name(path: Path, names: list[str], role: str) -> str:
    from resprout.data.readers.columns import ALIASES, plain

    by_plain_name = {plain(name): name for name in reversed(names)}
    for alias in ALIASES[role]:
        if plain(alias) in by_plain_name:
            return by_plain_name[plain(alias)]
    raise DataError(f"{path}: no {role} column; the columns are: {', '.join(names)}; expected {role}_id")
