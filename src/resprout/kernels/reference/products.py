"""The products of the reference kernels, all made here, and counted as they are made.

What the figures of a run (`kernels.counting`, `training.cost`) are checked against.
"""

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import F32


class Executed:
    """What has been executed since the process began; who wants that of a piece of work takes the difference."""

    multiply_adds = 0


def add_products(total: NDArray[np.float64], places: NDArray[np.intp], values: F32, weight: np.float32) -> None:
    """Adds each of the values times `weight` to `total` at its place; no place comes twice."""
    total[places] += values * np.float64(weight)
    Executed.multiply_adds += len(values)


def dot(one: F32, other: F32) -> float:
    """The sum of the products of two vectors, entry by entry."""
    Executed.multiply_adds += len(one)
    return float(np.sum(one * other.astype(np.float64)))
