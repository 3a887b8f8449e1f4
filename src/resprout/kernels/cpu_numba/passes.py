"""Wide rows taken in several passes, which costs less than vectors that do not stay in registers."""

from collections.abc import Iterator

from resprout.kernels.contract import LANES
from resprout.kernels.cpu_numba.lanes import target_has

_BLOCKS = 8 if target_has("avx512f") else 4  # AVX-512 has 32 registers of 16 lanes, AVX2 16 of 8


def is_one_pass(width: int) -> bool:
    """Whether rows of so many columns are taken whole."""
    return width <= _BLOCKS * LANES


def passes(width: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """First column, width and blocks of each of the passes that cover a row; `blocks` is a tuple of that length."""
    step = _BLOCKS * LANES
    for column in range(0, width, step):
        columns = min(step, width - column)
        yield column, columns, (0,) * -(-columns // LANES)
