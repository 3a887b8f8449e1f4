"""RecBole atomic files (`.inter`): tab-separated, the header fields are name:type."""

from dataclasses import fields
from pathlib import Path

from resprout.data.readers.columns import find_columns
from resprout.data.readers.delimited import parse
from resprout.data.readers.raw import Columns, Raw
from resprout.data.readers.text import first_lines, read_bytes
from resprout.errors import DataError

TYPES = ("token", "float", "token_seq", "float_seq")


def header_of(path: Path) -> list[str]:
    """The column names of the header, without their types. Raises DataError if a field is not name:type."""
    lines = first_lines(path, 1)
    if not lines:
        raise DataError(f"{path}: the file is empty; expected a header like user_id:token<tab>item_id:token")
    names = []
    for field in lines[0].decode(errors="replace").split("\t"):
        name, _, kind = field.strip().rpartition(":")
        if not name or kind not in TYPES:
            raise DataError(
                f"{path}, line 1: header field {field!r} is not name:type with type one of {', '.join(TYPES)}, "
                f"separated by tabs"
            )
        names.append(name)
    return names


def read(path: Path, wanted: Columns) -> Raw:
    """The interactions of one `.inter` file."""
    names = header_of(path)
    plain = Columns(**{part.name: _without_type(getattr(wanted, part.name)) for part in fields(Columns)})
    return parse(path, read_bytes(path), "\t", find_columns(names, plain, f"{path}, line 1"), names, quoted=False)


def _without_type(name: str | None) -> str | None:
    """A caller may name a column with its type, as the file does."""
    head, _, kind = (name or "").rpartition(":")
    return head if kind in TYPES and head else name
