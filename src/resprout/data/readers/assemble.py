"""The columns of one or several files as one data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resprout.data.idmap import IdMap
from resprout.data.interactions import Dataset, Interactions
from resprout.data.readers.ids import encode
from resprout.data.readers.raw import IdType, Place, Raw
from resprout.errors import DataError


def assemble(name: str, raws: Sequence[Raw], parts: Sequence[int | None], id_type: IdType) -> Dataset:
    """The data set of all files; ids are numbered in ascending order over all of them.

    Raises DataError if the files disagree on the type of ids or on their columns, or if there is no interaction.
    """
    if not sum(map(len, raws)):
        raise DataError(f"{name}: no interactions; expected at least one user with an item")
    place = _joined_place(raws)
    users, user_ids = _rows([raw.users for raw in raws], [raw.all_users for raw in raws], "user", id_type, place)
    items, item_ids = _rows([raw.items for raw in raws], [raw.all_items for raw in raws], "item", id_type, place)
    interactions = Interactions(
        users=users,
        items=items,
        user_ids=user_ids,
        item_ids=item_ids,
        weights=_column(name, [raw.weights for raw in raws], "weights"),
        timestamps=_column(name, [raw.timestamps for raw in raws], "timestamps"),
    )
    return Dataset(name, interactions, _parts(raws, parts))


def _rows(
    columns: list[Any], known: list[NDArray[np.int64] | None], kind: str, id_type: IdType, place: Place
) -> tuple[NDArray[np.int32], IdMap]:
    ids = _joined_ids(columns, kind)
    extra = [one for one in known if one is not None]
    n = len(ids)
    if extra and isinstance(ids, np.ndarray):
        ids = np.concatenate([ids, *extra])
    id_map, rows = encode(ids, kind, id_type, place)
    return rows[:n], id_map


def _joined_ids(columns: list[Any], kind: str) -> Any:
    if isinstance(columns[0], np.ndarray):
        return columns[0] if len(columns) == 1 else np.concatenate(columns)
    types = {str(column.type) for column in columns}
    if len(types) > 1:
        raise DataError(f"{kind} ids are of different types in the files of one data set: {', '.join(sorted(types))}")
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], type=columns[0].type)


def _column(name: str, columns: list[NDArray[Any] | None], what: str) -> NDArray[Any] | None:
    present = [column for column in columns if column is not None]
    if len(present) not in (0, len(columns)):
        raise DataError(f"{name}: some files have {what} and some have none; give all of them the same columns")
    if not present:
        return None
    return present[0] if len(present) == 1 else np.concatenate(present)


def _parts(raws: Sequence[Raw], parts: Sequence[int | None]) -> NDArray[np.int8] | None:
    numbers = [part for part in parts if part is not None]
    return np.repeat(np.array(numbers, dtype=np.int8), [len(raw) for raw in raws]) if numbers else None


def _joined_place(raws: Sequence[Raw]) -> Place:
    ends = np.cumsum([len(raw) for raw in raws])

    def place(row: int) -> str:
        file = int(np.searchsorted(ends, row, side="right"))
        return raws[file].place(row - int(ends[file - 1] if file else 0))

    return place
