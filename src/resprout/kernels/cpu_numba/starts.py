"""Where the slots of a row begin: at the start of its block of rows, behind those of the rows before it there.

Two ways to count masks, as in `expand`: with AVX-512 a cache line of masks at once, which is all there is up to width
64; anywhere else word by word. Lengths are added up. Where rows are read many times, a start of each is made first.
"""
# mypy: allow-untyped-calls
# ruff: noqa: ARG001
# Arguments of an intrinsic are their types, needed in its signature or not.

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from resprout.budget import ROWS_A_START
from resprout.kernels.contract import (
    LANES,
    Lengths,
    Mask,
    MaskedRows,
    PackedHalfRows,
    PackedInt8Rows,
    PackedRows,
    PrefixRows,
)
from resprout.kernels.cpu_numba.lanes import (
    I1,
    I8,
    I32,
    I64,
    LANE_INTS,
    as_i64,
    constant,
    count_ones,
    first_lanes,
    function,
    join,
    load_at,
    load_integers,
    target_has,
)
from resprout.kernels.cpu_numba.passes import is_one_pass

# Making a start takes 2 ns, counting the masks of a row 4 to 20, by how far its masks are.
_ROWS_A_LINK = 4
# Starts made in passing take 1 MiB at most, as much as a block of gradients.
_MOST_ROWS = 1 << 18

