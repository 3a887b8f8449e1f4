"""What tables of slots share: row starts and values, and where they are trained two moments a slot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.kernels.contract import F32, Backend, PackedRows, PrefixRows
from resprout.tables.table import Table


class RowsTable(Table):
    """A table that is its rows as kernels take them: arrays, `starts` among them."""

    _rows: Any

    @property
    def slots(self) -> int:
        """See `Table.slots`."""
        return int(self._rows.starts[-1])

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        arrays: dict[str, NDArray[Any]] = self._rows._asdict()
        return arrays

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        self._rows = self._rows._replace(**{k: v.copy() for k, v in arrays.items() if k in self._rows._fields})


class SlotTable(RowsTable):
    """A table with a fixed number of slots, which are records of a value and two moments."""

    _moments: tuple[F32, F32] | None

    def _begin_slots(self, shape: Shape, rows: PackedRows | PrefixRows, backend: Backend) -> None:
        self._begin(shape, backend)
        self._rows, self._moments = rows, None

    @property
    def moments(self) -> tuple[F32, F32]:
        """Adam's two moments, `[slots]` each; zero before the first step and for a new slot."""
        if self._moments is None:
            self._moments = np.zeros(self.slots, np.float32), np.zeros(self.slots, np.float32)
        return self._moments

    def arrays(self, training: bool) -> dict[str, NDArray[Any]]:
        """See `Table.arrays`."""
        moments = dict(zip(("moment_1", "moment_2"), self.moments, strict=True)) if training else {}
        return super().arrays(training) | moments

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """See `Table.load_arrays`."""
        super().load_arrays(arrays)
        if "moment_1" in arrays:
            self._moments = arrays["moment_1"].copy(), arrays["moment_2"].copy()


def row_starts(lengths: NDArray[Any], wide: bool) -> NDArray[Any]:
    """First slot of each row of these lengths, and the end; 64-bit numbers if they must be `wide`."""
    starts: NDArray[Any] = np.zeros(len(lengths) + 1, np.int64 if wide else np.int32)
    np.cumsum(lengths, out=starts[1:])
    return starts
