"""Id columns to row numbers, and the decision whether a column of ids is integers or text."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from resprout.data.idmap import IdMap
from resprout.data.readers.raw import IdType, Place
from resprout.errors import DataError

_NULL_SPELLINGS = ("", "nan", "NaN", "null", "NULL", "<NA>")
_INTEGER = r"^-?[0-9]+$"
_NEGATIVE = r"^-[0-9]+$"
# The one way to write an integer; 0104257 is not it, and turning it into 104257 would lose its link to the outside.
_CANONICAL = r"^(0|[1-9][0-9]*)$"
_TABLE_PER_ID = 8


def encode(column: Any, kind: str, id_type: IdType, place: Place) -> tuple[IdMap, NDArray[np.int32]]:
    """The map of a column's ids, and int32[n] the row number of each entry.

    `column` is int64[n], checked already, or a `pyarrow.ChunkedArray`; `kind` ("user" or "item") and `place` go into
    messages. Raises DataError, with the place of the first offending entry, for empty and negative ids, and for a
    column that is mostly integers but not all.
    """
    if isinstance(column, np.ndarray):
        if id_type == "text":
            return _encode_text(pa.chunked_array([pa.array(column).cast(pa.string())]), kind, id_type, place)
        return _encode_integers(column)
    if column.null_count:
        raise _empty(place(_first(column.is_null())), kind)
    if pa.types.is_dictionary(column.type) and not _is_text(column.type.value_type):
        column = column.cast(column.type.value_type)
    if pa.types.is_integer(column.type) and id_type != "text":
        return _encode_integers(_checked_integers(column, kind, place))
    if pa.types.is_floating(column.type):
        return encode(_whole_numbers(column, kind, place), kind, id_type, place)
    if pa.types.is_integer(column.type) or _is_text(column.type) or pa.types.is_dictionary(column.type):
        return _encode_text(column, kind, id_type, place)
    raise DataError(f"{place(0)}: {kind} ids are of type {column.type}; expected integers or text")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _encode_integers(ids: NDArray[np.int64]) -> tuple[IdMap, NDArray[np.int32]]:
    largest = int(ids.max(initial=0))
    if largest < _TABLE_PER_ID * len(ids):
        # Dense ids: a table from id to row beats a sort.
        present = np.zeros(largest + 1, dtype=np.bool_)
        present[ids] = True
        numbers = np.cumsum(present, dtype=np.int32) - np.int32(1)
        return IdMap(np.flatnonzero(present)), numbers[ids]
    distinct, rows = np.unique(ids, return_inverse=True)
    return IdMap(distinct), rows.astype(np.int32)


def _checked_integers(column: pa.ChunkedArray, kind: str, place: Place) -> NDArray[np.int64]:
    try:
        ids = column.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        row = _first(pc.greater(column, pa.scalar(2**63 - 1, column.type)))
        raise DataError(f"{place(row)}: {kind} id {column[row]} does not fit 64 bits; read it as text") from None
    if len(ids) and ids.min() < 0:
        row = int(np.argmax(ids < 0))
        raise DataError(f"{place(row)}: {kind} id {ids[row]} is negative; expected 0 or more, or text")
    return np.asarray(ids)


def _whole_numbers(column: pa.ChunkedArray, kind: str, place: Place) -> NDArray[np.int64]:
    """Ids that arrive as 196.0, as pandas makes them of integers when some are missing."""
    values = column.to_numpy()
    broken = ~(np.isfinite(values) & (values == np.floor(values)) & (values >= 0) & (values < 2**53))
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(f"{place(row)}: {kind} id {values[row]} is not a whole number from 0 up")
    return np.asarray(values, dtype=np.int64)


def _encode_text(column: pa.ChunkedArray, kind: str, id_type: IdType, place: Place) -> tuple[IdMap, NDArray[np.int32]]:
    codes, values = _distinct_texts(column)
    spelled_empty = pc.is_in(values, pa.array(_NULL_SPELLINGS)).to_numpy(zero_copy_only=False)
    if spelled_empty.any():
        raise _empty(place(_row_with(codes, spelled_empty)), kind)
    if id_type != "text" and _read_as_integers(values, codes, kind, id_type, place):
        return _encode_integers(values.cast(pa.int64()).to_numpy()[codes])
    order = pc.sort_indices(values).to_numpy()
    numbers = np.empty(len(values), dtype=np.int32)
    numbers[order] = np.arange(len(values), dtype=np.int32)
    return IdMap(values.take(order)), numbers[codes]


def _distinct_texts(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.StringArray]:
    """int32[n] codes and the distinct texts that they stand for, without blanks around them."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    joined = column.unify_dictionaries().combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = pa.concat_arrays(joined.chunks)
    trimmed = pc.utf8_trim_whitespace(joined.dictionary.cast(pa.string())).dictionary_encode()
    codes = trimmed.indices.to_numpy()[joined.indices.to_numpy()]
    used = np.zeros(len(trimmed.dictionary), dtype=np.bool_)
    used[codes] = True
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return numbers[codes], trimmed.dictionary.filter(pa.array(used))


def _read_as_integers(
    values: pa.StringArray, codes: NDArray[np.int32], kind: str, id_type: IdType, place: Place
) -> bool:
    integer, negative, canonical = (
        pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)
        for pattern in (_INTEGER, _NEGATIVE, _CANONICAL)
    )
    others = int(np.count_nonzero(~integer))
    # More than half integers and still not all: rather a spoilt column of integers than a column of text.
    if others and (id_type == "int" or 2 * others < len(values)):
        row = _row_with(codes, ~integer)
        raise DataError(
            f"{place(row)}: {kind} id {values[codes[row]].as_py()!r} is not an integer, but most others are; "
            f"mend the line, or read all ids as text (--set data.id_type=text)"
        )
    if not others and negative.any():
        row = _row_with(codes, negative)
        raise DataError(
            f"{place(row)}: {kind} id {values[codes[row]].as_py()} is negative; expected 0 or more "
            f"(--set data.id_type=text takes it as a name)"
        )
    fits = bool(pc.all(pc.less_equal(pc.utf8_length(values), 18)).as_py())
    if id_type == "int" and not fits:
        row = _row_with(codes, pc.greater(pc.utf8_length(values), 18).to_numpy(zero_copy_only=False))
        raise DataError(
            f"{place(row)}: {kind} id {values[codes[row]].as_py()} has more than 18 digits; read it as text"
        )
    return id_type == "int" or (fits and bool(canonical.all()))


def _row_with(codes: NDArray[np.int32], wanted: NDArray[np.bool_]) -> int:
    return int(np.argmax(wanted[codes]))


def _first(mask: pa.ChunkedArray) -> int:
    return int(np.argmax(mask.to_numpy()))


def _empty(place: str, kind: str) -> DataError:
    return DataError(f"{place}: the {kind} id is empty; every interaction needs a user and an item")
