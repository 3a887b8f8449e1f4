"""Starting values and random scores from a counter-based generator: the entry at (row, column) depends on nothing else.

So a table is filled without a dense one, a dense and a packed table of the same key start alike, and going back to the
starting values costs no memory.
"""

import numpy as np
from numba import njit, prange

from resprout.kernels.contract import F32, I32, I64, LANES, Mask, PackedRows
from resprout.kernels.cpu_numba.starts import slot_before


def fill_dense(key: int, uniform: bool, scale: float, first: int, out: F32) -> None:
    """See `contract.Backend.fill_dense`."""
    _fill_dense(np.uint64(key), uniform, np.float32(scale), first, out)


def fill_packed(key: int, uniform: bool, scale: float, rows: PackedRows, width: int) -> None:
    """See `contract.Backend.fill_packed`."""
    _fill_packed(np.uint64(key), uniform, np.float32(scale), rows.mask, rows.starts, rows.values, width)


def random_scores(key: int, first: int, out: F32) -> None:
    """See `contract.Backend.random_scores`."""
    _random_scores(np.uint64(key), first, out)


@njit(inline="always")
def _bits(key: np.uint64, counter: int) -> np.uint64:
    # SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): `key` is the state, `counter` the number of steps from it
    z = key + (np.uint64(counter) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always")
def _start(key: np.uint64, uniform: bool, scale: np.float32, counter: int) -> np.float32:
    bits = _bits(key, counter)
    # both halves lie strictly between 0 and 1
    first = (np.float64(bits >> np.uint64(32)) + 0.5) / 4294967296.0
    if uniform:
        return np.float32(scale * (2.0 * first - 1.0))
    second = (np.float64(bits & np.uint64(0xFFFFFFFF)) + 0.5) / 4294967296.0
    return np.float32(scale * np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second))  # Box & Muller 1958


@njit(parallel=True, cache=True)
def _fill_dense(key: np.uint64, uniform: bool, scale: np.float32, first: int, out: F32) -> None:
    for row in prange(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = _start(key, uniform, scale, (first + row) * out.shape[1] + column)


@njit(parallel=True, cache=True)
def _fill_packed(
    key: np.uint64, uniform: bool, scale: np.float32, mask: Mask, starts: I32 | I64, values: F32, width: int
) -> None:
    for row in prange(mask.shape[0]):
        slot = slot_before(mask, starts, row)
        for piece in range(mask.shape[1]):
            for lane in range(LANES):
                if mask[row, piece] >> lane & 1:
                    values[slot] = _start(key, uniform, scale, row * width + piece * LANES + lane)
                    slot += 1


@njit(parallel=True, cache=True)
def _random_scores(key: np.uint64, first: int, out: F32) -> None:
    for row in prange(out.shape[0]):
        for column in range(out.shape[1]):
            bits = _bits(key, (first + row) * out.shape[1] + column)
            out[row, column] = (np.float32(bits >> np.uint64(41)) + np.float32(0.5)) / np.float32(8388608.0)
