"""Rows of few bits: updated in float32 and rounded up or down, at random or by turns, or rounded to the nearest.

Rounding at random keeps what many small steps add up to, where rounding to the nearest would lose each of them
(Gupta et al., ICML 2015, section 3.1). What is random adds up, too: after n updates a weight is off by about the root
of n. If its thresholds go round evenly instead, as multiples of the golden ratio do (Weyl's sequence), steady updates
leave it off by one or two levels however many they are, and as right in the mean.
"""

import math

import numpy as np
from numpy.typing import NDArray

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
    bits_of,
    scale_codes,
)

_WORD = 1 << 32
_LARGEST_HALF = np.float32(65504)


def update_int8(rows: Int8Rows, moments: U16, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_int8`."""
    width = gradients.shape[1]
    for row, gradient in enumerate(gradients, first):
        own = (moments[row : row + 1].astype(np.uint32) << 16).view(np.float32)
        moves = _moment_moves(own, 0, gradient, step)
        moments[row] = (int(own.view(np.uint32)[0]) + _turn(step, rows.values.size + row)) >> 16
        if not moves:
            continue
        updated = rows.values[row] * ROW_SCALES[rows.codes[row]] - _rate(own[0], step) * gradient
        code = rows.codes[row] = _int8_code(np.abs(updated).max(), rows.codes[row])
        inverse = np.float32(0) if code in (0, 255) else np.float32(1) / ROW_SCALES[code]
        for column, value in enumerate(updated):
            chance = np.float32(_turn(step, row * width + column)) / np.float32(1 << 16)
            rows.values[row, column] = int((value * inverse + np.float32(128)) + chance) - 128 if inverse else 0


def update_half(rows: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_half`."""
    values = rows.bits.view(np.float16)
    for row, gradient in enumerate(gradients, first):
        if not _moment_moves(moments, row, gradient, step):
            continue
        updated = values[row].astype(np.float32) - _rate(moments[row], step) * gradient
        for column, value in enumerate(updated):
            size = float(min(abs(value), _LARGEST_HALF))
            unit = 2.0 ** max(math.frexp(size)[1] - 11, -24)  # between this number and the next one
            chance = (_bits(step.key, row * len(gradient) + column) >> 19) / (1 << 13)
            rounded = min(math.floor(size / unit + chance) * unit, float(_LARGEST_HALF))
            values[row, column] = math.copysign(rounded, value)


def update_bits(rows: BitRows, unrounded: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep) -> None:
    """See `contract.Backend.update_bits`."""
    update_half(unrounded, moments, first, gradients, step)
    for row, gradient in enumerate(gradients, first):
        if gradient.any():
            round_bits(unrounded.bits[row : row + 1].view(np.float16).astype(np.float32), row, rows)


def round_bits(values: F32, first: int, rows: BitRows) -> None:
    """See `contract.Backend.round_bits`."""
    bits = bits_of(rows).astype(np.int64)
    live = np.count_nonzero(bits)
    halves = np.exp2(bits[:live] - 1).astype(np.float32)
    distances = 2 * rows.steps[:live]  # between two levels, by the scale of a row
    spread = distances / np.array(BIT_STEPS, np.float32)[bits[:live] - 1]
    for row, own in enumerate(values[:, :live], first):
        code = _code(math.sqrt(np.square((own / spread).astype(np.float64)).mean()))
        numbers = np.zeros(live, np.int64)
        if 0 < code < len(ROW_SCALES) - 1:
            levels = np.floor(own / (distances * ROW_SCALES[code]))
            numbers = (levels.clip(-halves, halves - 1) + halves).astype(np.int64)
        string = np.concatenate(
            [numbers[:reach] >> bits[:reach] - 1 - plane & 1 for plane, reach in enumerate(np.diff(rows.starts))]
        )
        rows.codes[row] = code
        rows.planes[row] = _packed(string, rows.planes.shape[1])


def _packed(string: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """A string of bits as so many bytes."""
    padded = np.zeros(8 * size, np.uint8)
    padded[: len(string)] = string
    return np.packbits(padded, bitorder="little")


def _code(scale: float) -> int:
    """The number of the scale next to this one."""
    last = len(ROW_SCALES) - 1
    if scale == 0 or not math.isfinite(scale):
        return last if scale else 0
    return min(max(round(8 * math.log2(scale)) + 192, 1), last - 1)


def _moment_moves(moments: F32, row: int, gradient: F32, step: RowStep) -> bool:
    """Whether the row has a gradient, once its moment has taken it in."""
    square = np.float32(np.square(gradient, dtype=np.float64).sum() / len(gradient))
    moments[row] = np.float32(step.beta_2) * moments[row] + np.float32(1 - step.beta_2) * square
    return bool(square > 0)


def _rate(moment: np.float32, step: RowStep) -> np.float32:
    return np.float32(np.float32(step.rate) / (np.sqrt(moment) * np.float32(step.root) + np.float32(step.epsilon)))


def _int8_code(largest: np.float32, old: np.uint8) -> np.uint8:
    """The old one, where it does for a row whose largest weight is this."""
    if INT8_LEAST * ROW_SCALES[old] <= largest <= INT8_LARGEST * ROW_SCALES[old]:
        return old
    return np.uint8(scale_codes(np.array([largest]), INT8_NEW)[0])


def _turn(step: RowStep, counter: int) -> int:
    """16 bits, what the threshold of this value or moment has come round to."""
    return (_bits(step.offsets, counter) + step.phase) % _WORD >> 16


def _bits(key: int, counter: int) -> int:
    # the finalizer of MurmurHash3 (Appleby 2011): bits that look random for numbers that count up
    z = (key + counter) % _WORD
    z = (z ^ z >> 16) * 0x85EBCA6B % _WORD
    z = (z ^ z >> 13) * 0xC2B2AE35 % _WORD
    return z ^ z >> 16
