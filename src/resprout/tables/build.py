"""Tables from a plan: the one place that knows all kinds of storage."""

from collections.abc import Callable, Mapping, Sequence

from resprout.budget import Shape
from resprout.errors import SettingsError
from resprout.kernels.contract import F32, Backend, ScoreBlocks
from resprout.tables.dense import DenseTable
from resprout.tables.initial import Start
from resprout.tables.packed import PackedTable
from resprout.tables.quantised import Float16Table, Int8Table, QuantisedTable
from resprout.tables.table import Table, row_blocks
from resprout.tables.thresholded import ThresholdedTable

QUANTISED: Mapping[str, type[QuantisedTable]] = {kind.storage: kind for kind in (Int8Table, Float16Table)}


def build_tables(
    shapes: Sequence[Shape],
    storage: str,
    slots: Sequence[int],
    start: Start,
    scale_start: bool,
    backend: Backend,
    mask_from: Mapping[str, Table] | None = None,
    values_from: Mapping[str, Table] | None = None,
) -> dict[str, Table]:
    """A table with starting values for each shape, by name; a quantised one has zeros, unless it has `values_from`.

    slots: one number a table for packed storage; without meaning for dense. scale_start: starting values times
    1/sqrt(density), so that products of two packed rows begin about as large as those of dense rows.
    mask_from: tables whose most important weights get the slots, instead of random positions; where fewer weights than
    slots are not 0, fewer slots are made. values_from: tables whose weights stand in for starting values.
    """
    tables: dict[str, Table] = {}
    for k, shape in enumerate(shapes):
        if storage == "dense":
            tables[shape.name] = DenseTable.start(shape, start, backend)
        elif storage == "thresholded":
            tables[shape.name] = ThresholdedTable.start(shape, start, backend)
        elif storage in QUANTISED:
            tables[shape.name] = QUANTISED[storage].empty(shape, backend)
        elif storage == "packed":
            factor = (shape.weights / slots[k]) ** 0.5 if scale_start else 1.0
            larger = _blocks(shape, mask_from[shape.name].importance) if mask_from is not None else None
            tables[shape.name] = PackedTable.start(shape, slots[k], start.scaled(factor), backend, larger)
        else:
            valid = ", ".join(["dense", "packed", "thresholded", *QUANTISED])
            raise SettingsError(f"unknown table storage {storage!r}; valid are: {valid}")
        if values_from is not None:
            tables[shape.name].take_weights(_blocks(shape, values_from[shape.name].read_range))
    return tables


def _blocks(shape: Shape, read: Callable[[int, int], F32]) -> ScoreBlocks:
    """What `read(first row, last row)` gives, from a table's first row to its last."""
    return lambda: ((first, read(first, last)) for first, last in row_blocks(shape))
