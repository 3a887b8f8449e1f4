"""Text files as bytes and lines, plain or gzipped, read once."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from resprout.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if gzipped. Raises DataError if it is missing, unreadable, empty or broken."""
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if not content.strip():
        raise DataError(f"{path}: the file is empty; expected interactions of users and items")
    return content


def first_lines(path: Path, n: int = 50, limit: int = 1 << 20) -> list[bytes]:
    """Up to `n` complete first lines that are not blank, without their ends, from the first `limit` bytes."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    lines = head.removeprefix(_BYTE_ORDER_MARK).splitlines()
    if len(head) == limit and len(lines) > 1:
        lines.pop()
    return [line for line in lines if line.strip()][:n]


def numbered_records(
    content: bytes, delimiter: str, quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[tuple[int, list[str]]]:
    """The records of delimited text that are not blank, each with the number of its first line (from 1)."""
    # a quote that is never closed makes one field of all the rest
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))
    lines = io.StringIO(content.decode("utf-8", errors="replace"), newline="")
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    before = 0
    for record in reader:
        if record:
            yield before + 1, record
        before = reader.line_num


def line_of_byte(content: bytes, position: int) -> int:
    """The number (from 1) of the line that holds the byte at `position`."""
    return content.count(b"\n", 0, position) + 1
