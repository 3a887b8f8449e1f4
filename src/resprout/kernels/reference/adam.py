"""Adam, in the order of its paper."""

import numpy as np

from resprout.kernels.contract import F32, AdamStep, PackedRows, slots_before
from resprout.kernels.reference.rows import positions


def adam_dense(values: F32, moment_1: F32, moment_2: F32, gradients: F32, step: AdamStep) -> None:
    """See `contract.Backend.adam_dense`."""
    moment_1[:] = step.beta_1 * moment_1 + (1 - step.beta_1) * gradients
    moment_2[:] = step.beta_2 * moment_2 + (1 - step.beta_2) * gradients**2
    values -= step.size * moment_1 / (np.sqrt(moment_2) * step.root + step.epsilon)


def adam_packed(rows: PackedRows, moment_1: F32, moment_2: F32, first: int, gradients: F32, step: AdamStep) -> None:
    """See `contract.Backend.adam_packed`."""
    last = first + len(gradients)
    slots = slice(*(slots_before(rows, row) for row in (first, last)))
    packed = gradients[positions(rows.mask[first:last], gradients.shape[1])]
    adam_dense(rows.values[slots], moment_1[slots], moment_2[slots], packed, step)
