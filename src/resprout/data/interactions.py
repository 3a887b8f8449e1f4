"""Users, items and what happened between them: the form in which every other part of the library meets data."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.errors import DataError

PART_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions in the order of their source, as parallel arrays of row numbers.

    `users`, `items`: int32[n], rows of `user_ids` and `item_ids`. `weights`: float32[n], ratings or counts, or None.
    `timestamps`: int64[n], Unix seconds as read, or None. Raises DataError if the lengths differ.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    user_ids: IdMap
    item_ids: IdMap
    weights: NDArray[np.float32] | None = None
    timestamps: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("items", "weights", "timestamps"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.users):
                raise DataError(f"interactions with {len(self.users)} users but {len(column)} {name}")

    @property
    def n_users(self) -> int:
        """Number of known users, those without an interaction included."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of known items, those without an interaction included."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.users)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> "Interactions":
        """The chosen interactions (a bool[n] or positions), over the same users and items."""
        return replace(
            self,
            users=self.users[chosen],
            items=self.items[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            timestamps=None if self.timestamps is None else self.timestamps[chosen],
        )

    def compact(self) -> "Interactions":
        """The same interactions over only those users and items that occur in them; the order of rows stays."""
        users, user_ids = _renumbered(self.users, self.user_ids)
        items, item_ids = _renumbered(self.items, self.item_ids)
        return replace(self, users=users, items=items, user_ids=user_ids, item_ids=item_ids)

    def histories(self) -> Histories:
        """The distinct items of each user."""
        return Histories.from_pairs(self.users, self.items, self.n_users, self.n_items)


@dataclass(frozen=True)
class PartCounts:
    """Counts of a part: users and items are those that occur in it; `per_user_*` count interactions of these users."""

    users: int
    items: int
    interactions: int
    duplicates: int
    density: float
    per_user_min: int
    per_user_median: float
    per_user_max: int


@dataclass(frozen=True)
class Dropped:
    """What the filters took away: interactions by reason, and the users and items that are gone with them."""

    below_min_rating: int = 0
    duplicates: int = 0
    below_min_user: int = 0
    below_min_item: int = 0
    users: int = 0
    items: int = 0


@dataclass(frozen=True)
class Description:
    """Counts of a whole data set and of each official part by name."""

    name: str
    whole: PartCounts
    parts: dict[str, PartCounts]
    has_weights: bool
    has_timestamps: bool
    has_item_names: bool
    dropped: Dropped | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions under a name, with what came beside them.

    `parts`: int8[n], the official part of each interaction (0 train, 1 validation, 2 test), or None if there is none.
    `item_names`: one title per item row, or None. `dropped`: what the filters took away, or None if none ran.
    """

    name: str
    interactions: Interactions
    parts: NDArray[np.int8] | None = None
    item_names: list[str] | None = field(default=None, repr=False)
    dropped: Dropped | None = None

    def __post_init__(self) -> None:
        if self.parts is not None and len(self.parts) != len(self.interactions):
            raise DataError(f"{self.name}: {len(self.parts)} parts for {len(self.interactions)} interactions")
        if self.item_names is not None and len(self.item_names) != self.interactions.n_items:
            raise DataError(f"{self.name}: {len(self.item_names)} item names for {self.interactions.n_items} items")

    def describe(self) -> Description:
        """Counts of users, items, interactions and duplicates, as a whole and by official part."""
        parts = {}
        if self.parts is not None:
            for number in np.unique(self.parts):
                parts[PART_NAMES[number]] = count(self.interactions.select(self.parts == number))
        return Description(
            name=self.name,
            whole=count(self.interactions),
            parts=parts,
            has_weights=self.interactions.weights is not None,
            has_timestamps=self.interactions.timestamps is not None,
            has_item_names=self.item_names is not None,
            dropped=self.dropped,
        )


def count(interactions: Interactions) -> PartCounts:
    """The counts of some interactions; a user or item without one does not count."""
    histories = interactions.histories()
    per_user = np.bincount(interactions.users, minlength=interactions.n_users)
    per_user = per_user[per_user > 0]
    users = len(per_user)
    items = int(np.count_nonzero(np.bincount(interactions.items, minlength=interactions.n_items)))
    return PartCounts(
        users=users,
        items=items,
        interactions=len(interactions),
        duplicates=len(interactions) - len(histories),
        density=len(histories) / (users * items) if users and items else 0.0,
        per_user_min=int(per_user.min()) if users else 0,
        per_user_median=float(np.median(per_user)) if users else 0.0,
        per_user_max=int(per_user.max()) if users else 0,
    )


def _renumbered(rows: NDArray[np.int32], ids: IdMap) -> tuple[NDArray[np.int32], IdMap]:
    used = np.zeros(len(ids), dtype=np.bool_)
    used[rows] = True
    if used.all():
        return rows, ids
    numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return numbers[rows], ids.take(used)
