"""Dot products of every query with every item: Numba, parallel over items.

Why not the product of numpy or torch: each keeps threads of its own, which go on spinning for a while after a product
and take the cores from the Numba kernel that scans the scores. Every score is one chain of fused multiply-adds in the
order of the width, so it is the same to the last bit in whatever block it is computed.
"""

from itertools import chain
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from resprout.kernels.cpu_numba.lent import lent

F32Array = NDArray[np.float32]

# A tile of scores whose 8 vectors stay in registers: two multiply-adds a cycle, each 4 cycles long, are kept busy.
LANES = 16
TILE_USERS = 4
TILE_VECTORS = 2
TILE_ITEMS = TILE_VECTORS * LANES

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(F32, LANES)


def dot_scores(queries: F32Array, item_vectors: F32Array, out: F32Array) -> None:
    """Nothing; `out` `[users, items]` comes to hold `queries` `[users, width]` times `item_vectors` `[items, width]`.

    All are C-contiguous, with a width of at least 1, and `out` overlaps neither of the others.
    """
    _multiply(lent(queries), lent(item_vectors), out)


@njit(cache=True, nogil=True, parallel=True)
def _multiply(queries: F32Array, item_vectors: F32Array, out: F32Array) -> None:
    users, width = queries.shape
    items = item_vectors.shape[0]
    for tile in prange((items + TILE_ITEMS - 1) // TILE_ITEMS):
        begin = tile * TILE_ITEMS
        count = min(TILE_ITEMS, items - begin)
        columns = np.zeros((width, TILE_ITEMS), np.float32)
        for item in range(count):
            for position in range(width):
                columns[position, item] = item_vectors[begin + item, position]
        whole_tile = np.empty((TILE_USERS, TILE_ITEMS), np.float32)
        for user in range(0, users, TILE_USERS):
            rows = min(TILE_USERS, users - user)
            query = queries.ctypes.data + 4 * user * width
            if count == TILE_ITEMS:
                target = out.ctypes.data + 4 * (user * items + begin)
                _multiply_tile(query, rows, width, columns.ctypes.data, target, items)
            else:
                _multiply_tile(query, rows, width, columns.ctypes.data, whole_tile.ctypes.data, TILE_ITEMS)
                out[user : user + rows, begin:] = whole_tile[:rows, :count]


def _tile_code(_: Any, query: Any, rows: Any, width: Any, columns: Any, out: Any, out_stride: Any) -> Any:  # noqa: ARG001
    """Writes TILE_USERS x TILE_ITEMS scores at address `out`; rows beyond `rows` do the last one's work again."""
    signature = types.void(types.uintp, types.int64, types.int64, types.uintp, types.uintp, types.int64)

    def emit(context: Any, builder: ir.IRBuilder, _: Any, arguments: Any) -> Any:
        query, rows, width, columns, out, out_stride = arguments
        query, columns, out = (builder.inttoptr(address, F32.as_pointer()) for address in (query, columns, out))
        row_numbers = [_at_most(builder, I64(row), builder.sub(rows, I64(1))) for row in range(TILE_USERS)]
        query_rows = [builder.gep(query, [builder.mul(row, width)]) for row in row_numbers]
        out_rows = [builder.gep(out, [builder.mul(row, out_stride)]) for row in row_numbers]

        before, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        position = builder.phi(I64)
        position.add_incoming(I64(0), before)
        sums = [[builder.phi(VECTOR) for _ in range(TILE_VECTORS)] for _ in range(TILE_USERS)]
        line = builder.gep(columns, [builder.mul(position, I64(TILE_ITEMS))])
        weights = [_load(builder, line, vector) for vector in range(TILE_VECTORS)]
        next_sums = []
        for row, row_sums in zip(query_rows, sums, strict=True):
            factor = _splat(builder, builder.load(builder.gep(row, [position])))
            next_sums.append([_fma(builder, factor, w, total) for w, total in zip(weights, row_sums, strict=True)])
        next_position = builder.add(position, I64(1))
        position.add_incoming(next_position, loop)
        for old, new in zip(chain(*sums), chain(*next_sums), strict=True):
            old.add_incoming(VECTOR([0.0] * LANES), before)
            old.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", next_position, width), loop, after)

        builder.position_at_end(after)
        for target, row_sums in zip(out_rows, next_sums, strict=True):
            for vector, total in enumerate(row_sums):
                builder.store(total, _vector_pointer(builder, target, vector), align=4)
        return context.get_dummy_value()

    return signature, emit


# Typed as Any: the typing context, the first argument, is numba's to give.
_multiply_tile: Any = intrinsic(_tile_code)


def _at_most(builder: ir.IRBuilder, value: Any, limit: Any) -> Any:
    return builder.select(builder.icmp_signed("<", value, limit), value, limit)


def _vector_pointer(builder: ir.IRBuilder, row: Any, vector: int) -> Any:
    return builder.bitcast(builder.gep(row, [I64(vector * LANES)]), VECTOR.as_pointer())


def _load(builder: ir.IRBuilder, row: Any, vector: int) -> Any:
    return builder.load(_vector_pointer(builder, row, vector), align=4)


def _splat(builder: ir.IRBuilder, scalar: Any) -> Any:
    nothing = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, scalar, I32(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def _fma(builder: ir.IRBuilder, factor: Any, weights: Any, total: Any) -> Any:
    name = f"llvm.fma.v{LANES}f32"
    known = builder.module.globals.get(name)
    function = known or ir.Function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(function, [factor, weights, total])