_LINE, _WORD = 64, 8  # bytes
_SHIFT = ROWS_A_START.bit_length() - 1
_BYTES, _WORDS, _LANES = ir.VectorType(I8, _LINE), ir.VectorType(I64, _LINE // _WORD), ir.VectorType(I1, _LINE)


class OpenPackedRows(NamedTuple):
    """`PackedRows` with a start for each row, for a pass that reads them many times."""

    mask: Mask
    starts: NDArray[np.integer[Any]]
    values: NDArray[np.float32]


class OpenPackedInt8Rows(NamedTuple):
    """`PackedInt8Rows`, likewise."""

    mask: Mask
    starts: NDArray[np.integer[Any]]
    values: NDArray[np.int8]
    codes: NDArray[np.uint8]


class OpenPackedHalfRows(NamedTuple):
    """`PackedHalfRows`, likewise."""

    mask: Mask
    starts: NDArray[np.integer[Any]]
    bits: NDArray[np.uint16]


class OpenPrefixRows(NamedTuple):
    """`PrefixRows`, likewise."""

    lengths: Lengths
    starts: NDArray[np.integer[Any]]
    values: NDArray[np.float32]


OPEN: dict[Any, Any] = {
    PackedRows: OpenPackedRows,
    PackedInt8Rows: OpenPackedInt8Rows,
    PackedHalfRows: OpenPackedHalfRows,
    PrefixRows: OpenPrefixRows,
}


def opened(rows: Any, width: int, links: int) -> Any:
    """Rows of slots with a start for each row, if so many links make up for that; any others as they are.

    Masked rows that take several passes are left, too: later ones begin within a row. A hop on Gowalla takes 1.5 times
    as long if masks are counted for each link.
    """
    if not isinstance(rows, PrefixRows) and not (isinstance(rows, MaskedRows) and is_one_pass(width)):
        return rows
    count = len(rows[0])  # of masks, or of lengths
    if not 0 < count <= min(_ROWS_A_LINK * links, _MOST_ROWS):
        return rows
    starts = np.empty(count, rows.starts.dtype)
    if isinstance(rows, PrefixRows):
        _add_lengths(rows.lengths, rows.starts, starts)
    else:
        _count_rows(rows.mask, rows.starts, starts)
    return OPEN[type(rows)](*rows._replace(starts=starts))


@njit(parallel=True, cache=True)
def _count_rows(mask: Mask, starts: NDArray[Any], out: NDArray[Any]) -> None:
    for block in prange(starts.size - 1):
        slot = starts[block]
        for row in range(block * ROWS_A_START, min(mask.shape[0], (block + 1) * ROWS_A_START)):
            out[row] = slot
            for piece in range(mask.shape[1]):
                slot += bit_count(mask[row, piece])


@njit(parallel=True, cache=True)
def _add_lengths(lengths: Lengths, starts: NDArray[Any], out: NDArray[Any]) -> None:
    for block in prange(starts.size - 1):
        slot = starts[block]
        for row in range(block * ROWS_A_START, min(lengths.size, (block + 1) * ROWS_A_START)):
            out[row] = slot
            slot += lengths[row]


def first_slot(
    b: ir.IRBuilder, mask: ir.Value, pieces: ir.Value, starts: ir.Value, row: ir.Value, piece: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Where this piece of a row's mask lies, and the number of the first slot that belongs to it.

    mask, starts: where the arrays of `contract.PackedRows` begin; pieces: those of a row.
    """
    block = b.lshr(row, constant(_SHIFT))
    begin = b.gep(mask, [b.mul(b.shl(block, constant(_SHIFT)), pieces)])
    own = b.gep(mask, [b.add(b.mul(row, pieces), piece)])
    size = b.sub(b.ptrtoint(own, I64), b.ptrtoint(begin, I64))
    ones = _in_lines if target_has("avx512bw") else _in_words
    return own, b.add(as_i64(b, b.load(b.gep(starts, [block]))), ones(b, begin, size))


def first_slot_by_lengths(b: ir.IRBuilder, lengths: ir.Value, starts: ir.Value, row: ir.Value) -> ir.Value:
    """The number of a row's first slot.

    lengths, starts: where the arrays of `contract.PrefixRows` begin.
    """
    block = b.lshr(row, constant(_SHIFT))
    first = b.shl(block, constant(_SHIFT))
    lanes = first_lanes(b, b.sub(row, first))
    before = load_integers(b, b.gep(lengths, [first]), lanes, lengths.type.pointee.width)
    add = function(b, f"llvm.vector.reduce.add.v{LANES}i32", I32, [LANE_INTS])
    return b.add(as_i64(b, b.load(b.gep(starts, [block]))), b.zext(b.call(add, [b.zext(before, LANE_INTS)]), I64))


def _in_lines(b: ir.IRBuilder, begin: ir.Value, size: ir.Value) -> ir.Value:
    """The ones in so many bytes, of which no other is touched."""
    arguments = [_BYTES.as_pointer(), I32, _LANES, _BYTES]
    load = function(b, f"llvm.masked.load.v{_LINE}i8.p0", _BYTES, arguments)
    count = function(b, f"llvm.ctpop.v{_LINE // _WORD}i64", _WORDS, [_WORDS])
    add = function(b, f"llvm.vector.reduce.add.v{_LINE // _WORD}i64", I64, [_WORDS])
    first = b.bitcast(begin, I8.as_pointer())

    def ones(at: ir.Value) -> ir.Value:
        left = b.sub(size, at)
        some = b.sub(b.shl(constant(1), b.and_(left, constant(_LINE - 1))), constant(1))
        lanes = b.bitcast(b.select(b.icmp_signed(">=", left, constant(_LINE)), constant(-1), some), _LANES)
        place, zeros = b.bitcast(b.gep(first, [at]), _BYTES.as_pointer()), ir.Constant(_BYTES, [0] * _LINE)
        loaded = b.call(load, [place, ir.Constant(I32, 1), lanes, zeros])
        return b.call(add, [b.call(count, [b.bitcast(loaded, _WORDS)])])

    return _total(b, size, _LINE, ones, once=True)


def _in_words(b: ir.IRBuilder, begin: ir.Value, size: ir.Value) -> ir.Value:
    """The same with common instructions: whole words, then piece by piece."""
    first, piece = b.bitcast(begin, I8.as_pointer()), begin.type.pointee
    whole = b.and_(size, constant(-_WORD))

    def reader(kind: ir.Type, offset: ir.Value) -> Callable[[ir.Value], ir.Value]:
        def ones(at: ir.Value) -> ir.Value:
            counted = count_ones(b, load_at(b, b.gep(first, [b.add(offset, at)]), kind, 1))
            return counted if kind == I64 else b.zext(counted, I64)

        return ones

    words = _total(b, whole, _WORD, reader(I64, constant(0)))
    return b.add(words, _total(b, b.sub(size, whole), piece.width // 8, reader(piece, whole)))


def _total(
    b: ir.IRBuilder, size: ir.Value, step: int, term: Callable[[ir.Value], ir.Value], once: bool = False
) -> ir.Value:
    """The sum of terms at 0, `step`, and so on below `size`; `once`: at 0 in any case."""
    entry, loop, done = b.block, b.append_basic_block("masks"), b.append_basic_block("counted")
    if once:
        b.branch(loop)
    else:
        b.cbranch(b.icmp_signed(">", size, constant(0)), loop, done)
    b.position_at_end(loop)
    at, total = b.phi(I64), b.phi(I64)
    summed, following = b.add(total, term(at)), b.add(at, constant(step))
    b.cbranch(b.icmp_signed("<", following, size), loop, done)
    join(at, (constant(0), entry), (following, loop))
    join(total, (constant(0), entry), (summed, loop))
    b.position_at_end(done)
    result = b.phi(I64)
    join(result, (summed, loop), *(() if once else ((constant(0), entry),)))
    return result


_intrinsic: Any = intrinsic  # by its annotations a call would have to pass the typing context too


@_intrinsic
def slot_before(_: Any, mask: Any, starts: Any, row: Any) -> Any:
    """The number of the first slot of a packed row, which may be the one behind the last."""

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        masks, blocks = (make_array(k)(context, b, a) for k, a in zip(signature.args[:2], arguments[:2], strict=True))
        pieces = b.extract_value(masks.shape, 1)
        return first_slot(b, masks.data, pieces, blocks.data, arguments[2], constant(0))[1]

    return types.int64(mask, starts, types.int64), emit


@_intrinsic
def bit_count(_: Any, bits: Any) -> Any:
    """The number of ones in a mask piece."""

    def emit(_: Any, b: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return b.zext(count_ones(b, arguments[0]), I64)

    return types.int64(bits), emit
