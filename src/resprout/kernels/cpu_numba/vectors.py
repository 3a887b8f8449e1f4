"""Rows as vectors of 16 lanes: sums of weighted rows, products with a row, and a dense row made slots.

A row of up to 128 positions is held in at most eight vector registers while the links of a list are summed. How many is
known when the kernel is compiled: it is the length of the tuple `blocks`, whose content does not matter.
"""
# mypy: allow-untyped-calls
# ruff: noqa: ARG001
# All readers take the same arguments; those of an intrinsic are their types, needed in its signature or not.

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from resprout.kernels.contract import (
    LANES,
    ROW_SCALES,
    Bfloat16Rows,
    BitRows,
    CompactRows,
    DenseRows,
    HalfRows,
    Int8Rows,
    NoRows,
    PackedHalfRows,
    PackedInt8Rows,
    PackedRows,
    PrefixRows,
)
from resprout.kernels.cpu_numba.expand import packed_blocks, packed_integers
from resprout.kernels.cpu_numba.lanes import (
    F32,
    I16,
    I32,
    I64,
    LANE_INTS,
    LANE_MASK,
    VECTOR,
    ZEROS,
    as_i64,
    constant,
    constants,
    first_lanes,
    function,
    join,
    load_at,
    load_block,
    load_integers,
    prefetch,
    splat,
    store_block,
)
from resprout.kernels.cpu_numba.starts import OPEN, first_slot, first_slot_by_lengths

# Rows are asked for this many links before they are summed: three loads that wait for each other (id, start, slots) are
# more than a core overlaps by itself. One hop on Gowalla at density 0.5 takes 5.4 ms with it and 7.3 without (Zen 5).
_LINKS_AHEAD = 12
# Shorter rows are done with sooner: asked for so early, a hop of bfloat16 rows on Gowalla takes a fifth less time.
_SHORT_LINKS_AHEAD = 24


class _Reader(NamedTuple):
    """How rows of some kind are read: `blocks(row)` are its vectors, `ask(row)` fetches them, `ahead` links before."""

    blocks: Callable[[ir.Value], list[ir.Value]]
    ask: Callable[[ir.Value], None]
    ahead: int = _LINKS_AHEAD


class _Chunk(NamedTuple):
    """The columns of a row that are summed in one pass: `column` (a value) to `column` + 16 x len(lanes)."""

    column: ir.Value
    lanes: list[ir.Value | None]


_Find = Callable[[ir.Value], tuple[ir.Value, ir.Value]]
_Plane = Callable[[ir.Value, int], tuple[ir.Value, ir.Value | None]]  # of a plane and a block: bits, and who has one


def _packed_finder(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk, is_open: bool) -> _Find:
    """Of rows whose fields begin with mask, starts and values: where a row's mask and its slots lie."""
    mask, starts, values = fields[:3]
    pieces = shape(0)[1]
    first_piece = b.udiv(chunk.column, constant(LANES))

    def find(row: ir.Value) -> tuple[ir.Value, ir.Value]:
        if is_open:
            row_mask, slot = b.gep(mask, [b.mul(row, pieces)]), as_i64(b, b.load(b.gep(starts, [row])))
        else:
            row_mask, slot = first_slot(b, mask, pieces, starts, row, first_piece)
        return row_mask, b.gep(values, [slot])

    return find


