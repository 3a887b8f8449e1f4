"""Adam (Kingma & Ba 2015) on the rows or slots of a table, fed with gradients one block of rows at a time."""

import numpy as np
from numba import njit, prange

from resprout.kernels.contract import F32, LANES, AdamStep, PackedRows
from resprout.kernels.cpu_numba.vectors import bit_count, compress_block

_ROWS_PER_TASK = 64


def adam_dense(values: F32, moment_1: F32, moment_2: F32, gradients: F32, step: AdamStep) -> None:
    """See `contract.Backend.adam_dense`."""
    flat = (values.reshape(-1), moment_1.reshape(-1), moment_2.reshape(-1), gradients.reshape(-1))
    _adam_dense(*flat, _ROWS_PER_TASK * values.shape[1], *map(np.float32, step))


def adam_packed(
    rows: PackedRows, moment_1: F32, moment_2: F32, first: int, gradients: F32, step: AdamStep
) -> None:
    """See `contract.Backend.adam_packed`."""
    _adam_packed(
        rows.mask, rows.starts, rows.values, moment_1, moment_2, first, gradients, *map(np.float32, step)
    )


@njit(inline="always")
def _adam(values, moment_1, moment_2, gradients, size, root, beta_1, beta_2, epsilon):
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
def _adam_dense(values, moment_1, moment_2, gradients, task, size, root, beta_1, beta_2, epsilon):
    for part in prange(-(-values.size // task)):
        begin, end = part * task, min(values.size, (part + 1) * task)
        _adam(
            values[begin:end], moment_1[begin:end], moment_2[begin:end], gradients[begin:end], size, root, beta_1,
            beta_2, epsilon,
        )  # fmt: skip


@njit(parallel=True, cache=True, error_model="numpy")
def _adam_packed(
    mask, starts, values, moment_1, moment_2, first, gradients, size, root, beta_1, beta_2, epsilon
):  # fmt: skip
    rows, width = gradients.shape
    flat = gradients.reshape(-1)
    for part in prange(-(-rows // _ROWS_PER_TASK)):
        begin, end = part * _ROWS_PER_TASK, min(rows, (part + 1) * _ROWS_PER_TASK)
        first_slot, last_slot = np.int64(starts[first + begin]), np.int64(starts[first + end])
        packed = np.empty(last_slot - first_slot, np.float32)
        slot = 0
        for row in range(begin, end):
            for piece in range(mask.shape[1]):
                bits = mask[first + row, piece]
                lanes = min(LANES, width - piece * LANES)
                compress_block(packed, slot, flat, row * width + piece * LANES, lanes, np.uint16(bits))
                slot += bit_count(bits)
        _adam(
            values[first_slot:last_slot], moment_1[first_slot:last_slot], moment_2[first_slot:last_slot], packed, size,
            root, beta_1, beta_2, epsilon,
        )  # fmt: skip
