"""Where each interaction goes under each kind of split."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resprout.data.interactions import Dataset, Interactions
from resprout.errors import SettingsError
from resprout.rng import stream

TRAIN, VALIDATION, TEST, VALIDATION_FOLD_IN, TEST_FOLD_IN, DROPPED = 0, 1, 2, 3, 4, -1

SplitKind = Literal["auto", "official", "ratio", "leave_last_out", "global_time", "held_out_users"]


class SplitSettings(BaseModel):
    """How interactions are divided into train, validation and test."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: SplitKind = Field(
        default="auto",
        description="official: the parts that the data comes with; ratio: at random within each user; "
        "leave_last_out: each user's last interaction; global_time: one moment for all; held_out_users: whole users; "
        "auto: official if the data has parts, else ratio",
    )
    test_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share that is the test part: of each user's items, of time, or of users; not official",
    )
    validation_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of what the test part leaves that is the validation part"
    )
    fold_in_share: float = Field(
        default=0.8, gt=0, lt=1, description="held_out_users: share of a held-out user's items that the model is shown"
    )


@dataclass(frozen=True, eq=False)
class Pairs:
    """The distinct user-item pairs, ordered by user and item: `pair_of` says which one each interaction is.

    Dividing pairs, not interactions, keeps a repeated pair from landing on both sides; their order makes a split
    independent of the order of rows.
    """

    users: NDArray[np.int64]
    pair_of: NDArray[np.int64]
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, interactions: Interactions, chosen: NDArray[np.bool_] | slice = slice(None)) -> "Pairs":
        """The distinct pairs of the chosen interactions."""
        keys = interactions.users[chosen].astype(np.int64) * interactions.n_items + interactions.items[chosen]
        distinct, pair_of = np.unique(keys, return_inverse=True)
        users = distinct // interactions.n_items
        counts = np.bincount(users, minlength=interactions.n_users)
        return cls(users, pair_of, counts, np.cumsum(counts) - counts)

    def random_places(self, random: np.random.Generator) -> NDArray[np.int64]:
        """int64[pairs], the place of each pair in a random order of its user's pairs, from 0."""
        draws = _draws(random, len(self.users))
        # User and draw in one integer; the stable sort decides ties alike on every platform.
        order = np.argsort((self.users.astype(np.uint64) << np.uint64(32)) | draws, kind="stable")
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order)) - self.starts[self.users]
        return places