def _packed_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk,
                   is_open: bool = False) -> _Reader:  # fmt: skip
    find = _packed_finder(b, fields, shape, chunk, is_open)

    def blocks(row: ir.Value) -> list[ir.Value]:
        return packed_blocks(b, *find(row), len(chunk.lanes))

    def ask(row: ir.Value) -> None:
        row_mask, row_slots = find(row)
        prefetch(b, row_mask)
        # a cache line holds the slots of two blocks at density 0.5; one more, for they seldom begin with a line
        for line in range(1 + -(-len(chunk.lanes) // 2)):
            prefetch(b, b.gep(row_slots, [constant(LANES * line)]))

    # others than open ones are read but a few at a time, and not worth counting their masks once more
    return _Reader(blocks, ask if is_open else _ask_nothing)


def _row_scale(b: ir.IRBuilder, codes: ir.Value, row: ir.Value) -> ir.Value:
    """The scale of the row in all lanes."""
    scales = constants(b, "resprout_row_scales", F32, ROW_SCALES.tolist())
    return splat(b, b.load(b.gep(scales, [b.zext(b.load(b.gep(codes, [row])), I64)])))


def _packed_int8_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk,
                        is_open: bool = False) -> _Reader:  # fmt: skip
    find = _packed_finder(b, fields, shape, chunk, is_open)

    def blocks(row: ir.Value) -> list[ir.Value]:
        scale = _row_scale(b, fields[3], row)
        return [_scaled(b, integers, scale) for integers in packed_integers(b, *find(row), len(chunk.lanes))]

    return _Reader(blocks, _ask_nothing)


def _packed_half_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk,
                        is_open: bool = False) -> _Reader:  # fmt: skip
    find = _packed_finder(b, fields, shape, chunk, is_open)

    def blocks(row: ir.Value) -> list[ir.Value]:
        return [_floats(b, halves) for halves in packed_integers(b, *find(row), len(chunk.lanes))]

    return _Reader(blocks, _ask_nothing)


def _prefix_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk,
                   is_open: bool = False) -> _Reader:  # fmt: skip
    lengths, starts, values = fields

    def find(row: ir.Value) -> ir.Value:
        slot = as_i64(b, b.load(b.gep(starts, [row]))) if is_open else first_slot_by_lengths(b, lengths, starts, row)
        return b.gep(values, [b.add(slot, chunk.column)])

    def blocks(row: ir.Value) -> list[ir.Value]:
        first, length = find(row), b.sub(b.zext(b.load(b.gep(lengths, [row])), I64), chunk.column)
        vectors = []
        for k in range(len(chunk.lanes)):
            left = b.sub(length, constant(LANES * k))
            left = b.select(b.icmp_signed("<", left, constant(0)), constant(0), left)
            left = b.select(b.icmp_signed(">", left, constant(LANES)), constant(LANES), left)
            vectors.append(load_block(b, b.gep(first, [constant(LANES * k)]), first_lanes(b, left)))
        return vectors

    def ask(row: ir.Value) -> None:
        prefetch(b, find(row))

    return _Reader(blocks, ask if is_open else _ask_nothing)


def _dense_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    (values,), width = fields, shape(0)[1]

    def blocks(row: ir.Value) -> list[ir.Value]:
        start = b.gep(values, [b.add(b.mul(row, width), chunk.column)])
        return [load_block(b, b.gep(start, [constant(LANES * k)]), lanes) for k, lanes in enumerate(chunk.lanes)]

    return _Reader(blocks, _ask_nothing)


def _int8_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    (values, codes), width = fields, shape(0)[1]

    def blocks(row: ir.Value) -> list[ir.Value]:
        start = b.gep(values, [b.add(b.mul(row, width), chunk.column)])
        scale = _row_scale(b, codes, row)
        vectors = []
        for k, lanes in enumerate(chunk.lanes):
            integers = load_integers(b, b.gep(start, [constant(LANES * k)]), lanes, 8)
            vectors.append(_scaled(b, integers, scale))
        return vectors

    return _Reader(blocks, _ask_nothing)


def _half_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    (bits,), width = fields, shape(0)[1]

    def blocks(row: ir.Value) -> list[ir.Value]:
        start = b.gep(bits, [b.add(b.mul(row, width), chunk.column)])
        return [
            _floats(b, load_integers(b, b.gep(start, [constant(LANES * k)]), lanes, 16))
            for k, lanes in enumerate(chunk.lanes)
        ]

    return _Reader(blocks, _ask_nothing)


