"""What a reader hands over: the columns of one file or frame, before ids become row numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# Says where a row comes from: "ratings.csv, line 7". Called for the first offending row only, so it may be slow.
Place = Callable[[int], str]

IdType = Literal["auto", "int", "text"]


@dataclass(frozen=True)
class Columns:
    """The column names that the caller gives; None means: found by its usual names."""

    user: str | None = None
    item: str | None = None
    weight: str | None = None
    time: str | None = None


@dataclass(frozen=True, eq=False)
class Raw:
    """The columns of one file. Ids are int64[n], not negative, or a `pyarrow.ChunkedArray` still to be looked at.

    `all_users` and `all_items`, int64, name ids that exist even if no interaction has them.
    """

    users: Any
    items: Any
    place: Place
    weights: NDArray[np.float32] | None = None
    timestamps: NDArray[np.int64] | None = None
    all_users: NDArray[np.int64] | None = None
    all_items: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.users)
