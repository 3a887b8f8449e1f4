"""Recommendations from a model folder, in the ids of the data that it was trained on."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from resprout import catalog
from resprout.artifact.folder import whole
from resprout.artifact.format import ModelParts, load_model
from resprout.artifact.manifest import MANIFEST
from resprout.backbones.backbone import Backbone
from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.errors import DataError, RunError, SettingsError
from resprout.evaluation.evaluate import Scorer, rank
from resprout.kernels.contract import F32, I32
from resprout.serving.scorers import Among, Cosine, HasItemVectors

Ids = Iterable[int] | Iterable[str]
"""Outside ids: a list, or an array or column of NumPy, pandas, polars or pyarrow; integers may be written as text."""


class Recommender:
    """A model that is ready to rank; may be used by several threads, which take turns."""

    def __init__(self, parts: ModelParts) -> None:
        self.parts = parts
        self._model = model_of(parts)
        self._scorer: Scorer[Any] = self._model.scorer()
        # Scorers have buffers of their own, and Numba's usual thread pool ends the process if two threads enter it.
        self._turn = threading.Lock()

    @classmethod
    def open(cls, folder: Path | str, verify: bool = True) -> "Recommender":
        """The recommender of a run folder or a model folder.

        verify: see `load_model`. Raises RunError for a folder without a model, or with one that cannot be used.
        """
        folder = Path(folder)
        is_model = (whole(folder) / MANIFEST).is_file()
        parts = load_model(folder if is_model else folder / "model", verify=verify)
        try:
            return cls(parts)
        except (SettingsError, DataError) as error:
            raise RunError(f"the model in {folder} cannot be used by this version of resprout: {error}") from error

    def recommend(self, users: Ids, k: int = 10, filter_seen: bool = True, items: Ids | None = None) -> pa.Table:
        """For each user in turn, up to `k` items, best first, out of all items or those given.

        The columns are user_id, item_id, score (float32), rank (from 1), and item_name if names are known. filter_seen:
        whether items of the user's history are left out. A user known without a history is ranked like any other. There
        are fewer than `k` rows for a user where fewer items are left. Memory: that of `evaluate.rank`, and the table.

        Raises DataError naming the first user or item that training did not know, SettingsError for a k below 1.
        """
        user_rows = _rows(self.parts.user_ids, users, "user")
        scorer = self._scorer if items is None else Among(self._scorer, _rows(self.parts.item_ids, items, "item"))
        item_rows, scores = self._rank(scorer, user_rows, k, self.parts.histories if filter_seen else None)
        return self._table("user_id", _outside(self.parts.user_ids, user_rows), item_rows, scores)

    def recommend_new(
        self, histories: Mapping[str, Ids], k: int = 10, filter_seen: bool = True, items: Ids | None = None
    ) -> pa.Table:
        """As `recommend`, for users whom training has not seen, by what each has had: `{"anna": ["item 3", "item 8"]}`.

        Items of a history that training did not know are an error, as in `recommend`. Raises SettingsError for a
        backbone that has a row for each user and so cannot rank others.
        """
        if not self._model.ranks_new_users:
            raise SettingsError(
                f"backbone {self.parts.backbone!r} has a row for each user of training and cannot rank others: "
                "train cdae, multvae, or lightgcn with method.rows_for = 'items'; or again with the users' interactions"
            )
        n_known, n_items = len(self.parts.user_ids), len(self.parts.item_ids)
        lists = [np.unique(_rows(self.parts.item_ids, wanted, "item")) for wanted in histories.values()]
        starts = np.concatenate([np.zeros(n_known, np.int64), np.cumsum([0, *map(len, lists)])])
        known = Histories(starts, np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32), n_items)
        scorer = self._model.scorer(known)
        if items is not None:
            scorer = Among(scorer, _rows(self.parts.item_ids, items, "item"))
        rows = np.arange(n_known, n_known + len(lists), dtype=np.int32)
        item_rows, scores = self._rank(scorer, rows, k, known if filter_seen else None)
        return self._table("user_id", pa.array(histories, pa.string()), item_rows, scores)

    def recommend_rows(self, user_rows: I32, k: int = 10, filter_seen: bool = True) -> tuple[I32, F32]:
        """As `recommend`, by row numbers: item rows int32 and scores float32, `[users, min(k, items)]`.

        Places that are left over hold -1 and -inf. Raises DataError for a row number that is no user's.
        """
        users = np.asarray(user_rows, np.int32)
        if len(users) and not 0 <= users.min() <= users.max() < len(self.parts.user_ids):
            raise DataError(
                f"user rows run from {users.min()} to {users.max()}, expected 0..{len(self.parts.user_ids) - 1}"
            )
        return self._rank(self._scorer, users, k, self.parts.histories if filter_seen else None)

    def similar_items(self, item_ids: Ids, k: int = 10) -> pa.Table:
        """For each item in turn, the `k` others whose vectors have the largest cosine with its own.

        The columns are query_id, item_id, score (the cosine), rank (from 1), and item_name if names are known. Raises
        DataError naming an unknown item, SettingsError if the backbone has no item vectors.
        """
        if not isinstance(self._scorer, HasItemVectors):
            raise SettingsError(
                f"backbone {self.parts.backbone!r} has no item vectors to compare: use recommend, or another backbone"
            )
        rows = _rows(self.parts.item_ids, item_ids, "item")
        item_rows, scores = self._rank(Cosine(self._scorer), rows, k, _only_itself(len(self.parts.item_ids)))
        return self._table("query_id", _outside(self.parts.item_ids, rows), item_rows, scores)

    def history(self, user_id: int | str) -> pa.Table:
        """What the user had in training, by item id: the columns item_id, and item_name if names are known."""
        (row,) = _rows(self.parts.user_ids, [user_id], "user")  # type: ignore[arg-type]
        return pa.table(self._item_columns(self.parts.histories.of(int(row))))

    def _rank(self, scorer: Scorer[Any], queries: I32, k: int, left_out: Histories | None) -> tuple[I32, F32]:
        with self._turn:
            return rank(scorer, queries, left_out, min(k, scorer.n_items))

    def _table(self, asked_name: str, asked: pa.Array, item_rows: I32, scores: F32) -> pa.Table:
        found = item_rows >= 0
        who, place = (axis.astype(np.int32) for axis in np.nonzero(found))
        items = self._item_columns(item_rows[found])
        columns = {
            asked_name: asked.take(pa.array(who)),
            "item_id": items.pop("item_id"),
            "score": pa.array(scores[found]),
            "rank": pa.array(place + np.int32(1)),
        }
        return pa.table(columns | items)

    def _item_columns(self, rows: I32) -> dict[str, pa.Array]:
        columns = {"item_id": _outside(self.parts.item_ids, rows)}
        if self.parts.item_names is not None:
            columns["item_name"] = self.parts.item_names.take(pa.array(rows))
        return columns


def model_of(parts: ModelParts) -> Backbone:
    """The backbone over its tables; SettingsError or DataError if they do not belong together."""
    kind = catalog.load_backbone(parts.backbone)
    try:
        options = kind.Options(**parts.options)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"option {'.'.join(map(str, first['loc']))} of {parts.backbone!r}: {first['msg']}"
        ) from error
    sizes = options, len(parts.user_ids), len(parts.item_ids)
    forms = [kind.shapes(*sizes), *kind.one_sided_shapes(*sizes).values()]
    expected = [{shape.name: shape.rows for shape in shapes} for shapes in forms]
    present = {name: table.shape.rows for name, table in parts.tables.items()}
    if present not in expected:
        wanted = " or ".join(map(str, expected))
        raise DataError(f"tables with rows {present}, expected {wanted} for {parts.backbone!r}")
    model = kind(options, parts.tables, parts.histories)
    model.load_network(parts.network)
    return model


def _rows(ids: IdMap, wanted: Ids, kind: str) -> I32:
    if isinstance(wanted, int | np.integer):
        raise DataError(f"{kind} ids must come as a list, not as the number {wanted}; write [{wanted}]")
    try:
        return ids.rows(wanted)
    except DataError as error:
        raise DataError(f"{kind}: {error}; leave it out, or train again on data that has it") from error


def _outside(ids: IdMap, rows: I32) -> pa.Array:
    return ids.ids.take(pa.array(rows)) if ids.is_text else pa.array(ids.ids[rows])


def _only_itself(n_items: int) -> Histories:
    items: NDArray[np.int32] = np.arange(n_items, dtype=np.int32)
    return Histories(np.arange(n_items + 1, dtype=np.int64), items, n_items)
