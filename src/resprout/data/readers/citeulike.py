"""The `users.dat` of CiteULike: line n holds the library of user n, first its size, then the item ids."""

from pathlib import Path

import numpy as np

from resprout.data.readers.numbers import numbers_of
from resprout.data.readers.raw import Raw
from resprout.data.readers.text import read_bytes
from resprout.errors import DataError


def read(path: Path) -> Raw:
    """The interactions of one file. Users are numbered by line, from 0.

    Raises DataError naming file and line where a line has more or fewer ids than its first number says, or is blank.
    """
    content = read_bytes(path)
    numbers = numbers_of(path, content)
    is_count = numbers.opens_line
    lines, sizes = numbers.lines[is_count], numbers.values[is_count]
    if not np.array_equal(lines, np.arange(1, len(lines) + 1)):
        line = int(np.argmax(lines != np.arange(1, len(lines) + 1))) + 1
        raise DataError(f"{path}, line {line}: the line is blank; every line is a user and begins with a count")
    lengths = np.diff(np.append(np.flatnonzero(is_count), len(numbers.values))) - 1
    if (lengths != sizes).any():
        user = int(np.argmax(lengths != sizes))
        raise DataError(f"{path}, line {user + 1}: {lengths[user]} item ids, but its first number says {sizes[user]}")
    users = np.arange(len(sizes), dtype=np.int64)
    return Raw(
        users=np.repeat(users, lengths),
        items=numbers.values[~is_count],
        place=lambda row: f"{path}, line {numbers.lines[~is_count][row]}",
        all_users=users,
    )
