"""Read-only arrays, given to compiled functions that do not write to them as if they could be written to.

Numba takes a read-only array, such as one of a mapped file, for a type of its own and compiles a function once more for
it, about a second each time: a model that is served would wait for what its training has compiled already.
"""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import Rows

R = TypeVar("R", bound=Rows)
A = TypeVar("A", bound=NDArray[Any])


def lent(array: A) -> A:
    """The array itself, or the same memory under the type of an array that can be written to; nobody may."""
    return array if array.flags.writeable else cast(A, np.asarray(_Lent(array)))


def lent_rows(rows: R) -> R:
    """Rows whose arrays are `lent`."""
    fields: Any = rows
    if all(field is None or field.flags.writeable for field in fields):
        return rows
    return cast(R, fields._make(map(lent, fields)))


class _Lent:
    """Describes an array's memory to NumPy, and keeps it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
