"""Which column of a table is what, and its values as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from resprout.data.readers.raw import Columns, Place, Raw
from resprout.errors import DataError

# Compared without case, blanks, "_" and "-", so that user_id, userId and User-ID are one. Earlier names win.
ALIASES: dict[str, tuple[str, ...]] = {
    "user": (
        "user_id",
        "user",
        "uid",
        "customer_id",
        "customer",
        "visitor_id",
        "reviewer_id",
        "member_id",
        "account_id",
    ),
    "item": (
        *(
            "item_id",
            "item",
            "iid",
            "movie_id",
            "product_id",
            "sku",
            "article_id",
            "business_id",
            "asin",
            "parent_asin",
        ),
        *(
            "book_id",
            "song_id",
            "track_id",
            "artist_id",
            "poi_id",
            "venue_id",
            "place_id",
            "location_id",
            "isbn",
            "movie",
        ),
        *("product", "article", "book"),
    ),
    "weight": ("rating", "weight", "count", "stars", "score", "plays", "play_count", "quantity"),
    "time": ("timestamp", "time", "date", "datetime", "unix_time", "event_time", "created_at"),
}
_EARLY_SHOWN = 12


def plain(name: str) -> str:
    """A column name as it is compared with the aliases."""
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")


def find_columns(names: Sequence[str], wanted: Columns, where: str) -> Columns:
    """The names of the columns to read: those the caller gave, else the first alias that is there.

    Raises DataError if a user or item column is not found, or a column that the caller named is not there.
    """
    found = {role: _find(names, role, getattr(wanted, role), where) for role in ALIASES}
    chosen = [name for name in found.values() if name is not None]
    for name in chosen:
        if list(names).count(name) > 1 or chosen.count(name) > 1:
            raise DataError(
                f"{where}: column {name!r} stands there twice or is asked for twice; each needs its own column"
            )
    return Columns(**found)


def _find(names: Sequence[str], role: str, given: str | None, where: str) -> str | None:
    shown = ", ".join(names[:_EARLY_SHOWN]) + (", ..." if len(names) > _EARLY_SHOWN else "")
    if given is not None:
        if given in names:
            return given
        raise DataError(f"{where}: no column {given!r} for the {role}; the columns are: {shown}")
    by_plain_name = {plain(name): name for name in reversed(names)}
    for alias in ALIASES[role]:
        if plain(alias) in by_plain_name:
            return by_plain_name[plain(alias)]
    if role in ("weight", "time"):
        return None
    raise DataError(
        f"{where}: no {role} column; the columns are: {shown}; accepted names: {', '.join(ALIASES[role])}; "
        f"or name it (--set data.{role}_column=...)"
    )


def raw_of_table(table: Any, columns: Columns, place: Place) -> Raw:
    """The columns of a `pyarrow.Table` that `columns` names."""
    return Raw(
        users=table[columns.user],
        items=table[columns.item],
        weights=None if columns.weight is None else weights_of(table[columns.weight], columns.weight, place),
        timestamps=None if columns.time is None else seconds_of(table[columns.time], columns.time, place),
        place=place,
    )


def weights_of(column: pa.ChunkedArray, name: str, place: Place) -> NDArray[np.float32]:
    """float32[n]; raises DataError with the place of the first empty, non-numeric or infinite weight."""
    values = _numbers(column, name, place, "a number")
    with np.errstate(over="ignore"):
        weights = values.astype(np.float32)
    broken = ~np.isfinite(weights)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(f"{place(row)}: {name} is {values[row]}; expected a finite number")
    return weights


def seconds_of(column: pa.ChunkedArray, name: str, place: Place) -> NDArray[np.int64]:
    """int64[n] Unix seconds: integers as they are, fractions cut off, dates and date-times (ISO 8601) in UTC.

    Raises DataError with the place of the first entry that is none of these.
    """
    _refuse_nulls(column, name, place)
    kind = column.type
    if pa.types.is_integer(kind):
        return np.asarray(column.cast(pa.int64()).to_numpy())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _seconds_of_dates(column)
    if _textual(kind):
        column = _trimmed(column)
        for target in (pa.int64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
                read = column.cast(target)
            except pa.ArrowInvalid:
                continue
            return np.asarray(read.to_numpy()) if target == pa.int64() else _seconds_of_dates(read)
    values = _numbers(column, name, place, "Unix seconds or a date like 2024-05-31 or 2024-05-31T12:00:00")
    broken = ~(np.abs(values) < 2**62)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(f"{place(row)}: {name} is {values[row]}; expected Unix seconds")
    return np.floor(values).astype(np.int64)


def _seconds_of_dates(column: pa.ChunkedArray) -> NDArray[np.int64]:
    ticks = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).cast(pa.int64()).to_numpy()
    return np.asarray(ticks // 1_000_000)


def _numbers(column: pa.ChunkedArray, name: str, place: Place, expected: str) -> NDArray[np.float64]:
    _refuse_nulls(column, name, place)
    if _textual(column.type):
        column = _trimmed(column)
    try:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row, seen = _first_not_a_number(column)
        raise DataError(f"{place(row)}: {name} is {seen!r}; expected {expected}") from None


def _first_not_a_number(column: pa.ChunkedArray) -> tuple[int, Any]:
    for row, value in enumerate(column.to_pylist()):
        try:
            float(value)
        except (TypeError, ValueError):
            return row, value
    return 0, column[0].as_py()


def _refuse_nulls(column: pa.ChunkedArray, name: str, place: Place) -> None:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(f"{place(row)}: {name} is empty; expected a value in every row, or leave the column out")


def _textual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(column.cast(pa.string()))
