"""Wide rows taken in several passes, which costs less than vectors that do not stay in registers."""

from collections.abc import Iterator

import numpy as np

from resprout.kernels.contract import I32, I64, LANES, MaskedRows, Rows
from resprout.kernels.cpu_numba.lanes import target_has

_BLOCKS = 8 if target_has("avx512f") else 4  # AVX-512 has 32 registers of 16 lanes, AVX2 16 of 8
_NOTHING = np.zeros(0, np.int32)


def passes(width: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """First column, width and blocks of each of the passes that cover a row; `blocks` is a tuple of that length."""
    step = _BLOCKS * LANES
    for column in range(0, width, step):
        columns = min(step, width - column)
        yield column, columns, (0,) * -(-columns // LANES)


def slots_at(rows: Rows, column: int, of: slice | I32) -> I32 | I64:
    """Where the slots from `column` on begin in each packed row; nothing for rows of other kinds.

    Only rows `of` are sure to be there, for others are not asked for: to count the bits of a whole table for each block
    of its rows would take longer than all that is done with them.
    """
    if not isinstance(rows, MaskedRows):
        return _NOTHING
    if column == 0:
        return rows.starts
    if isinstance(of, np.ndarray) and len(of) >= len(rows.mask):
        of = slice(None)
    slots = np.empty(len(rows.mask), np.int64)
    slots[of] = rows.starts[:-1][of] + np.bitwise_count(rows.mask[of, : column // LANES]).sum(1, dtype=np.int64)
    return slots
