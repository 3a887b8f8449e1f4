"""Outside ids <-> row numbers: the one place where a user or item id is translated."""

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from resprout.errors import DataError

# Building a hash table over all ids pays off once this share of them is looked up in one call.
_HASH_FROM_SHARE = 1 / 64
_SUGGESTIONS_LOOKED_AT = 500


@dataclass(frozen=True, eq=False)
class IdMap:
    """Ids in strictly ascending order; the row number of an id is its place in that order.

    `ids` is an int64 array, or a `pyarrow.StringArray` ascending by code point. Because the ids themselves are the
    sorted index, a map costs 8 bytes an integer id, or 4 bytes and the letters of a text id, and does not depend on
    file order. Raises DataError if the ids are not strictly ascending.
    """

    ids: Any

    def __post_init__(self) -> None:
        if isinstance(self.ids, np.ndarray):
            object.__setattr__(self, "ids", np.ascontiguousarray(self.ids, dtype=np.int64))
            ascending = bool(np.all(self.ids[1:] > self.ids[:-1]))
        else:
            object.__setattr__(self, "ids", pa.array(self.ids, type=pa.string()))
            ascending = len(self.ids) < 2 or bool(pc.all(pc.less(self.ids[:-1], self.ids[1:])).as_py())
        if not ascending:
            raise DataError("the ids of an IdMap must ascend without repetition; IdMap.of(ids) sorts them")

    @classmethod
    def of(cls, ids: Iterable[int] | Iterable[str]) -> "IdMap":
        """The map of all distinct `ids`, which are all integers or all text.

        >>> IdMap.of(["b", "a", "b"]).rows(["b"])
        array([1], dtype=int32)
        """
        distinct: list[Any] = sorted(set(ids))
        if distinct and isinstance(distinct[0], str):
            return cls(pa.array(distinct, type=pa.string()))
        return cls(np.array(distinct, dtype=np.int64))

    @classmethod
    def numbered(cls, n: int) -> "IdMap":
        """The map whose ids are the row numbers 0..n-1 themselves."""
        return cls(np.arange(n, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self.is_text != other.is_text:
            return False
        return bool(self.ids.equals(other.ids)) if self.is_text else np.array_equal(self.ids, other.ids)

    __hash__ = None  # type: ignore[assignment]

    @property
    def is_text(self) -> bool:
        """True if the ids are text, False if they are integers."""
        return not isinstance(self.ids, np.ndarray)

    def rows(self, ids: Iterable[int] | Iterable[str]) -> NDArray[np.int32]:
        """int32[n], the row numbers of `ids`; integers written as text and the other way round are accepted.

        Raises DataError naming the first unknown id, with the closest known spellings.
        """
        return self._text_rows(_plain_list(ids)) if self.is_text else self._integer_rows(_integers(ids))

    def ids_of(self, rows: NDArray[np.integer[Any]] | Iterable[int]) -> NDArray[Any]:
        """The ids of row numbers: int64[n], or object[n] of str. Raises DataError for a row number out of range."""
        array = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), dtype=np.int64)
        outside = (array < 0) | (array >= len(self))
        if outside.any():
            raise DataError(f"row number {array[outside][0]} is outside 0..{len(self) - 1}")
        if self.is_text:
            return np.asarray(self.ids.take(pa.array(array)).to_numpy(zero_copy_only=False))
        return np.asarray(self.ids[array])

    def take(self, kept: NDArray[np.bool_]) -> "IdMap":
        """The map of the ids whose rows are True in `kept`, a bool[len(self)]; their order stays."""
        return IdMap(self.ids.filter(pa.array(kept)) if self.is_text else self.ids[kept])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The map as plain arrays, for a file: "ids" int64[n], or "text" uint8[bytes] (UTF-8) and "ends" int64[n]."""
        if not self.is_text:
            return {"ids": self.ids}
        lengths = pc.binary_length(self.ids).to_numpy(zero_copy_only=False).astype(np.int64)
        text = pc.binary_join(pa.array([self.ids.to_pylist()], type=pa.list_(pa.string())), "")[0].as_py()
        return {"text": np.frombuffer(text.encode(), dtype=np.uint8), "ends": np.cumsum(lengths)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "IdMap":
        """The map that `arrays()` took apart."""
        if "ids" in arrays:
            return cls(arrays["ids"])
        starts = np.concatenate([[0], arrays["ends"]]).astype(np.int32)
        buffers = [None, pa.py_buffer(starts), pa.py_buffer(np.ascontiguousarray(arrays["text"]))]
        return cls(pa.StringArray.from_buffers(len(starts) - 1, buffers[1], buffers[2]))

    def _integer_rows(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        rows = np.searchsorted(self.ids, ids)
        known = rows < len(self)
        known[known] = self.ids[rows[known]] == ids[known]
        if not known.all():
            raise self._unknown(int(ids[~known][0]))
        return rows.astype(np.int32)

    def _text_rows(self, ids: list[Any]) -> NDArray[np.int32]:
        texts = [_as_text(one) for one in ids]
        if len(texts) > len(self) * _HASH_FROM_SHARE:
            rows = pc.index_in(pa.array(texts, type=pa.string()), self.ids)
            if rows.null_count:
                raise self._unknown(texts[rows.is_null().index(True).as_py()])
            return np.asarray(rows.to_numpy(zero_copy_only=False), dtype=np.int32)
        return np.array([self._text_row(text) for text in texts], dtype=np.int32)

    def _text_row(self, text: str) -> int:
        row = self._place(text)
        if row == len(self) or self.ids[row].as_py() != text:
            raise self._unknown(text)
        return row

    def _place(self, text: str) -> int:
        return bisect_left(range(len(self)), text, key=lambda row: self.ids[row].as_py())

    def _unknown(self, wanted: int | str) -> DataError:
        if not len(self):
            return DataError(f"unknown id {wanted!r}: there are no ids at all")
        if isinstance(wanted, int):
            return DataError(f"unknown id {wanted}: the {len(self):,} known ids lie in {self.ids[0]}..{self.ids[-1]}")
        folded = {one.casefold(): one for one in self._candidates(wanted)}
        close = [folded[one] for one in difflib.get_close_matches(wanted.casefold(), folded, n=3)]
        hint = f"; close to it: {', '.join(map(repr, close))}" if close else f"; ids look like {self.ids[0].as_py()!r}"
        return DataError(f"unknown id {wanted!r} among {len(self):,} ids{hint}")

    def _candidates(self, wanted: str) -> list[str]:
        """Ids that may be a misspelt `wanted`: its neighbours in order, and those that contain it in any case."""
        near = self._place(wanted)
        neighbours = self.ids[max(0, near - _SUGGESTIONS_LOOKED_AT) : near + _SUGGESTIONS_LOOKED_AT]
        containing = self.ids.filter(pc.match_substring(self.ids, wanted, ignore_case=True))[:_SUGGESTIONS_LOOKED_AT]
        return [*neighbours.to_pylist(), *containing.to_pylist()]


def _plain_list(ids: Iterable[Any]) -> list[Any]:
    """A list of Python values; accepts arrays of NumPy, pandas, polars and pyarrow."""
    if isinstance(ids, pa.Array | pa.ChunkedArray):
        return list(ids.to_pylist())
    if isinstance(ids, str):
        raise DataError(f"ids must come as a list, not as the text {ids!r}; write [{ids!r}]")
    return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)


def _integers(ids: Iterable[Any]) -> NDArray[np.int64]:
    if isinstance(ids, np.ndarray) and ids.dtype.kind == "i":
        return ids.astype(np.int64, copy=False)
    values = _plain_list(ids)
    return np.array([_as_integer(one) for one in values], dtype=np.int64)


def _as_integer(one: Any) -> int:
    """The integer that `one` is or spells in its only canonical form: "7" but not "07", "7.0" or True."""
    if isinstance(one, int | np.integer) and not isinstance(one, bool) and abs(int(one)) < 2**63:
        return int(one)
    if (
        isinstance(one, str)
        and one.strip().lstrip("-").isdecimal()
        and abs(int(one)) < 2**63
        and str(int(one)) == one.strip()
    ):
        return int(one)
    raise DataError(f"unknown id {one!r}: the ids of this map are integers")


def _as_text(one: Any) -> str:
    if isinstance(one, str):
        try:
            one.encode()
        except UnicodeEncodeError:
            raise DataError(f"unknown id {one!r}: it is not valid Unicode text") from None
        return one
    if isinstance(one, int | np.integer) and not isinstance(one, bool):
        return str(int(one))
    raise DataError(f"unknown id {one!r}: the ids of this map are text")
