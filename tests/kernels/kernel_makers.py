"""Inputs for kernel tests: what a kernel is given ends at a page that must not be touched; fresh memory is NaN."""

import ctypes
import mmap
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import (
    F32,
    ROW_SCALES,
    U32,
    Bfloat16Rows,
    BitRows,
    CompactRows,
    DenseRows,
    HalfRows,
    Int8Rows,
    Links,
    Mask,
    NoRows,
    PackedHalfRows,
    PackedInt8Rows,
    PackedRows,
    PrefixRows,
    Rows,
    bit_rows,
)
from resprout.rng import stream

# widths on both sides of 8, of every multiple of 16 that changes the code, and of 128, where a row takes a second pass
WIDTHS = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300, 1024]
KINDS = [
    "dense",
    "packed",
    "prefix",
    "int8",
    "half",
    "bfloat16",
    "bits",
    "uneven bits",
    "packed int8",
    "packed half",
    "compact",
    "none",
]
TRAINED, SERVED = KINDS[:2], KINDS[2:10]
# what is only served, and what shares its code with it, is read at fewer widths: each number of blocks is compiled anew
STORED_WIDTHS = [
    (kind, width) for kinds, widths in ((TRAINED, WIDTHS), (SERVED, (7, 40, 129))) for kind in kinds for width in widths
] + [("prefix", 300)]  # lengths of two bytes
# a sum adds rows stored as its own are, or none, or (backwards) those of a batch
SUMMED = [(kind, add) for kind in KINDS for add in dict.fromkeys((kind, "none", "compact"))]

A = TypeVar("A", bound=NDArray[Any])
Flags = NDArray[np.bool_]
F64 = NDArray[np.float64]