def _draws(random: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """uint64[n] of 32 random bits each; raw words of the generator, which no NumPy version may change."""
    return np.asarray(random.bit_generator.random_raw(n), dtype=np.uint64) >> np.uint64(32)


def _share_of(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """`share` of each count, rounded half up, at least one of the count left over."""
    rounded = np.floor(counts * share + 0.5).astype(np.int64)
    return np.asarray(np.minimum(rounded, np.maximum(counts - 1, 0)))


def _official(dataset: Dataset, settings: SplitSettings, seed: int) -> NDArray[np.int8]:
    if dataset.parts is None:
        raise SettingsError(
            f"split.kind is official, but {dataset.name} comes without parts; choose ratio or another kind"
        )
    assignment = dataset.parts.copy()
    if not (assignment == VALIDATION).any():
        in_train = assignment == TRAIN
        pairs = Pairs.of(dataset.interactions, in_train)
        places = pairs.random_places(stream(seed, "split", "validation"))
        chosen = places < _share_of(pairs.counts, settings.validation_share)[pairs.users]
        assignment[in_train] = np.where(chosen, VALIDATION, TRAIN)[pairs.pair_of]
    return assignment


def _ratio(dataset: Dataset, settings: SplitSettings, seed: int) -> NDArray[np.int8]:
    pairs = Pairs.of(dataset.interactions)
    places = pairs.random_places(stream(seed, "split", "ratio"))
    in_test = _share_of(pairs.counts, settings.test_share)
    in_validation = _share_of(pairs.counts - in_test, settings.validation_share)
    before_validation, before_train = in_test[pairs.users], (in_test + in_validation)[pairs.users]
    part = np.select([places < before_validation, places < before_train], [TEST, VALIDATION], TRAIN)
    return part.astype(np.int8)[pairs.pair_of]


def _leave_last_out(dataset: Dataset, settings: SplitSettings, seed: int) -> NDArray[np.int8]:  # noqa: ARG001
    timestamps = _timestamps(dataset, "leave_last_out")
    users = dataset.interactions.users
    order = np.lexsort((timestamps, users))
    counts = np.bincount(users, minlength=dataset.interactions.n_users)
    from_end = np.empty(len(users), dtype=np.int64)
    from_end[order] = np.cumsum(counts)[users[order]] - np.arange(len(users)) - 1
    assignment = np.zeros(len(users), dtype=np.int8)
    assignment[(from_end == 0) & (counts[users] > 1)] = TEST
    if settings.validation_share > 0:
        assignment[(from_end == 1) & (counts[users] > 2)] = VALIDATION
    return assignment


def _global_time(dataset: Dataset, settings: SplitSettings, seed: int) -> NDArray[np.int8]:  # noqa: ARG001
    timestamps = _timestamps(dataset, "global_time")
    ordered = np.sort(timestamps)
    train_share = (1 - settings.test_share) * (1 - settings.validation_share)
    test_from, validation_from = (
        ordered[_quantile(len(ordered), part)] for part in (1 - settings.test_share, train_share)
    )
    assignment = np.zeros(len(timestamps), dtype=np.int8)
    assignment[(timestamps >= validation_from) & (timestamps < test_from)] = VALIDATION
    assignment[timestamps >= test_from] = TEST
    return assignment


def _quantile(n: int, share: float) -> int:
    return min(int(np.floor(n * share + 0.5)), n - 1)


def _held_out_users(dataset: Dataset, settings: SplitSettings, seed: int) -> NDArray[np.int8]:
    pairs = Pairs.of(dataset.interactions)
    random = stream(seed, "split", "users")
    # A user with one item cannot be shown some and asked for others, so it stays in train.
    eligible = np.flatnonzero(pairs.counts > 1)
    eligible = eligible[np.argsort(_draws(random, len(eligible)), kind="stable")]
    in_test = int(np.floor(len(eligible) * settings.test_share + 0.5))
    in_validation = int(np.floor((len(eligible) - in_test) * settings.validation_share + 0.5))
    group = np.full(dataset.interactions.n_users, TRAIN, dtype=np.int8)
    group[eligible[:in_test]] = TEST
    group[eligible[in_test : in_test + in_validation]] = VALIDATION
    asked = np.maximum(_share_of(pairs.counts, 1 - settings.fold_in_share), 1)
    places = pairs.random_places(stream(seed, "split", "fold_in"))
    part = group[pairs.users]
    shown = (part != TRAIN) & (places >= asked[pairs.users])
    part[shown] += VALIDATION_FOLD_IN - VALIDATION
    return np.asarray(part[pairs.pair_of])


ASSIGN: dict[str, Any] = {
    "official": _official,
    "ratio": _ratio,
    "leave_last_out": _leave_last_out,
    "global_time": _global_time,
    "held_out_users": _held_out_users,
}


def _timestamps(dataset: Dataset, kind: str) -> NDArray[np.int64]:
    if dataset.interactions.timestamps is None:
        raise SettingsError(
            f"split.kind is {kind}, but {dataset.name} has no timestamps; choose ratio, "
            f"or name the column (data.time_column)"
        )
    return dataset.interactions.timestamps


def drop_unknown(interactions: Interactions, assignment: NDArray[np.int8]) -> int:
    """Drops, in place, held-out interactions whose user or item is not in train; the count of them comes back."""
    in_train = assignment == TRAIN
    known = np.ones(len(interactions), dtype=np.bool_)
    for rows, size in ((interactions.users, interactions.n_users), (interactions.items, interactions.n_items)):
        seen = np.zeros(size, dtype=np.bool_)
        seen[rows[in_train]] = True
        known &= seen[rows]
    return _drop(assignment, ~known & ~in_train)


def drop_repeats(interactions: Interactions, assignment: NDArray[np.int8]) -> int:
    """Drops, in place, held-out interactions whose pair is in an earlier part; the count of them comes back."""
    pair_of = Pairs.of(interactions).pair_of
    dropped = 0
    for part in (VALIDATION, TEST):
        seen = np.zeros(len(pair_of), dtype=np.bool_)
        seen[pair_of[(assignment >= TRAIN) & (assignment < part)]] = True
        dropped += _drop(assignment, (assignment == part) & seen[pair_of])
    return dropped


def _drop(assignment: NDArray[np.int8], unwanted: NDArray[np.bool_]) -> int:
    assignment[unwanted] = DROPPED
    return int(np.count_nonzero(unwanted))
