"""Check-in files of three numbers a line, `user place count`, in parts beside a `*_data_size.txt`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resprout.data.readers.numbers import Numbers, numbers_of
from resprout.data.readers.raw import Raw
from resprout.data.readers.text import read_bytes
from resprout.errors import DataError

_FIELDS = 3


def read(path: Path) -> Raw:
    """The interactions of one part, with counts as weights.

    Users and items are 0..n-1 where a `*_data_size.txt` beside the file gives their numbers: a place may be in no part.
    Raises DataError naming file and line for a line without three numbers, and for ids beyond the data size.
    """
    numbers = numbers_of(path, read_bytes(path))
    _check_fields(path, numbers, _FIELDS)
    users, items, counts = numbers.values.reshape(-1, _FIELDS).T
    lines = numbers.lines[::_FIELDS]
    all_users, all_items = _everything(path)
    _check_size(path, users, all_users, lines, "user")
    _check_size(path, items, all_items, lines, "item")
    return Raw(
        users=np.ascontiguousarray(users),
        items=np.ascontiguousarray(items),
        weights=counts.astype(np.float32),
        place=lambda row: f"{path}, line {lines[row]}",
        all_users=all_users,
        all_items=all_items,
    )


def _everything(path: Path) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    sizes = path.with_name(path.stem.rsplit("_", 1)[0] + "_data_size.txt")
    if not sizes.exists():
        return None, None
    numbers = numbers_of(sizes, read_bytes(sizes))
    _check_fields(sizes, numbers, 2)
    n_users, n_items = numbers.values[:2]
    return np.arange(n_users), np.arange(n_items)


def _check_fields(path: Path, numbers: Numbers, expected: int) -> None:
    lines, counts = np.unique(numbers.lines, return_counts=True)
    if (counts != expected).any():
        wrong = int(np.argmax(counts != expected))
        raise DataError(f"{path}, line {lines[wrong]}: {counts[wrong]} numbers, expected {expected}")


def _check_size(
    path: Path, ids: NDArray[np.int64], known: NDArray[np.int64] | None, lines: NDArray[np.int32], kind: str
) -> None:
    if known is not None and (ids >= len(known)).any():
        row = int(np.argmax(ids >= len(known)))
        raise DataError(
            f"{path}, line {lines[row]}: {kind} {ids[row]}, but the data size file says {len(known)} {kind}s"
        )
