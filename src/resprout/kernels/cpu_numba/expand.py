"""Packed rows made whole in registers, in the way that suits the CPU that Numba compiles for.

- `_expanded`: LLVM's `expandload`, one instruction with AVX-512. Anywhere else it becomes a branch a bit.
- `_looked_up`, for AVX2: eight slots are loaded as they lie, and a permutation from a table by mask byte puts them in
  their places. One hop on Gowalla at density 0.5 takes 15 ms with it and 250 ms with `expandload`.

Slots of 8 or 16 bits are served, not trained: they are always read by `expandload`, one instruction with AVX-512 VBMI2.
"""

from llvmlite import ir

from resprout.kernels.contract import LANES
from resprout.kernels.cpu_numba.lanes import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANE_INTS,
    LANE_MASK,
    VECTOR,
    ZEROS,
    constant,
    constants,
    count_ones,
    function,
    load_at,
    target_has,
)

_HALF = 8
_HALF_FLOATS, _HALF_INTS = ir.VectorType(F32, _HALF), ir.VectorType(I32, _HALF)


def packed_blocks(b: ir.IRBuilder, mask: ir.Value, slots: ir.Value, blocks: int) -> list[ir.Value]:
    """`blocks` vectors with the row whose mask pieces lie at `mask` and whose values lie at `slots`; else zeros.

    No value past the row's last slot is read.
    """
    way = _looked_up if target_has("avx2") and not target_has("avx512f") else _expanded
    return way(b, mask, slots, blocks)


def packed_integers(b: ir.IRBuilder, mask: ir.Value, slots: ir.Value, blocks: int) -> list[ir.Value]:
    """As `packed_blocks`, for slots that are integers; the vectors are of their kind."""
    vector = ir.VectorType(slots.type.pointee, LANES)
    name = f"llvm.masked.expandload.v{LANES}i{slots.type.pointee.width}"
    expand = function(b, name, vector, [slots.type, LANE_MASK, vector])
    zeros, vectors = ir.Constant(vector, [0] * LANES), []
    for block in range(blocks):
        bits = _bits(b, mask, block)
        vectors.append(b.call(expand, [slots, b.bitcast(bits, LANE_MASK), zeros]))
        slots = b.gep(slots, [b.zext(count_ones(b, bits), I64)])
    return vectors


def _expanded(b: ir.IRBuilder, mask: ir.Value, slots: ir.Value, blocks: int) -> list[ir.Value]:
    expand = function(b, "llvm.masked.expandload.v16f32", VECTOR, [F32.as_pointer(), LANE_MASK, VECTOR])
    vectors = []
    for block in range(blocks):
        bits = _bits(b, mask, block)
        vectors.append(b.call(expand, [slots, b.bitcast(bits, LANE_MASK), ZEROS]))
        slots = b.gep(slots, [b.zext(count_ones(b, bits), I64)])
    return vectors


def _looked_up(b: ir.IRBuilder, mask: ir.Value, slots: ir.Value, blocks: int) -> list[ir.Value]:
    load = function(b, "llvm.x86.avx.maskload.ps.256", _HALF_FLOATS, [I8.as_pointer(), _HALF_INTS])
    permute = function(b, "llvm.x86.avx2.permps", _HALF_FLOATS, [_HALF_FLOATS, _HALF_INTS])
    numbers = constants(b, "resprout_slot_numbers", I32, [n for byte in range(256) for n in _slot_numbers(byte)])
    # eight entries from 8 - n on are a mask of n lanes
    window = constants(b, "resprout_first_lanes", I32, [-1] * _HALF + [0] * _HALF)
    vectors = []
    for block in range(blocks):
        bits, halves = b.zext(_bits(b, mask, block), I64), []
        for shift in (0, _HALF):
            byte = b.and_(b.lshr(bits, constant(shift)), constant(0xFF))
            count = count_ones(b, byte)
            lanes = load_at(b, b.gep(window, [b.sub(constant(_HALF), count)]), _HALF_INTS, 4)
            loaded = b.call(load, [b.bitcast(slots, I8.as_pointer()), lanes])
            places = load_at(b, b.gep(numbers, [b.mul(byte, constant(_HALF))]), _HALF_INTS, 4 * _HALF)
            halves.append(b.call(permute, [loaded, places]))
            slots = b.gep(slots, [count])
        vectors.append(b.shuffle_vector(*halves, ir.Constant(LANE_INTS, list(range(LANES)))))
    return vectors


def _slot_numbers(byte: int) -> list[int]:
    """Which of the loaded slots each lane takes; one without a slot takes the last, zero because it was not loaded."""
    numbers = [(byte & ((1 << lane) - 1)).bit_count() for lane in range(_HALF)]
    return [n if byte >> lane & 1 else _HALF - 1 for lane, n in enumerate(numbers)]


def _bits(b: ir.IRBuilder, mask: ir.Value, block: int) -> ir.Value:
    bits = b.load(b.gep(mask, [constant(block)]))
    return bits if bits.type == I16 else b.zext(bits, I16)
