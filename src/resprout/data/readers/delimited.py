"""CSV and TSV with a header line, plain or gzipped."""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from resprout.data.readers.columns import ALIASES, find_columns, plain, raw_of_table
from resprout.data.readers.raw import Columns, Raw
from resprout.data.readers.text import first_lines, numbered_records, read_bytes
from resprout.errors import DataError

_DELIMITERS = ",\t;|"
_FIRST_LINE = re.compile(rb"\s*[^\r\n]*[\r\n]*")
_LINE_BREAK = re.compile("\r\n?|\n")
_END = "\0"


def read(path: Path, wanted: Columns) -> Raw:
    """The interactions of one file; the delimiter is the one of `, tab ; |` that splits the header best.

    Raises DataError naming file and line for a row with too many or too few fields.
    """
    header = first_lines(path, 1)
    if not header:
        raise DataError(f"{path}: the file is empty; expected a header line and interactions")
    delimiter = delimiter_of(header[0])
    names = fields_of(header[0], delimiter)
    if all(name.strip().replace(".", "", 1).isdecimal() for name in names):
        raise DataError(
            f"{path}, line 1: {header[0].decode(errors='replace')!r} looks like data; expected a header line "
            f"such as user_id{delimiter}item_id"
        )
    columns = find_columns(names, wanted, f"{path}, line 1")
    return parse(path, read_bytes(path), delimiter, columns, names)


def parse(
    path: Path,
    content: bytes,
    delimiter: str,
    columns: Columns,
    names: list[str],
    *,
    header: bool = True,
    quoted: bool = True,
) -> Raw:
    """The named columns of delimited text; `names` are all its columns, `header` says that line 1 repeats them.

    Quoted line breaks may stand in other columns alone: in these, they come from a quote that is not closed.
    """
    ids = pa.dictionary(pa.int32(), pa.string())
    types = {columns.user: ids, columns.item: ids}
    types |= {name: pa.string() for name in (columns.weight, columns.time) if name is not None}
    read = [number for number, name in enumerate(names) if name in types]
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    begin = _after_first_line(content) if header else 0
    if begin == len(content):
        raise DataError(f"{path}: no interactions, only a header line; expected at least one user with an item")
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(pa.py_buffer(content).slice(begin)),
            read_options=pyarrow.csv.ReadOptions(column_names=names),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted and b'"' in content
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except pa.ArrowInvalid as error:
        if quoted:
            _check_quotes(path, content, delimiter, read)
        raise _malformed(path, content, delimiter, quoting, len(names), error) from None
    quotes = content.count(b'"') if quoted else 0
    if quotes % 2 or (quotes and any(_has_line_break(table[name]) for name in types)):
        _check_quotes(path, content, delimiter, read)

    def place(row: int) -> str:
        for number, (line, _) in enumerate(numbered_records(content, delimiter, quoting)):
            if number == row + header:
                return f"{path}, line {line}"
        return str(path)

    return raw_of_table(table, columns, place)


def _after_first_line(content: bytes) -> int:
    """Where the line after the first one that is not blank begins."""
    first = _FIRST_LINE.match(content)
    return first.end() if first else 0


def delimiter_of(header: bytes) -> str:
    """The delimiter whose fields include most known column names, then most fields."""
    known = {plain(alias) for aliases in ALIASES.values() for alias in aliases}

    def merit(delimiter: str) -> tuple[int, int]:
        names = fields_of(header, delimiter)
        return len({plain(name) for name in names} & known), len(names)

    return max(_DELIMITERS, key=merit)


def fields_of(header: bytes, delimiter: str) -> list[str]:
    """The fields of one line, without blanks around them."""
    _, record = next(numbered_records(header, delimiter), (1, []))
    return [name.strip() for name in record]


def _has_line_break(column: Any) -> bool:
    """Whether any text of a column, of plain ones or of a dictionary, has a line break."""
    texts = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in column.chunks]
    return any(pc.any(pc.match_substring(each, end)).as_py() for each in texts for end in "\r\n")


def _check_quotes(path: Path, content: bytes, delimiter: str, read: Collection[int]) -> None:
    """DataError for the first quote that is never closed, or in one of the columns `read` not in its line."""
    for line, record in numbered_records(content + f"\n{_END}".encode(), delimiter):
        for column, field in enumerate(record):
            breaks = len(_LINE_BREAK.findall(field))
            if breaks and (column in read or field.endswith(_END)):
                raise DataError(
                    f'{path}, line {line}: the quote (") that opens field {column + 1} is not closed in this line: '
                    'close it or take it out; one that belongs to a text is written "" between quotes'
                )
            line += breaks


def _malformed(
    path: Path, content: bytes, delimiter: str, quoting: int, expected: int, error: pa.ArrowInvalid
) -> DataError:
    for line, record in numbered_records(content, delimiter, quoting):
        if len(record) != expected:
            shown = delimiter.join(record)[:80]
            return DataError(f"{path}, line {line}: {len(record)} fields, expected {expected}: {shown!r}")
    try:
        content.decode()
    except UnicodeDecodeError as broken:
        line = content.count(b"\n", 0, broken.start) + 1
        return DataError(
            f"{path}, line {line}: byte {content[broken.start]:#04x} is not valid UTF-8; save the file as UTF-8"
        )
    return DataError(f"{path}: cannot be parsed: {error}")
