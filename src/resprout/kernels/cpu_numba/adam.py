"""Adam (Kingma & Ba 2015) on the rows or slots of a table, fed with gradients one block of rows at a time."""

import numpy as np
from numba import njit, prange

from resprout.kernels.contract import F32, I32, I64, LANES, AdamStep, Mask, PackedRows
from resprout.kernels.cpu_numba.lanes import target_has
from resprout.kernels.cpu_numba.starts import bit_count, slot_before
from resprout.kernels.cpu_numba.vectors import compress_block

_ROWS_PER_TASK = 64
_COMPRESS_IS_ONE_INSTRUCTION = target_has("avx512f")


def adam_dense(values: F32, moment_1: F32, moment_2: F32, gradients: F32, step: AdamStep) -> None:
    """See `contract.Backend.adam_dense`."""
    flat = (values.reshape(-1), moment_1.reshape(-1), moment_2.reshape(-1), gradients.reshape(-1))
    _adam_dense(*flat, _ROWS_PER_TASK * values.shape[1], *map(np.float32, step))


def adam_packed(rows: PackedRows, moment_1: F32, moment_2: F32, first: int, gradients: F32, step: AdamStep) -> None:
    """See `contract.Backend.adam_packed`."""
    _adam_packed(rows.mask, rows.starts, rows.values, moment_1, moment_2, first, gradients, *map(np.float32, step))


@njit(inline="always")
def _adam(
    values: F32, moment_1: F32, moment_2: F32, gradients: F32, size: np.float32, root: np.float32, beta_1: np.float32,
    beta_2: np.float32, epsilon: np.float32,
) -> None:  # fmt: skip
    # slices that start at 0, no index arithmetic: anything else keeps LLVM from using vectors here
    one = np.float32(1)
    for k in range(values.size):
        gradient = gradients[k]
        m = beta_1 * moment_1[k] + (one - beta_1) * gradient
        v = beta_2 * moment_2[k] + (one - beta_2) * gradient * gradient
        moment_1[k] = m
        moment_2[k] = v
        values[k] -= size * m / (np.sqrt(v) * root + epsilon)


@njit(parallel=True, cache=True, error_model="numpy")
def _adam_dense(
    values: F32, moment_1: F32, moment_2: F32, gradients: F32, task: int, size: np.float32, root: np.float32,
    beta_1: np.float32, beta_2: np.float32, epsilon: np.float32,
) -> None:  # fmt: skip
    for part in prange(-(-values.size // task)):
        begin, end = part * task, min(values.size, (part + 1) * task)
        _adam(
            values[begin:end], moment_1[begin:end], moment_2[begin:end], gradients[begin:end], size, root, beta_1,
            beta_2, epsilon,
        )  # fmt: skip


@njit(parallel=True, cache=True, error_model="numpy")
def _adam_packed(
    mask: Mask, starts: I32 | I64, values: F32, moment_1: F32, moment_2: F32, first: int, gradients: F32,
    size: np.float32, root: np.float32, beta_1: np.float32, beta_2: np.float32, epsilon: np.float32,
) -> None:  # fmt: skip
    rows, width = gradients.shape
    flat = gradients.reshape(-1)
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        begin, end = part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)
        first_slot, last_slot = slot_before(mask, starts, first + begin), slot_before(mask, starts, first + end)
        packed = np.empty(last_slot - first_slot + LANES, np.float32)  # `_pack` writes as many too many
        slot = 0
        for row in range(begin, end):
            for piece in range(mask.shape[1]):
                lanes = min(LANES, width - piece * LANES)
                slot = _pack(packed, slot, flat, row * width + piece * LANES, lanes, mask[first + row, piece])
        _adam(
            values[first_slot:last_slot], moment_1[first_slot:last_slot], moment_2[first_slot:last_slot], packed, size,
            root, beta_1, beta_2, epsilon,
        )  # fmt: skip


@njit(inline="always")
def _pack(packed: F32, slot: int, values: F32, at: int, lanes: int, bits: np.uint8 | np.uint16) -> int:
    """Number of filled slots, once those of `values[at : at + lanes]` whose bit is on are put in from `slot` on."""
    if _COMPRESS_IS_ONE_INSTRUCTION:
        compress_block(packed, slot, values, at, lanes, np.uint16(bits))
        filled: int = slot + bit_count(bits)
        return filled
    for lane in range(lanes):
        # written always, kept only if there is a slot: no branch to mispredict
        packed[slot] = values[at + lane]
        slot += int(bits) >> lane & 1
    return slot
