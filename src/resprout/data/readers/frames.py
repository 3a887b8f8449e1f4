"""Frames of pandas, polars, pyarrow and anything else with an Arrow stream, and lists of tuples."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from resprout.data.readers.columns import find_columns, raw_of_table
from resprout.data.readers.raw import Columns, Raw
from resprout.errors import DataError

_TUPLE_NAMES = ("user", "item", "weight", "timestamp")


def read(frame: Any, wanted: Columns) -> Raw:
    """The interactions of a frame with named columns, or of tuples (user, item[, weight[, timestamp]]).

    Raises DataError for a frame without rows or without the columns, and for tuples of different lengths.
    """
    table = pa.table(frame) if hasattr(frame, "__arrow_c_stream__") else _table_of_tuples(frame)
    if not len(table):
        raise DataError("the data frame is empty; expected one row per interaction")
    columns = find_columns(table.column_names, wanted, "the data frame")
    return raw_of_table(table, columns, lambda row: f"row {row} of the data frame")


def _table_of_tuples(frame: Any) -> pa.Table:
    if not isinstance(frame, Iterable) or isinstance(frame, str | bytes):
        raise DataError(
            f"cannot read interactions from {type(frame).__name__}; expected a path, a data frame (pandas, polars, "
            f"pyarrow) or a list of (user, item) tuples"
        )
    rows = list(frame)
    width = len(rows[0]) if rows and isinstance(rows[0], tuple | list) else 2
    for number, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != width or not 2 <= width <= len(_TUPLE_NAMES):
            raise DataError(
                f"row {number} of the list is {row!r}; "
                f"expected tuples (user, item[, weight[, timestamp]]) of one length"
            )
    columns = list(zip(*rows, strict=True)) or [(), ()]
    names = _TUPLE_NAMES[:width]
    return pa.table({name: _array(column, name) for name, column in zip(names, columns, strict=True)})


def _array(column: tuple[Any, ...], name: str) -> pa.Array:
    try:
        return pa.array(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        # Integers and text in one column: text, and the id check says whether that makes sense.
        if name in ("user", "item") and all(isinstance(one, int | str) for one in column):
            return pa.array([str(one) for one in column])
        raise DataError(f"column {name} of the list has values of different types: {error}") from None
