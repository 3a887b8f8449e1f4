"""Rows of every kind made whole, or entry by entry: what the other reference kernels are defined on."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import (
    F32,
    LANES,
    ROW_SCALES,
    U32,
    Bfloat16Rows,
    BitRows,
    CompactRows,
    DenseRows,
    HalfRows,
    Int8Rows,
    Mask,
    MaskedRows,
    NoRows,
    PackedHalfRows,
    PackedInt8Rows,
    PrefixRows,
    Rows,
    bfloat16_words,
    slots_before,
)


def whole(rows: Rows, count: int, width: int) -> F32:
    """All rows as float32 `[rows, width]`; `count` says how many where the rows themselves do not."""
    if isinstance(rows, DenseRows):
        return rows.values
    if isinstance(rows, Int8Rows):
        return rows.values * ROW_SCALES[rows.codes, None]
    if isinstance(rows, HalfRows):
        return _floats(rows.bits)
    if isinstance(rows, Bfloat16Rows):
        return _of_words(rows.words, width)
    if isinstance(rows, BitRows):
        return _of_bits(rows, slice(None), width)
    if isinstance(rows, NoRows):
        return np.zeros((count, width), np.float32)
    if isinstance(rows, CompactRows):
        table = np.zeros((len(rows.positions), width), np.float32)
        stored = rows.positions >= 0
        table[stored] = rows.values[rows.positions[stored]]
        return table
    table = np.zeros((len(rows[0]), width), np.float32)  # of masks, or of lengths
    for row in range(len(table)):
        columns, values = entries(rows, row, width)
        table[row, columns] = values
    return table


def entries(rows: Rows, row: int, width: int) -> tuple[NDArray[np.intp], F32]:
    """Positions and values of what is stored of one row."""
    if isinstance(rows, MaskedRows):
        (active,) = positions(rows.mask[row : row + 1], width)
        return np.flatnonzero(active), _slots(rows, row)
    if isinstance(rows, PrefixRows):
        first, length = slots_before(rows, row), int(rows.lengths[row])
        return np.arange(length), rows.values[first : first + length]
    if isinstance(rows, DenseRows):
        return np.arange(width), rows.values[row]
    if isinstance(rows, Int8Rows):
        return np.arange(width), rows.values[row] * ROW_SCALES[rows.codes[row]]
    if isinstance(rows, HalfRows):
        return np.arange(width), _floats(rows.bits[row])
    if isinstance(rows, Bfloat16Rows):
        return np.arange(width), _of_words(rows.words[row : row + 1], width)[0]
    if isinstance(rows, BitRows):
        return np.arange(width), _of_bits(rows, slice(row, row + 1), width)[0]
    if isinstance(rows, CompactRows) and rows.positions[row] >= 0:
        return np.arange(width), rows.values[rows.positions[row]]
    return np.arange(0), np.zeros(0, np.float32)


def _slots(rows: MaskedRows, row: int) -> F32:
    its = slice(*(slots_before(rows, place) for place in (row, row + 1)))
    if isinstance(rows, PackedHalfRows):
        return _floats(rows.bits[its])
    values: F32 = rows.values[its] * (
        ROW_SCALES[rows.codes[row]] if isinstance(rows, PackedInt8Rows) else np.float32(1)
    )
    return values


def _floats(bits: NDArray[np.uint16]) -> F32:
    return bits.view(np.float16).astype(np.float32)


def bfloat16_of(table: F32) -> U32:
    """The words of `Bfloat16Rows` for rows `[rows, width]`, rounded to the nearest, ties to even."""
    rows, width = table.shape
    bits = np.zeros((rows, 2 * bfloat16_words(width)), np.uint32)
    bits[:, :width] = table.view(np.uint32)
    lower = bits & np.uint32(0xFFFF)
    is_odd = bits >> np.uint32(16) & np.uint32(1)
    upper = (bits >> np.uint32(16)) + ((lower > 0x8000) | ((lower == 0x8000) & (is_odd == 1)))
    halves = upper.astype(np.uint32).reshape(rows, -1, 2, LANES)
    words: U32 = (halves[:, :, 0] | halves[:, :, 1] << np.uint32(16)).reshape(rows, -1)
    return words


def _of_words(words: U32, width: int) -> F32:
    of_blocks = words.reshape(len(words), -1, 1, LANES)
    halves = np.concatenate([of_blocks << np.uint32(16), of_blocks & np.uint32(0xFFFF0000)], 2)
    return np.ascontiguousarray(halves.reshape(len(words), -1)[:, :width]).view(np.float32)


def _of_bits(rows: BitRows, its: slice, width: int) -> F32:
    bits = np.unpackbits(rows.planes[its], axis=1, bitorder="little")
    numbers = np.zeros((len(bits), width), np.float32)
    for first, end in pairwise(rows.starts):
        its_own = slice(0, end - first)
        numbers[:, its_own] = 2 * numbers[:, its_own] + np.where(bits[:, first:end], np.float32(1), np.float32(-1))
    values: F32 = numbers * rows.steps * ROW_SCALES[rows.codes[its], None]
    return values


def positions(mask: Mask, width: int) -> NDArray[np.bool_]:
    """The mask as one bool a position, `[rows, width]`."""
    bits = mask[:, :, None] >> np.arange(LANES) & 1
    return bits.reshape(len(mask), mask.shape[1] * LANES)[:, :width].astype(bool)


def mask_of(chosen: NDArray[np.bool_]) -> Mask:
    """The bools `[rows, width]` as a mask."""
    count, width = chosen.shape
    padded = np.zeros((count, -(-width // LANES), LANES), bool)
    padded.reshape(count, padded.shape[1] * LANES)[:, :width] = chosen
    words = (padded.astype(np.uint32) << np.arange(LANES, dtype=np.uint32)).sum(2)
    mask: Mask = words.astype(np.uint8 if width <= 8 else np.uint16)
    return mask
