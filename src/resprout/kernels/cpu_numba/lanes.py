"""Vectors of 16 float32 lanes in LLVM's intermediate language: types, constants, loads and stores."""
# mypy: allow-untyped-calls

from typing import Any

from llvmlite import ir
from numba.core import config
from numba.core.codegen import get_host_cpu_features

from resprout.kernels.contract import LANES

I1, I8, I16, I32, I64, F32 = (*(ir.IntType(n) for n in (1, 8, 16, 32, 64)), ir.FloatType())
VECTOR, LANE_MASK, LANE_INTS = (ir.VectorType(kind, LANES) for kind in (F32, I1, I32))
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)
_FLOAT_BYTES = 4


def target_has(feature: str) -> bool:
    """Whether Numba compiles for a CPU with this feature: this machine, or the one of NUMBA_CPU_FEATURES."""
    asked: str | None = vars(config)["CPU_FEATURES"]
    flags = get_host_cpu_features() if asked is None else asked
    return f"+{feature}" in flags.split(",")


def constant(value: int) -> ir.Constant:
    """An i64."""
    return ir.Constant(I64, value)


def constants(b: ir.IRBuilder, name: str, kind: ir.Type, entries: list[Any]) -> ir.Value:
    """Where the entries lie, once in the compiled module."""
    array = ir.ArrayType(kind, len(entries))
    table = b.module.globals.get(name)
    if table is None:
        table = ir.GlobalVariable(b.module, array, name)
        table.linkage, table.global_constant, table.align = "internal", True, 64
        table.initializer = ir.Constant(array, entries)
    return b.bitcast(table, kind.as_pointer())


def function(b: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    """LLVM's intrinsic called `name`."""
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def splat(b: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    """The scalar in all lanes."""
    kind = ir.VectorType(scalar.type, LANES)
    undefined = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(LANE_INTS, [0] * LANES))


def as_i64(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A signed integer of any size as i64."""
    return value if value.type == I64 else b.sext(value, I64)


def count_ones(b: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """How many bits of an integer, or of each lane, are on."""
    name = f"i{bits.type.width}" if isinstance(bits.type, ir.IntType) else f"v{LANES}i{bits.type.element.width}"
    return b.call(function(b, f"llvm.ctpop.{name}", bits.type, [bits.type]), [bits])


def load_at(b: ir.IRBuilder, pointer: ir.Value, kind: ir.Type, align: int) -> ir.Value:
    """What lies at `pointer`, read as `kind`; `align` is in bytes."""
    loaded = b.load(b.bitcast(pointer, kind.as_pointer()))
    loaded.align = align
    return loaded


def load_integers(b: ir.IRBuilder, pointer: ir.Value, lanes: ir.Value | None, bits: int) -> ir.Value:
    """16 integers of as many bits at `pointer`; only those in `lanes` are touched, the others read as zero."""
    kind = ir.VectorType(ir.IntType(bits), LANES)
    align = bits // 8
    if lanes is None:
        return load_at(b, pointer, kind, align)
    arguments = [kind.as_pointer(), I32, LANE_MASK, kind]
    load = function(b, f"llvm.masked.load.v16i{bits}.p0", kind, arguments)
    zeros = ir.Constant(kind, [0] * LANES)
    return b.call(load, [b.bitcast(pointer, kind.as_pointer()), ir.Constant(I32, align), lanes, zeros])


def load_block(b: ir.IRBuilder, pointer: ir.Value, lanes: ir.Value | None) -> ir.Value:
    """16 floats at `pointer`; only those in `lanes` are touched, the others read as zero."""
    if lanes is None:
        return load_at(b, pointer, VECTOR, _FLOAT_BYTES)
    load = function(b, "llvm.masked.load.v16f32.p0", VECTOR, [VECTOR.as_pointer(), I32, LANE_MASK, VECTOR])
    return b.call(load, [b.bitcast(pointer, VECTOR.as_pointer()), ir.Constant(I32, _FLOAT_BYTES), lanes, ZEROS])


def store_block(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value, lanes: ir.Value | None) -> None:
    """Writes 16 floats at `pointer`; only those in `lanes` are touched."""
    vector = b.bitcast(pointer, VECTOR.as_pointer())
    if lanes is None:
        b.store(value, vector).align = _FLOAT_BYTES
        return
    arguments = [VECTOR, VECTOR.as_pointer(), I32, LANE_MASK]
    store = function(b, "llvm.masked.store.v16f32.p0", ir.VoidType(), arguments)
    b.call(store, [value, vector, ir.Constant(I32, _FLOAT_BYTES), lanes])


def first_lanes(b: ir.IRBuilder, count: ir.Value) -> ir.Value:
    """A lane mask whose first `count` (0 to 16) lanes are on."""
    bits = b.lshr(ir.Constant(I32, 0xFFFF), b.sub(ir.Constant(I32, LANES), b.trunc(count, I32)))
    return b.bitcast(b.trunc(bits, I16), LANE_MASK)


def prefetch(b: ir.IRBuilder, pointer: ir.Value) -> None:
    """Asks for the cache line at `pointer`, which need not be valid."""
    byte = I8.as_pointer()
    call = function(b, "llvm.prefetch.p0", ir.VoidType(), [byte, I32, I32, I32])
    read, keep, data = (ir.Constant(I32, n) for n in (0, 3, 1))
    b.call(call, [b.bitcast(pointer, byte), read, keep, data])


def join(phi: ir.PhiInstr, *incoming: tuple[ir.Value, Any]) -> None:
    """Completes a phi with its (value, block) pairs."""
    for value, block in incoming:
        phi.add_incoming(value, block)