def _bfloat16_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    (words,), row_words = fields, shape(0)[1]
    first_word, upper = b.udiv(chunk.column, constant(2)), ir.Constant(LANE_INTS, [0xFFFF0000] * LANES)
    half = ir.Constant(LANE_INTS, [16] * LANES)

    def places(row: ir.Value) -> list[ir.Value]:
        start = b.gep(words, [b.add(b.mul(row, row_words), first_word)])
        return [b.gep(start, [constant(LANES * k // 2)]) for k in range(0, len(chunk.lanes), 2)]

    def blocks(row: ir.Value) -> list[ir.Value]:
        vectors = []
        for place in places(row):
            two = load_at(b, place, LANE_INTS, 4)
            vectors += [b.bitcast(b.shl(two, half), VECTOR), b.bitcast(b.and_(two, upper), VECTOR)]
        return vectors[: len(chunk.lanes)]

    def ask(row: ir.Value) -> None:
        for place in places(row):
            prefetch(b, place)

    return _Reader(blocks, ask, _SHORT_LINKS_AHEAD)


def _bit_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    planes, codes, _, steps, depths, first_bytes, shifts, lanes_there, whole = fields
    rows, row_bytes = shape(0)
    all_blocks = shape(5)[1]
    first_block = b.udiv(chunk.column, constant(LANES))
    ones, minus_ones, twos = (ir.Constant(VECTOR, [number] * LANES) for number in (1.0, -1.0, 2.0))
    fma = function(b, "llvm.fma.v16f32", VECTOR, [VECTOR] * 3)
    # only rows of less than a word can begin behind the last one
    size = b.mul(rows, row_bytes)
    last = b.select(b.icmp_signed(">", size, constant(4)), b.sub(size, constant(4)), constant(0))

    def anywhere(start: ir.Value, late: ir.Value) -> _Plane:
        """The bits of planes that begin and end at any bit."""

        def read(plane: ir.Value, k: int) -> tuple[ir.Value, ir.Value | None]:
            place = b.add(b.mul(plane, all_blocks), b.add(first_block, constant(k)))
            word = load_at(b, b.gep(start, [b.load(b.gep(first_bytes, [place]))]), I32, 1)
            shift = b.add(b.load(b.gep(shifts, [place])), late)
            bits = b.bitcast(b.trunc(b.lshr(word, b.trunc(shift, I32)), I16), LANE_MASK)
            return bits, b.bitcast(b.load(b.gep(lanes_there, [place])), LANE_MASK)

        return read

    def side_by_side(row: ir.Value) -> _Plane:
        """The bits of planes that reach all columns, in sixteens."""
        begin, plane_bytes = b.gep(row, [b.udiv(chunk.column, constant(8))]), b.udiv(shape(3)[0], constant(8))

        def read(plane: ir.Value, k: int) -> tuple[ir.Value, ir.Value | None]:
            word = load_at(b, b.gep(begin, [b.add(b.mul(plane, plane_bytes), constant(2 * k))]), I16, 1)
            return b.bitcast(word, LANE_MASK), None

        return read

    def through(read: _Plane, planes: tuple[ir.Value, ir.Value],
                totals: list[tuple[int, ir.Value]]) -> list[ir.Value]:  # fmt: skip
        """Totals of some blocks once they have gone through these planes, which reach them all.

        A bit doubles what is there, and adds 1 or takes 1 off.
        """
        entry, loop, done = b.block, b.append_basic_block("planes"), b.append_basic_block("through")
        b.cbranch(b.icmp_signed("<", *planes), loop, done)
        b.position_at_end(loop)
        plane, inside, new = b.phi(I64), [b.phi(VECTOR) for _ in totals], []
        for (k, _), total in zip(totals, inside, strict=True):
            bits, there = read(plane, k)
            deeper = b.call(fma, [total, twos, b.select(bits, ones, minus_ones)])
            new.append(deeper if there is None else b.select(there, deeper, total))
        following = b.add(plane, constant(1))
        b.cbranch(b.icmp_signed("<", following, planes[1]), loop, done)
        join(plane, (planes[0], entry), (following, loop))
        for (_, before), total, result in zip(totals, inside, new, strict=True):
            join(total, (before, entry), (result, loop))
        b.position_at_end(done)
        after = [b.phi(VECTOR) for _ in totals]
        for (_, before), total, result in zip(totals, after, new, strict=True):
            join(total, (before, entry), (result, loop))
        return after

    def numbers(row: ir.Value, start: ir.Value, late: ir.Value) -> list[ir.Value]:
        """First planes that reach all blocks, which are all planes where columns are alike; then those that do not."""
        ends = [b.load(b.gep(depths, [b.add(first_block, constant(k))])) for k in range(len(chunk.lanes))]
        even, common = b.load(whole), ends[-1]
        totals = through(side_by_side(row), (constant(0), even), [(k, ZEROS) for k in range(len(ends))])
        totals = through(anywhere(start, late), (even, common), list(enumerate(totals)))
        return [
            through(anywhere(start, late), (common, end), [(k, totals[k])])[0] for k, end in enumerate(ends[:-1])
        ] + totals[-1:]

    def blocks(row: ir.Value) -> list[ir.Value]:
        scale = _row_scale(b, codes, row)
        begins = b.mul(row, row_bytes)
        start = b.select(b.icmp_signed("<", begins, last), begins, last)
        late = b.shl(b.sub(begins, start), constant(3))
        own = b.gep(steps, [chunk.column])
        read = numbers(b.gep(planes, [begins]), b.gep(planes, [start]), late)
        return [
            b.fmul(b.fmul(number, load_block(b, b.gep(own, [constant(LANES * k)]), lanes)), scale)
            for k, (number, lanes) in enumerate(zip(read, chunk.lanes, strict=True))
        ]

    return _Reader(blocks, _ask_nothing)


def _scaled(b: ir.IRBuilder, integers: ir.Value, scale: ir.Value) -> ir.Value:
    return b.fmul(b.sitofp(b.sext(integers, LANE_INTS), VECTOR), scale)


def _floats(b: ir.IRBuilder, halves: ir.Value) -> ir.Value:
    """The float16 numbers whose bits these are."""
    unsigned, sign, shift, scale = (
        ir.Constant(LANE_INTS, [number] * LANES) for number in (0x7FFF, 0x8000, 13, 0x77800000)
    )
    half = b.zext(halves, LANE_INTS)
    # the exponents' biases differ by 112: as a factor it makes subnormal numbers right too, on any CPU
    size = b.fmul(b.bitcast(b.shl(b.and_(half, unsigned), shift), VECTOR), b.bitcast(scale, VECTOR))
    signs = b.shl(b.and_(half, sign), ir.Constant(LANE_INTS, [16] * LANES))
    return b.bitcast(b.or_(b.bitcast(size, LANE_INTS), signs), VECTOR)


def _compact_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    (positions, values), width = fields, shape(1)[1]
    none = ir.Constant(LANE_MASK, [0] * LANES)

    def blocks(row: ir.Value) -> list[ir.Value]:
        position = as_i64(b, b.load(b.gep(positions, [row])))
        stored = b.icmp_signed(">=", position, constant(0))
        start = b.gep(values, [b.add(b.mul(position, width), chunk.column)])
        vectors = []
        for block, lanes in enumerate(chunk.lanes):
            wanted = ir.Constant(LANE_MASK, [1] * LANES) if lanes is None else lanes
            place = b.gep(start, [constant(LANES * block)])
            vectors.append(load_block(b, place, b.select(stored, wanted, none)))
        return vectors

    return _Reader(blocks, _ask_nothing)


def _zero_reader(b: ir.IRBuilder, fields: list[ir.Value], shape: Any, chunk: _Chunk) -> _Reader:
    return _Reader(lambda _: [ZEROS] * len(chunk.lanes), _ask_nothing)


def _ask_nothing(row: ir.Value) -> None:
    """For rows that are not worth asking for."""


def _row_lanes(b: ir.IRBuilder, width: ir.Value, blocks: int) -> list[ir.Value | None]:
    """The lanes of each block of a dense row `width` wide: all but the last block are full."""
    return [None] * (blocks - 1) + [first_lanes(b, b.sub(width, constant(LANES * (blocks - 1))))]


def _data(context: Any, b: ir.IRBuilder, kind: types.Array, array: ir.Value) -> ir.Value:
    return make_array(kind)(context, b, array).data


_intrinsic: Any = intrinsic  # by its annotations a call would have to pass the typing context too

_READERS: dict[Any, Callable[..., _Reader]] = {
    PackedRows: _packed_reader, PackedInt8Rows: _packed_int8_reader, PackedHalfRows: _packed_half_reader,
    PrefixRows: _prefix_reader, DenseRows: _dense_reader, Int8Rows: _int8_reader, HalfRows: _half_reader,
    Bfloat16Rows: _bfloat16_reader, BitRows: _bit_reader, CompactRows: _compact_reader, NoRows: _zero_reader,
}  # fmt: skip
_READERS |= {OPEN[kind]: partial(_READERS[kind], is_open=True) for kind in OPEN}


def _reader(context: Any, b: ir.IRBuilder, kind: Any, rows: ir.Value, chunk: _Chunk) -> _Reader:
    arrays = [(k, b.extract_value(rows, i)) for i, k in enumerate(kind.types) if isinstance(k, types.Array)]
    structs = [make_array(k)(context, b, value) for k, value in arrays]

    def shape(i: int) -> list[ir.Value]:
        return list(cgutils.unpack_tuple(b, structs[i].shape))

    fields = [struct.data for struct in structs]
    return _READERS[kind.instance_class](b, fields, shape, chunk)


def _linked_rows(context: Any, b: ir.IRBuilder, kind: types.Array, ids: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """The row of a link; of the last one for links beyond it."""
    array = make_array(kind)(context, b, ids)
    last = b.sub(array.nitems, constant(1))

    def row(link: ir.Value) -> ir.Value:
        there = b.select(b.icmp_signed("<", link, last), link, last)
        return as_i64(b, b.load(b.gep(array.data, [there])))

    return row


@_intrinsic
def sum_row(_: Any, out: Any, at: Any, ids: Any, weights: Any, begin: Any, end: Any, source: Any, add: Any, row: Any,
            scale: Any, column: Any, width: Any, blocks: Any) -> Any:  # fmt: skip
    """`out[at : at + width] = scale * (add[row] + sum over links k in [begin, end) of weights[k] * source[ids[k]])`.

    Of each row only the columns from `column` on, `width` of them, at most 16 x len(blocks). `out` is flat, of float32
    or of words as in `Bfloat16Rows`, of which half as many begin at `at`.
    """
    signature = types.void(
        out, types.int64, ids, weights, types.int64, types.int64, source, add, types.int64, types.float32, types.int64,
        types.int64, blocks,
    )  # fmt: skip

    def emit(context: Any, b: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        out_, at, ids_, weights_, begin, end, source_, add_, *rest = arguments
        row, scale, column, width, _ = rest
        chunk = _Chunk(column, _row_lanes(b, width, blocks.count))

        read_source = _reader(context, b, source, source_, chunk)
        read_add = _reader(context, b, add, add_, chunk)
        weights_data = _data(context, b, weights, weights_)
        linked_row = _linked_rows(context, b, ids, ids_)
        fma = function(b, "llvm.fma.v16f32", VECTOR, [VECTOR] * 3)

        firsts = read_add.blocks(row)
        entry, loop, done = b.block, b.append_basic_block("loop"), b.append_basic_block("done")
        b.cbranch(b.icmp_signed("<", begin, end), loop, done)
        b.position_at_end(loop)
        link, sums = b.phi(I64), [b.phi(VECTOR) for _ in firsts]
        # links lie list by list, so the next list's rows are asked for at the end of this one
        read_source.ask(linked_row(b.add(link, constant(read_source.ahead))))
        weight = splat(b, b.load(b.gep(weights_data, [link])))
        linked = read_source.blocks(linked_row(link))
        new = [b.call(fma, [weight, block, total]) for block, total in zip(linked, sums, strict=True)]
        following = b.add(link, constant(1))
        b.cbranch(b.icmp_signed("<", following, end), loop, done)
        last = b.block
        join(link, (begin, entry), (following, last))
        b.position_at_end(done)
        finals = [b.phi(VECTOR) for _ in firsts]
        for total, final, first, result in zip(sums, finals, firsts, new, strict=True):
            join(total, (first, entry), (result, last))
            join(final, (first, entry), (result, last))
        factor, start = splat(b, scale), b.gep(_data(context, b, out, out_), [at])
        results = [b.fmul(final, factor) for final in finals]
        if out.dtype == types.uint32:
            _store_bfloat16(b, results, start)
        else:
            for block, (result, lanes) in enumerate(zip(results, chunk.lanes, strict=True)):
                store_block(b, result, b.gep(start, [constant(LANES * block)]), lanes)
        return context.get_dummy_value()

    return signature, emit


def _store_bfloat16(b: ir.IRBuilder, blocks: list[ir.Value], start: ir.Value) -> None:
    """Writes blocks as `Bfloat16Rows` has them; lanes beyond the width are 0, as they are in any row that is read."""
    half, most, one, upper = (ir.Constant(LANE_INTS, [n] * LANES) for n in (16, 0x7FFF, 1, 0xFFFF0000))

    def rounded(block: ir.Value) -> ir.Value:
        bits = b.bitcast(block, LANE_INTS)
        is_odd = b.and_(b.lshr(bits, half), one)
        return b.add(bits, b.add(most, is_odd))  # a carry into the upper half rounds it up

    for k in range(0, len(blocks), 2):
        words = b.lshr(rounded(blocks[k]), half)
        if k + 1 < len(blocks):
            words = b.or_(words, b.and_(rounded(blocks[k + 1]), upper))
        b.store(words, b.bitcast(b.gep(start, [constant(LANES * k // 2)]), LANE_INTS.as_pointer())).align = 4


@_intrinsic
def dot_row(_: Any, query: Any, at: Any, ids: Any, link: Any, source: Any, column: Any, width: Any,
            blocks: Any) -> Any:  # fmt: skip
    """The product of `query[at : at + width]` and `source[ids[link]]`, float32; columns as in `sum_row`."""
    signature = types.float32(query, types.int64, ids, types.int64, source, types.int64, types.int64, blocks)

    def emit(context: Any, b: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        query_, at, ids_, link, source_, column, width, _ = arguments
        chunk = _Chunk(column, _row_lanes(b, width, blocks.count))
        read = _reader(context, b, source, source_, chunk)
        row = _linked_rows(context, b, ids, ids_)
        read.ask(row(b.add(link, constant(read.ahead))))
        start, total = b.gep(_data(context, b, query, query_), [at]), ZEROS
        fma = function(b, "llvm.fma.v16f32", VECTOR, [VECTOR] * 3)
        for k, (block, lanes) in enumerate(zip(read.blocks(row(link)), chunk.lanes, strict=True)):
            total = b.call(fma, [block, load_block(b, b.gep(start, [constant(LANES * k)]), lanes), total])
        add_lanes = function(b, "llvm.vector.reduce.fadd.v16f32", F32, [F32, VECTOR])
        # in any order: as a tree, not one lane after the other
        return b.call(add_lanes, [ir.Constant(F32, 0.0), total], fastmath=("reassoc",))

    return signature, emit


@_intrinsic
def compress_block(_: Any, out: Any, slot: Any, values: Any, at: Any, lanes: Any, bits: Any) -> Any:
    """Writes those of `values[at : at + lanes]` whose bit is on side by side from `out[slot]` on; 16 numbers in all.

    They are compressed in a register, for Zen 4 takes more than a hundred cycles to do it into memory.
    """
    signature = types.void(out, types.int64, values, types.int64, types.int64, types.uint16)

    def emit(context: Any, b: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        out = _data(context, b, signature.args[0], arguments[0])
        values = _data(context, b, signature.args[2], arguments[2])
        slot, at, lanes, bits = arguments[1], arguments[3], arguments[4], arguments[5]
        block = load_block(b, b.gep(values, [at]), first_lanes(b, lanes))
        compress = function(b, "llvm.x86.avx512.mask.compress.v16f32", VECTOR, [VECTOR, VECTOR, LANE_MASK])
        packed = b.call(compress, [block, ZEROS, b.bitcast(bits, LANE_MASK)])
        b.store(packed, b.bitcast(b.gep(out, [slot]), VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, emit
