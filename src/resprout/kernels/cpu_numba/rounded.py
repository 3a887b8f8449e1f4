"""Rows of few bits, rounded after an update at random or by turns, or to the nearest; see `reference.rounded`."""

import math

import numpy as np
from numba import njit, prange

from resprout.kernels.contract import (
    BIT_STEPS,
    F32,
    INT8_LARGEST,
    INT8_LEAST,
    INT8_NEW,
    ROW_SCALES,
    U16,
    BitRows,
    HalfRows,
    Int8Rows,
    RowStep,
)

_ROWS_PER_TASK = 64
_BIT_STEPS = np.array(BIT_STEPS, np.float32)
_REACH = ROW_SCALES[:-1] * np.float32(INT8_NEW)


def update_int8(rows: Int8Rows, moments: U16, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_int8`."""
    numbers, thresholds = _numbers(step), (np.uint32(step.offsets), np.uint32(step.phase))
    _update_int8(rows.values, rows.codes, moments, first, gradients, *numbers, *thresholds)


def update_half(rows: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_half`."""
    _update_half(rows.bits, moments, first, gradients, *_numbers(step), np.uint32(step.key))


def update_bits(rows: BitRows, unrounded: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_bits`."""
    planes = (rows.planes, rows.codes, rows.starts, rows.steps)
    _update_bits(*planes, unrounded.bits, moments, first, gradients, *_numbers(step), np.uint32(step.key))


def round_bits(values: F32, first: int, rows: BitRows) -> None:
    """See `contract.Backend.round_bits`."""
    _round_bits(values, first, rows.planes, rows.codes, rows.starts, rows.steps)


def _numbers(step: RowStep) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32]:
    numbers = (step.rate, step.root, step.beta_2, 1 - step.beta_2, step.epsilon)
    return tuple(map(np.float32, numbers))  # type: ignore[return-value]  # five of them


