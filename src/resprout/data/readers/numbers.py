"""Whole numbers out of the bytes of a text file, all at once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resprout.data.readers.text import line_of_byte
from resprout.errors import DataError

_MOST_DIGITS = 18
_DIGIT, _BLANK, _NEWLINE, _OTHER = 0, 1, 2, 3
_KINDS = np.full(256, _OTHER, dtype=np.uint8)
_KINDS[ord("0") : ord("9") + 1] = _DIGIT
_KINDS[[ord(" "), ord("\t"), ord("\r")]] = _BLANK
_KINDS[ord("\n")] = _NEWLINE


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of a file in order: `values` int64[k], `lines` int32[k] (from 1), `opens_line` bool[k]."""

    values: NDArray[np.int64]
    lines: NDArray[np.int32]
    opens_line: NDArray[np.bool_]


def numbers_of(path: Path, content: bytes) -> Numbers:
    """The numbers of a text of digits, blanks, tabs and line ends (LF or CRLF).

    Raises DataError naming file and line for any other byte and for numbers beyond 18 digits.
    """
    letters = np.frombuffer(content, dtype=np.uint8)
    kinds = _KINDS[letters]
    if (kinds == _OTHER).any():
        raise _not_a_number(path, content, int(np.argmax(kinds == _OTHER)))
    edges = np.diff((kinds == _DIGIT).view(np.int8), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lines = np.cumsum(kinds == _NEWLINE, dtype=np.int32)[starts] + np.int32(1)
    lengths = ends - starts
    longest = int(lengths.max(initial=0))
    if longest > _MOST_DIGITS:
        first = int(np.argmax(lengths > _MOST_DIGITS))
        raise DataError(
            f"{path}, line {lines[first]}: a number of {lengths[first]} digits; at most {_MOST_DIGITS} are taken"
        )
    return Numbers(
        values=_values(letters, starts, lengths, longest),
        lines=lines,
        opens_line=np.concatenate([[True], lines[1:] != lines[:-1]])[: len(lines)],
    )


def _values(
    letters: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], longest: int
) -> NDArray[np.int64]:
    values = np.zeros(len(starts), dtype=np.int64)
    for place in range(longest):
        # Numbers that have ended already read a letter beyond their end, which `where` throws away.
        digits = letters[np.minimum(starts + place, len(letters) - 1)]
        np.copyto(values, values * 10 + (digits - np.uint8(ord("0"))), where=lengths > place)
    return values


def _not_a_number(path: Path, content: bytes, position: int) -> DataError:
    line = line_of_byte(content, position)
    words = content.splitlines()[line - 1].decode(errors="replace").split()
    bad = next((word for word in words if not word.isdecimal()), chr(content[position]))
    if bad.lstrip("-").isdecimal():
        return DataError(f"{path}, line {line}: {bad} is negative; expected whole numbers from 0 up")
    return DataError(f"{path}, line {line}: {bad!r} is not a whole number; expected only numbers and blanks")
