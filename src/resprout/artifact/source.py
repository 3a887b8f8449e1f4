"""Arrays of a file, each checked before it is used."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.artifact.files import read_tensors
from resprout.artifact.manifest import AGAIN
from resprout.errors import RunError


class Source:
    """The arrays of one file, each checked as it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrays, _ = read_tensors(path)

    def take(self, name: str, shape: tuple[int | None, ...], *dtypes: type[np.generic]) -> NDArray[Any]:
        """The array `name`; RunError unless it has one of `dtypes`, and `shape` wherever that is not None."""
        array = self.arrays.get(name)
        if array is None:
            raise self.damaged(f"it has no array {name!r}")
        fits = len(shape) == array.ndim and all(a in (b, None) for a, b in zip(shape, array.shape, strict=True))
        if not fits or array.dtype not in dtypes:
            expected = " or ".join(dtype.__name__ for dtype in dtypes)
            raise self.damaged(f"{name!r} is {array.dtype} {list(array.shape)}, expected {expected} {list(shape)}")
        return array

    def check_offsets(self, name: str, offsets: NDArray[Any], end: int) -> None:
        """RunError unless `offsets` ascend from at least 0 to `end`: kernels and Arrow trust them."""
        if not len(offsets) or offsets[0] < 0 or offsets[-1] != end or bool((offsets[1:] < offsets[:-1]).any()):
            raise self.damaged(f"{name!r} does not ascend to {end}")

    def damaged(self, reason: str) -> RunError:
        """The error for a file that does not hold what it should."""
        return RunError(f"{self.path} is damaged: {reason}; {AGAIN}")
