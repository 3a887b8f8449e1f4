"""Tables from a plan: the one place that knows all kinds of storage."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape
from resprout.errors import SettingsError
from resprout.kernels.contract import F32, Backend, ScoreBlocks
from resprout.tables import bits, planes
from resprout.tables.dense import DenseTable
from resprout.tables.initial import Start
from resprout.tables.mixed import MixedTable
from resprout.tables.packed import PackedTable
from resprout.tables.places import column_scores, mostly_column_scores, popular_scores, uneven_scores
from resprout.tables.prefix import PrefixTable
from resprout.tables.quantised import (
    Float16Table,
    Int8Table,
    PackedFloat16Table,
    PackedInt8Table,
    QuantisedTable,
    WholeTable,
)
from resprout.tables.table import Table, row_blocks
from resprout.tables.thresholded import ThresholdedTable

SLOTTED: Mapping[str, type[PackedTable | PrefixTable]] = {"packed": PackedTable, "prefix": PrefixTable}
SEARCHED: Mapping[str, type[ThresholdedTable | MixedTable]] = {"thresholded": ThresholdedTable, "mixed": MixedTable}
WHOLE: Mapping[str, Callable[[Shape, Start, Backend], WholeTable]] = {
    **{kind.storage: kind.start for kind in (Int8Table, Float16Table)},
    **bits.START,
    **planes.START,
}
QUANTISED: Mapping[str, Callable[[Shape, Backend, Table | None], QuantisedTable]] = {
    **{kind.storage: kind.empty for kind in (Int8Table, Float16Table, PackedInt8Table, PackedFloat16Table)},
    **bits.EMPTY,
    **planes.EMPTY,
}


def build_tables(
    shapes: Sequence[Shape],
    storage: str,
    slots: Sequence[int],
    start: Start,
    scale_start: bool,
    backend: Backend,
    mask_from: Mapping[str, Table] | None = None,
    values_from: Mapping[str, Table] | None = None,
    mask: str = "random",
    interactions: Callable[[str], NDArray[np.int64]] | None = None,
) -> dict[str, Table]:
    """A table with starting values for each shape, by name; a packed quantised one has zeros or `values_from`.

    slots: one number a table for packed and prefix storage; without meaning for others. scale_start: starting values
    times 1/sqrt(density), so that products of two packed rows begin about as large as those of dense rows.
    mask: "random", "columns" for slots in the first columns of all rows, or "mostly_columns" for 9 of 10 there,
    or "uneven" for first columns, many of a few rows and few of most, or "popular" for random positions, more in rows
    that have more `interactions`, which are told by a table's name.
    mask_from: tables whose most important weights get the slots, instead of random positions; where fewer weights than
    slots are not 0, fewer slots are made. A packed quantised table has the very slots of that table.
    values_from: tables whose weights stand in for starting values; planes turn them.
    """
    tables: dict[str, Table] = {}
    for k, shape in enumerate(shapes):
        if storage == "dense":
            tables[shape.name] = DenseTable.start(shape, start, backend)
        elif storage in SEARCHED:
            tables[shape.name] = SEARCHED[storage].start(shape, start, backend)
        elif storage in WHOLE and values_from is None:
            tables[shape.name] = WHOLE[storage](shape, start, backend)
        elif storage in QUANTISED:
            slots_from = None if mask_from is None else mask_from[shape.name]
            tables[shape.name] = QUANTISED[storage](shape, backend, slots_from)
        elif storage in SLOTTED:
            factor = (shape.weights / slots[k]) ** 0.5 if scale_start else 1.0
            larger = None
            if mask_from is not None:
                larger = _blocks(shape, mask_from[shape.name].importance)
            elif mask == "columns":
                larger = column_scores(shape)
            elif mask == "mostly_columns":
                larger = mostly_column_scores(shape, slots[k], start.mask_key(shape.name), backend)
            elif mask == "popular":
                if interactions is None:
                    raise ValueError("a mask of more positions in popular rows needs the interactions of rows")
                key = start.mask_key(shape.name)
                larger = popular_scores(shape, interactions(shape.name), key, backend)
            elif mask == "uneven":
                larger = uneven_scores(shape, start.mask_key(shape.name), backend)
            tables[shape.name] = SLOTTED[storage].start(shape, slots[k], start.scaled(factor), backend, larger)
        else:
            valid = ", ".join(["dense", *SLOTTED, *SEARCHED, *(name for name in QUANTISED if name not in planes.EMPTY)])
            raise SettingsError(f"unknown table storage {storage!r}; valid are: {valid}, planesN")
    if values_from is not None:
        if storage in planes.EMPTY:
            planes.turn(tables, values_from)
        else:
            for name, table in tables.items():
                table.take_weights(_blocks(table.shape, values_from[name].read_range))
    return tables


def _blocks(shape: Shape, read: Callable[[int, int], F32]) -> ScoreBlocks:
    """What `read(first row, last row)` gives, from a table's first row to its last."""
    return lambda: ((first, read(first, last)) for first, last in row_blocks(shape))
