"""Starting values and random scores, in Python's whole numbers, one position at a time."""

import math

from resprout.kernels.contract import F32, LANES, PackedRows

_WORD = 1 << 64


def fill_dense(key: int, uniform: bool, scale: float, first: int, out: F32) -> None:
    """See `contract.Backend.fill_dense`."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = scale * _start(key, uniform, (first + row) * out.shape[1] + column)


def fill_packed(key: int, uniform: bool, scale: float, rows: PackedRows, width: int) -> None:
    """See `contract.Backend.fill_packed`."""
    slot = 0
    for row in range(len(rows.mask)):
        for column in range(width):
            if int(rows.mask[row, column // LANES]) >> column % LANES & 1:
                rows.values[slot] = scale * _start(key, uniform, row * width + column)
                slot += 1


def random_scores(key: int, first: int, out: F32) -> None:
    """See `contract.Backend.random_scores`."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = ((_bits(key, (first + row) * out.shape[1] + column) >> 41) + 0.5) / (1 << 23)


def _start(key: int, uniform: bool, counter: int) -> float:
    bits = _bits(key, counter)
    first, second = ((bits >> 32) + 0.5) / (1 << 32), ((bits & 0xFFFFFFFF) + 0.5) / (1 << 32)
    if uniform:
        return 2 * first - 1
    return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)  # Box & Muller 1958


def _bits(key: int, counter: int) -> int:
    # SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): `key` is the state, `counter` the number of steps from it
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)