@njit(inline="always")
def _bits(key: np.uint32, counter: int) -> np.uint32:
    z = np.uint32(key + np.uint32(counter))
    z = np.uint32(np.uint32(z ^ (z >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    z = np.uint32(np.uint32(z ^ (z >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(z ^ (z >> np.uint32(16)))


@njit(inline="always")
def _square(row: F32) -> np.float64:
    """Mean square of a row, in eight sums, so that vectors can be used."""
    width, whole = row.size, row.size // 8 * 8
    sums = np.zeros(8, np.float64)
    for k in range(0, whole, 8):
        for lane in range(8):
            value = np.float64(row[k + lane])
            sums[lane] += value * value
    total = sums.sum()
    for k in range(whole, width):
        total += np.float64(row[k]) * np.float64(row[k])
    return np.float64(total / width)


@njit(inline="always")
def _size(
    moments: F32, row: int, gradient: F32, rate: np.float32, root: np.float32, beta: np.float32, other: np.float32,
    epsilon: np.float32,
) -> np.float32:  # fmt: skip
    """What the row's gradient is multiplied by, once its moment has taken it in; -1 if there is none."""
    square = np.float32(_square(gradient))
    moment = beta * moments[row] + other * square
    moments[row] = moment
    return rate / (np.sqrt(moment) * root + epsilon) if square > 0 else np.float32(-1)


@njit(inline="always")
def _turn(offsets: np.uint32, phase: np.uint32, counter: int) -> np.uint32:
    """16 bits, what the threshold of this value or moment has come round to."""
    return np.uint32(np.uint32(_bits(offsets, counter) + phase) >> np.uint32(16))


@njit(parallel=True, cache=True, error_model="numpy")
def _update_int8(
    values: np.ndarray, codes: np.ndarray, moments: np.ndarray, first: int, gradients: F32, rate: np.float32,
    root: np.float32, beta: np.float32, other: np.float32, epsilon: np.float32, offsets: np.uint32, phase: np.uint32,
) -> None:  # fmt: skip
    rows, width = gradients.shape
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        updated, moment = np.empty(width, np.float32), np.empty(1, np.float32)
        as_bits = moment.view(np.uint32)
        for at in range(part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)):
            row, gradient = first + at, gradients[at]
            as_bits[0] = np.uint32(moments[row]) << np.uint32(16)
            size = _size(moment, 0, gradient, rate, root, beta, other, epsilon)
            moments[row] = np.uint16((as_bits[0] + _turn(offsets, phase, values.size + row)) >> np.uint32(16))
            if size < 0:
                continue
            scale, own = ROW_SCALES[codes[row]], values[row]
            largest = np.float32(0)
            for k in range(width):
                value = np.float32(own[k]) * scale - size * gradient[k]
                updated[k] = value
                if abs(value) > largest or value != value:  # what is no number stays the largest
                    largest = abs(value)
            if not np.float32(INT8_LEAST) * scale <= largest <= np.float32(INT8_LARGEST) * scale:
                codes[row] = np.searchsorted(_REACH, largest)  # as `contract.scale_codes`
                scale = ROW_SCALES[codes[row]]
            if not scale > 0:  # all weights are 0, or one is beyond all scales
                own[:] = 0
                continue
            inverse = np.float32(1) / scale
            for k in range(width):
                chance = np.float32(_turn(offsets, phase, row * width + k)) * np.float32(1 / 65536)
                own[k] = np.int8(np.int32((updated[k] * inverse + np.float32(128)) + chance) - 128)


@njit(inline="always")
def _halves_to(values: F32, bits: np.ndarray) -> None:
    """The float16 numbers of these bits."""
    as_bits = values.view(np.int32)
    for k in range(bits.size):
        as_bits[k] = np.int32(bits[k] & 0x7FFF) << 13
    for k in range(bits.size):
        # 2^112: exponents of a half are 112 less; subnormal ones come right too
        value = values[k] * np.float32(5192296858534827628530496329220096.0)
        values[k] = -value if bits[k] & 0x8000 else value


@njit(inline="always")
def _step_half(bits: np.ndarray, gradient: F32, size: np.float32, key: np.uint32, counter: int, updated: F32) -> None:
    """Takes a step with a row, from `counter` on by number; `updated` is room for it."""
    _halves_to(updated, bits)
    for k in range(bits.size):
        updated[k] -= size * gradient[k]
    as_bits = updated.view(np.int32)
    for k in range(bits.size):
        chance = np.int32(_bits(key, counter + k) >> np.uint32(19))
        # a NaN stays above all numbers here, and the loss is one in the next step
        magnitude = min(as_bits[k] & np.int32(0x7FFFFFFF), np.int32(0x477FE000))
        if magnitude >= np.int32(0x38800000):
            # the exponent is 112 less in a half, and 13 bits of the fraction go
            half = min((magnitude + chance - np.int32(0x38000000)) >> 13, 0x7BFF)
        else:
            smallest = np.float64(abs(updated[k])) * 16777216.0
            half = np.int32(smallest + np.float64(chance) / 8192.0)
        bits[k] = np.uint16(half | ((as_bits[k] >> 16) & 0x8000))


@njit(parallel=True, cache=True, error_model="numpy")
def _update_half(
    bits: np.ndarray, moments: F32, first: int, gradients: F32, rate: np.float32, root: np.float32,
    beta: np.float32, other: np.float32, epsilon: np.float32, key: np.uint32,
) -> None:  # fmt: skip
    rows, width = gradients.shape
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        updated = np.empty(width, np.float32)
        for at in range(part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)):
            row, gradient = first + at, gradients[at]
            size = _size(moments, row, gradient, rate, root, beta, other, epsilon)
            if size >= 0:
                _step_half(bits[row], gradient, size, key, row * width, updated)


@njit(inline="always")
def _columns(starts: np.ndarray, steps: F32) -> tuple[np.ndarray, F32, F32]:
    """Bits of each column that has some, the distance of its levels, and its spread."""
    live = starts[1]
    bits, distances, spread = np.zeros(live, np.uint8), np.empty(live, np.float32), np.empty(live, np.float32)
    for plane in range(starts.size - 1):
        bits[: starts[plane + 1] - starts[plane]] += np.uint8(1)
    for k in range(live):
        distances[k] = np.float32(2) * steps[k]
        spread[k] = distances[k] / _BIT_STEPS[bits[k] - 1]
    return bits, distances, spread


@njit(inline="always")
def _round_row(
    values: F32, planes: np.ndarray, columns: tuple[np.ndarray, F32, F32], starts: np.ndarray, scaled: F32,
    words: np.ndarray,
) -> int:  # fmt: skip
    """The code of the row. `scaled` and `words` are room for the columns that have bits, words eight of them each."""
    bits, distances, spread = columns
    live, last = bits.size, ROW_SCALES.size - 1
    for k in range(live):
        scaled[k] = values[k] / spread[k]
    scale = math.sqrt(_square(scaled[:live]))
    code = 0 if scale == 0 else last
    if 0 < scale < np.inf:
        code = min(max(int(np.rint(8 * math.log2(scale))) + 192, 1), last - 1)
    planes[:] = 0
    if code in (0, last):
        return code
    numbers = words.view(np.uint8)
    for k in range(live):
        half = np.float32(1 << (bits[k] - 1))
        level = np.floor(values[k] / (distances[k] * ROW_SCALES[code]))
        # the highest bit first: plane 0 has bit 7 of all of these
        numbers[k] = np.uint8(min(max(level, -half), half - np.float32(1)) + half) << np.uint8(8 - bits[k])
    for plane in range(starts.size - 1):
        first, reach = starts[plane], starts[plane + 1] - starts[plane]
        for k in range(0, reach, 8):
            # the product has the lowest bits of eight bytes side by side in its highest one
            highest = words[k >> 3] >> np.uint64(7 - plane) & np.uint64(0x0101010101010101)
            byte = highest * np.uint64(0x0102040810204080) >> np.uint64(56)
            if reach - k < 8:
                byte &= np.uint64((1 << (reach - k)) - 1)
            at, shift = (first + k) >> 3, np.uint64((first + k) & 7)
            planes[at] |= np.uint8(byte << shift & np.uint64(255))
            rest = np.uint8(byte << shift >> np.uint64(8))
            if rest:
                planes[at + 1] |= rest
    return code


@njit(parallel=True, cache=True, error_model="numpy")
def _round_bits(values: F32, first: int, planes: np.ndarray, codes: np.ndarray, starts: np.ndarray, steps: F32) -> None:
    rows, columns = len(values), _columns(starts, steps)
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        scaled = np.empty(columns[0].size, np.float32)
        words = np.zeros(-(-columns[0].size // 8), np.uint64)
        for at in range(part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)):
            codes[first + at] = _round_row(values[at], planes[first + at], columns, starts, scaled, words)


@njit(parallel=True, cache=True, error_model="numpy")
def _update_bits(
    planes: np.ndarray, codes: np.ndarray, starts: np.ndarray, steps: F32, bits: np.ndarray, moments: F32, first: int,
    gradients: F32, rate: np.float32, root: np.float32, beta: np.float32, other: np.float32, epsilon: np.float32,
    key: np.uint32,
) -> None:  # fmt: skip
    (rows, width), columns = gradients.shape, _columns(starts, steps)
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        updated = np.empty(width, np.float32)
        scaled = np.empty(columns[0].size, np.float32)
        words = np.zeros(-(-columns[0].size // 8), np.uint64)
        for at in range(part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)):
            row, gradient = first + at, gradients[at]
            size = _size(moments, row, gradient, rate, root, beta, other, epsilon)
            if size < 0:
                continue
            _step_half(bits[row], gradient, size, key, row * width, updated)
            _halves_to(updated, bits[row])
            codes[row] = _round_row(updated, planes[row], columns, starts, scaled, words)