_protect = ctypes.CDLL(None, use_errno=True).mprotect
_protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def fenced(array: A) -> A:
    """A copy that ends where a page begins that can be neither read nor written; the bytes before it are 0xFF."""
    room = mmap.PAGESIZE * (1 + array.nbytes // mmap.PAGESIZE)
    memory = np.frombuffer(mmap.mmap(-1, room + mmap.PAGESIZE), np.uint8)
    memory[:room] = 0xFF
    assert _protect(memory.ctypes.data + room, mmap.PAGESIZE, 0) == 0
    copy = memory[room - array.nbytes : room].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def fresh(*shape: int) -> F32:
    """An output of NaN, fenced."""
    return fenced(np.full(shape, np.nan, np.float32))


def nothing_before(array: NDArray[Any]) -> bool:
    """Whether the bytes before a fenced array are as they were made."""
    return bool((array.base[: len(array.base) - mmap.PAGESIZE - array.nbytes] == 0xFF).all())


def mask_bits(active: Flags) -> Mask:
    """The bools `[rows, width]` in the contract's form, made by way of bytes."""
    rows, width = active.shape
    if width <= 8:
        return fenced(np.packbits(active, axis=1, bitorder="little"))
    padded = np.zeros((rows, -(-width // 16) * 16), bool)
    padded[:, :width] = active
    return fenced(np.packbits(padded, axis=1, bitorder="little").view("<u2"))


def is_active(mask: Mask, width: int) -> Flags:
    """The inverse of `mask_bits`; fails if a bit beyond the width is set."""
    bits = np.unpackbits(mask.view(np.uint8), axis=1, bitorder="little")
    assert not bits[:, width:].any()
    return bits[:, :width].astype(bool)


def some_active(rows: int, width: int, name: str) -> Flags:
    """About half of the positions; the second row is full, the third and the last are empty."""
    active = stream(0, "active", name, rows, width).random((rows, width)) < 0.5
    active[1:2] = True
    active[2:3] = False
    active[3:][-1:] = False
    return active


def packed(table: F32, active: Flags, starts: type[np.signedinteger[Any]] = np.int32) -> PackedRows:
    return PackedRows(mask_bits(active), fenced(block_starts(active, starts)), fenced(table[active]))


def block_starts(active: Flags, kind: type[np.signedinteger[Any]] = np.int32) -> NDArray[Any]:
    """The first slot of each 8 rows, and the number of slots, counted one after the other."""
    return np.array([active[:row].sum() for row in range(0, len(active), 8)] + [active.sum()], kind)


def column_bits(width: int, bits: int | None) -> NDArray[np.uint8]:
    """So many bits a column, or, if none, 8 of the first and fewer of later ones, down to 0 where there is room."""
    return np.full(width, bits or 1, np.uint8) if bits else np.maximum(8 - np.arange(width) // 5, 0).astype(np.uint8)


def few_bits(rows: int, width: int, bits: int | None, name: str = "") -> tuple[BitRows, F32]:
    """Rows of few bits, made by way of whole numbers, and the same as a whole table; the third row is 0."""
    random = stream(0, "bits", name, rows, width, bits or 0)
    each = column_bits(width, bits).astype(np.int64)
    spread = random.uniform(0.1, 2, width).astype(np.float32)
    numbers = random.integers(0, 2**each, (rows, width))
    strings = [numbers[:, each > plane] >> (each - 1 - plane)[each > plane] & 1 for plane in range(each[0])]
    codes = random.integers(160, 210, rows).astype(np.uint8)
    codes[2:3] = 0
    planes = np.packbits(np.concatenate(strings, 1).astype(np.uint8), axis=1, bitorder="little")
    made = bit_rows(fenced(planes), fenced(codes), each.astype(np.uint8), spread)
    levels = 2 * numbers + 1 - 2**each  # 0 where there are no bits
    table = levels.astype(np.float32) * made.steps * ROW_SCALES[codes, None]
    return BitRows(*map(fenced, made)), table


def floats_of(upper: NDArray[np.uint16]) -> F64:
    """The float32 numbers whose upper halves these are, and whose lower halves are 0."""
    return (upper.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def words_of(upper: NDArray[np.uint16]) -> U32:
    """Upper halves of float32 numbers `[rows, width]` as `Bfloat16Rows` has them, made column by column."""
    rows, width = upper.shape
    words = np.zeros((rows, -(-width // 32) * 16), np.uint32)
    for column in range(width):
        words[:, column // 32 * 16 + column % 16] |= upper[:, column].astype(np.uint32) << (column % 32 // 16 * 16)
    return words


def make_rows(kind: str, rows: int, width: int, starts: Any = np.int32, name: str = "") -> tuple[Rows, F64]:
    """Rows stored in the way called `kind`, and the same as a whole float64 table."""
    table = stream(0, "table", kind, name).standard_normal((rows, width)).astype(np.float32)
    if kind == "none":
        return NoRows(), np.zeros((rows, width))
    if kind == "dense":
        return DenseRows(fenced(table)), table.astype(np.float64)
    values, codes = np.rint(40 * table).clip(-127, 127).astype(np.int8), stream(0, "codes").integers(160, 200, rows)
    of_values = (values * ROW_SCALES[codes, None]).astype(np.float64)
    codes = codes.astype(np.uint8)
    # subnormal numbers and zeros of either sign among them
    halves = (table * np.float32(10.0) ** stream(0, "sizes").integers(-8, 3, table.shape)).astype(np.float16)
    if kind == "int8":
        return Int8Rows(fenced(values), fenced(codes)), of_values
    if kind == "half":
        return HalfRows(fenced(halves.view(np.uint16))), halves.astype(np.float64)
    if kind == "bfloat16":
        upper = (table.view(np.uint32) >> 16).astype(np.uint16)
        return Bfloat16Rows(fenced(words_of(upper))), floats_of(upper)
    if kind == "bits":
        made, read = few_bits(rows, width, bits=3, name=name)
        return made, read.astype(np.float64)
    if kind == "uneven bits":
        made, read = few_bits(rows, width, bits=None, name=name)
        return made, read.astype(np.float64)
    active = some_active(rows, width, name)
    mask, first_slots, slots = packed(table, active, starts)
    if kind == "packed":
        return PackedRows(mask, first_slots, slots), np.where(active, table, 0).astype(np.float64)
    if kind == "packed int8":
        return PackedInt8Rows(mask, first_slots, fenced(values[active]), fenced(codes)), np.where(active, of_values, 0)
    if kind == "packed half":
        bits = fenced(halves[active].view(np.uint16))
        return PackedHalfRows(mask, first_slots, bits), np.where(active, halves, 0).astype(np.float64)
    if kind == "prefix":
        first_columns = np.arange(width) < active.sum(1, keepdims=True)
        lengths = fenced(active.sum(1).astype(np.uint8 if width < 256 else np.uint16))
        made = PrefixRows(lengths, fenced(block_starts(active, starts)), fenced(table[first_columns]))
        return made, np.where(first_columns, table, 0).astype(np.float64)
    stored = stream(0, "stored", name).random(rows) < 0.5
    positions = np.where(stored, np.cumsum(stored) - 1, -1).astype(np.int32)
    return CompactRows(fenced(positions), fenced(table[stored])), np.where(stored[:, None], table, 0).astype(np.float64)


def make_links(lists: int, rows: int, longest: int = 40) -> Links:
    """Lists of up to six links with repeats; the first and the last are empty, the third has `longest` links."""
    random = stream(0, "links", lists, rows, longest)
    lengths = random.integers(0, 7, lists)
    lengths[:1] = 0
    lengths[2:3] = longest
    lengths[3:][-1:] = 0
    starts = np.zeros(lists + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    ids = random.integers(0, rows, starts[-1]).astype(np.int32)
    return Links(fenced(starts), fenced(ids), fenced(random.standard_normal(starts[-1]).astype(np.float32)))
