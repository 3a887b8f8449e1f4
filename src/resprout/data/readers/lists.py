"""Lists as LightGCN and UltraGCN ship them: one line a user, `user item item ...`."""

from pathlib import Path

import numpy as np

from resprout.data.readers.numbers import numbers_of
from resprout.data.readers.raw import Raw
from resprout.data.readers.text import read_bytes


def read(path: Path) -> Raw:
    """The interactions of one file. A user alone on a line is known but has no interaction; blank lines do not count.

    Raises DataError naming file and line for anything that is not a whole number.
    """
    numbers = numbers_of(path, read_bytes(path))
    is_user = numbers.opens_line
    users = numbers.values[is_user]
    lengths = np.diff(np.append(np.flatnonzero(is_user), len(numbers.values))) - 1
    return Raw(
        users=np.repeat(users, lengths),
        items=numbers.values[~is_user],
        place=lambda row: f"{path}, line {numbers.lines[~is_user][row]}",
        all_users=users,
    )
