"""Which interactions count: duplicates, weak ratings, and users and items with too few."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resprout.data.interactions import Dataset, Dropped, Interactions
from resprout.errors import DataError, SettingsError


class FilterSettings(BaseModel):
    """What is dropped before anything else; in the order duplicates, min_rating, then min_user and min_item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duplicates: Literal["keep_last", "keep_first", "sum", "keep"] = Field(
        default="keep_last",
        description="what to do with a repeated user-item pair: keep the last or first one by time (by file order "
        "without timestamps), add up the weights (1 each without weights), or keep all",
    )
    min_rating: float | None = Field(
        default=None, allow_inf_nan=False, description="drop interactions whose rating or weight is below this"
    )
    min_user: int = Field(default=0, ge=0, description="drop users with fewer interactions than this")
    min_item: int = Field(
        default=0,
        ge=0,
        description="drop items with fewer interactions than this; repeated with min_user until both hold",
    )


def apply(dataset: Dataset, settings: FilterSettings) -> Dataset:
    """The data set without what the settings drop; `dropped` on it says how much that was, for which reason.

    Official parts go along, and duplicates are looked for within a part only. Users and items that lose their last
    interaction are gone. Raises SettingsError for `min_rating` without weights, and DataError naming the filter that
    leaves nothing.
    """
    filtered, duplicates = _without_duplicates(dataset, settings.duplicates)
    strong = _strong(filtered, settings.min_rating)
    weak = int(np.count_nonzero(~strong))
    filtered = _select(filtered, strong)
    _refuse_empty(filtered, f"filter.min_rating = {settings.min_rating}", f"ratings go up to {_highest(dataset)}")
    kept, below_user, below_item = _core(filtered.interactions, settings.min_user, settings.min_item)
    filtered = _select(filtered, kept)
    _refuse_empty(
        filtered,
        f"filter.min_user = {settings.min_user} with filter.min_item = {settings.min_item}",
        "no group of users and items is that dense",
    )
    if len(filtered.interactions) < len(dataset.interactions):
        filtered = _compacted(filtered)
    dropped = Dropped(
        below_min_rating=weak,
        duplicates=duplicates,
        below_min_user=below_user,
        below_min_item=below_item,
        users=dataset.interactions.n_users - filtered.interactions.n_users,
        items=dataset.interactions.n_items - filtered.interactions.n_items,
    )
    return replace(filtered, dropped=dropped)


def _select(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    if kept.all():
        return dataset
    parts = None if dataset.parts is None else dataset.parts[kept]
    return replace(dataset, interactions=dataset.interactions.select(kept), parts=parts)


def _compacted(dataset: Dataset) -> Dataset:
    compact = dataset.interactions.compact()
    if dataset.item_names is None:
        return replace(dataset, interactions=compact)
    used = np.zeros(dataset.interactions.n_items, dtype=np.bool_)
    used[dataset.interactions.items] = True
    names = [dataset.item_names[row] for row in np.flatnonzero(used)]
    return replace(dataset, interactions=compact, item_names=names)


def _without_duplicates(dataset: Dataset, rule: str) -> tuple[Dataset, int]:
    interactions = dataset.interactions
    parts = np.zeros(len(interactions), dtype=np.int8) if dataset.parts is None else dataset.parts
    pair = (
        parts.astype(np.int64) * interactions.n_users + interactions.users
    ) * interactions.n_items + interactions.items
    ordered = np.sort(pair)
    repeats = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    if rule == "keep" or not repeats:
        return dataset, 0
    # Within a pair from first to last: by time, then by place in the file.
    by_time = () if interactions.timestamps is None else (interactions.timestamps,)
    order = np.lexsort((*by_time, pair))
    opens = np.concatenate([[True], pair[order][1:] != pair[order][:-1]])
    closes = np.append(opens[1:], True)
    kept = np.zeros(len(pair), dtype=np.bool_)
    kept[order[opens if rule == "keep_first" else closes]] = True
    if rule == "sum":
        dataset = replace(dataset, interactions=_with_sums(interactions, order, opens, closes))
    return _select(dataset, kept), repeats


def _with_sums(
    interactions: Interactions, order: NDArray[np.int64], opens: NDArray[np.bool_], closes: NDArray[np.bool_]
) -> Interactions:
    """The last interaction of each pair carries the weight of all of them."""
    weights = np.ones(len(order)) if interactions.weights is None else interactions.weights.astype(np.float64)
    summed = np.ones(len(order), dtype=np.float32)
    summed[order[closes]] = np.add.reduceat(weights[order], np.flatnonzero(opens))
    return replace(interactions, weights=summed)


def _strong(dataset: Dataset, min_rating: float | None) -> NDArray[np.bool_]:
    weights = dataset.interactions.weights
    if min_rating is None:
        return np.ones(len(dataset.interactions), dtype=np.bool_)
    if weights is None:
        raise SettingsError(f"filter.min_rating is {min_rating}, but {dataset.name} has no ratings; leave it out")
    return np.asarray(weights >= min_rating)


def _core(interactions: Interactions, min_user: int, min_item: int) -> tuple[NDArray[np.bool_], int, int]:
    """Which interactions stay when users, then items, below their minimum are dropped until none is left below."""
    kept = np.ones(len(interactions), dtype=np.bool_)
    dropped = [0, 0]
    sides = ((interactions.users, interactions.n_users, min_user), (interactions.items, interactions.n_items, min_item))
    changed = True
    while changed:
        changed = False
        for side, (rows, size, least) in enumerate(sides):
            enough = np.bincount(rows[kept], minlength=size) >= least
            gone = kept & ~enough[rows]
            dropped[side] += int(np.count_nonzero(gone))
            changed = changed or bool(gone.any())
            kept &= ~gone
    return kept, dropped[0], dropped[1]


def _refuse_empty(dataset: Dataset, filter_name: str, hint: str) -> None:
    if not len(dataset.interactions):
        raise DataError(f"{dataset.name}: {filter_name} leaves no interaction; {hint}; set it lower")


def _highest(dataset: Dataset) -> str:
    weights = dataset.interactions.weights
    return "nothing" if weights is None or not len(weights) else f"{weights.max():g}"
