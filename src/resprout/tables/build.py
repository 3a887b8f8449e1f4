"""Tables from a plan: the one place that knows all kinds of storage."""

from collections.abc import Sequence

from resprout.budget import Shape
from resprout.errors import SettingsError
from resprout.kernels.contract import Backend
from resprout.tables.dense import DenseTable
from resprout.tables.initial import Start
from resprout.tables.packed import PackedTable
from resprout.tables.table import Table


def build_tables(
    shapes: Sequence[Shape], storage: str, slots: Sequence[int], start: Start, scale_start: bool, backend: Backend
) -> dict[str, Table]:
    """A table with starting values for each shape, by name.

    slots: one number a table for packed storage; without meaning for dense. scale_start: starting values times
    1/sqrt(density), so that products of two packed rows begin about as large as those of dense rows.
    """
    if storage == "dense":
        return {shape.name: DenseTable.start(shape, start, backend) for shape in shapes}
    if storage != "packed":
        raise SettingsError(f"unknown table storage {storage!r}; valid are: dense, packed")
    tables: dict[str, Table] = {}
    for shape, count in zip(shapes, slots, strict=True):
        factor = (shape.weights / count) ** 0.5 if scale_start else 1.0
        tables[shape.name] = PackedTable.start(shape, count, start.scaled(factor), backend)
    return tables
