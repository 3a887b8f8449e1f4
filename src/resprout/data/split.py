"""Which interactions are learned from, which choose the settings, and which are held back to the end."""

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resprout.data.interactions import Dataset, Interactions
from resprout.data.split_kinds import (
    ASSIGN,
    DROPPED,
    TEST,
    TEST_FOLD_IN,
    TRAIN,
    VALIDATION,
    VALIDATION_FOLD_IN,
    SplitSettings,
    drop_repeats,
    drop_unknown,
)
from resprout.errors import DataError

__all__ = [
    "DROPPED",
    "FILE_NAME",
    "Split",
    "SplitCounts",
    "SplitSettings",
    "TEST",
    "TEST_FOLD_IN",
    "TRAIN",
    "VALIDATION",
    "VALIDATION_FOLD_IN",
    "fingerprint",
    "split",
]

FILE_NAME = "split.safetensors"
_FORMAT = "resprout-split-1"


@dataclass(frozen=True)
class SplitCounts:
    """Interactions by part, and what a reader of results should know.

    `dropped_unknown`: held-out interactions whose user or item is not in train (global_time); `dropped_repeats`:
    held-out interactions whose pair is in an earlier part; `users_without_train`: users with a test interaction but
    none in train or fold-in; `test_items_without_train`: distinct test items that train never shows.
    """

    train: int
    validation: int
    test: int
    validation_fold_in: int
    test_fold_in: int
    dropped_unknown: int
    dropped_repeats: int
    users_without_train: int
    test_items_without_train: int


@dataclass(frozen=True, eq=False)
class Split:
    """A division of `interactions`: `assignment`, int8[n], says for each where it belongs (TRAIN, ..., DROPPED).

    All parts are over the same users and items. `kind` is the resolved kind, never "auto".
    """

    interactions: Interactions = field(repr=False)
    assignment: NDArray[np.int8] = field(repr=False)
    kind: str
    seed: int
    dropped_unknown: int = 0
    dropped_repeats: int = 0

    @cached_property
    def train(self) -> Interactions:
        """What a model learns from."""
        return self._part(TRAIN)

    @cached_property
    def validation(self) -> Interactions:
        """What epochs and settings are chosen on; empty after `refit`."""
        return self._part(VALIDATION)

    @cached_property
    def test(self) -> Interactions:
        """What is read once, at the end."""
        return self._part(TEST)

    @cached_property
    def validation_fold_in(self) -> Interactions | None:
        """For held-out users: what the model is shown of the validation users; otherwise None."""
        return self._part(VALIDATION_FOLD_IN) if self.kind == "held_out_users" else None

    @cached_property
    def test_fold_in(self) -> Interactions | None:
        """For held-out users: what the model is shown of the test users; otherwise None."""
        return self._part(TEST_FOLD_IN) if self.kind == "held_out_users" else None

    def known(self, before: str) -> Interactions:
        """All that is known before the part "validation" or "test" is asked for: not ranked, and what fold-in reads."""
        parts = [TRAIN, VALIDATION_FOLD_IN]
        if before == "test":
            parts += [VALIDATION, TEST_FOLD_IN]
        return self.interactions.select(np.isin(self.assignment, parts))

    def refit(self) -> "Split":
        """The split that trains on train and validation together and has no validation part; the test part stays."""
        learned = np.isin(self.assignment, (VALIDATION, VALIDATION_FOLD_IN))
        return replace(self, assignment=np.where(learned, np.int8(TRAIN), self.assignment))

    def whole(self) -> "Split":
        """The split that trains on everything and holds nothing back."""
        return replace(self, assignment=np.full_like(self.assignment, TRAIN))

    def counts(self) -> SplitCounts:
        """Interactions by part, dropped ones, and what train does not cover."""
        sizes = {part: int(np.count_nonzero(self.assignment == part)) for part in range(TEST_FOLD_IN + 1)}
        shown = np.isin(self.assignment, (TRAIN, TEST_FOLD_IN))
        in_test = self.assignment == TEST
        users, items = self.interactions.users, self.interactions.items
        return SplitCounts(
            train=sizes[TRAIN],
            validation=sizes[VALIDATION],
            test=sizes[TEST],
            validation_fold_in=sizes[VALIDATION_FOLD_IN],
            test_fold_in=sizes[TEST_FOLD_IN],
            dropped_unknown=self.dropped_unknown,
            dropped_repeats=self.dropped_repeats,
            users_without_train=len(np.setdiff1d(users[in_test], users[shown])),
            test_items_without_train=len(np.setdiff1d(items[in_test], items[self.assignment == TRAIN])),
        )

    def save(self, folder: Path) -> None:
        """Write the split into `folder` as `split.safetensors`, whole or not at all.

        One int8 tensor `assignment`; the metadata holds kind, seed, drop counts and a fingerprint of the interactions.
        """
        from safetensors.numpy import save

        about = {"format": _FORMAT, "fingerprint": fingerprint(self.interactions), "kind": self.kind}
        numbers = {"seed": self.seed, "unknown": self.dropped_unknown, "repeats": self.dropped_repeats}
        content = save({"assignment": self.assignment}, metadata={**about, "numbers": json.dumps(numbers)})
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{FILE_NAME}.{os.getpid()}"
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path, interactions: Interactions) -> "Split":
        """The split that was saved in `folder`, of the same interactions.

        Raises DataError if there is none, if it is broken, or if it was made of other interactions.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / FILE_NAME
        try:
            with safe_open(path, framework="numpy") as file:
                about: dict[str, str] = file.metadata() or {}
                assignment = file.get_tensor("assignment")
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path}: the split cannot be read: {error}") from error
        if about.get("format") != _FORMAT:
            raise DataError(f"{path}: format {about.get('format')!r}, expected {_FORMAT!r}")
        if about["fingerprint"] != fingerprint(interactions) or len(assignment) != len(interactions):
            raise DataError(
                f"{path}: the split was made of other interactions ({len(assignment):,}, here {len(interactions):,}); "
                f"load the same data with the same filters"
            )
        numbers = json.loads(about["numbers"])
        return cls(interactions, assignment, about["kind"], numbers["seed"], numbers["unknown"], numbers["repeats"])

    def _part(self, part: int) -> Interactions:
        return self.interactions.select(self.assignment == part)


def fingerprint(interactions: Interactions) -> str:
    """A digest of the user and item rows in their order, the same on every platform."""
    digest = hashlib.blake2b(digest_size=16)
    for rows in (interactions.users, interactions.items):
        digest.update(np.ascontiguousarray(rows, dtype="<i4").data)
    return digest.hexdigest()


def split(dataset: Dataset, settings: SplitSettings, seed: int) -> Split:
    """The split of a data set; the same seed gives the same split everywhere, whatever the order of the rows.

    Raises SettingsError if the data lacks what the kind needs (parts, timestamps), and DataError if there is one user
    only or no user is left with a train interaction.
    """
    interactions = dataset.interactions
    users_seen = np.count_nonzero(np.bincount(interactions.users, minlength=1))
    if users_seen < 2:
        raise DataError(f"{dataset.name}: {users_seen} user with interactions; a split needs at least 2")
    kind = settings.kind
    if kind == "auto":
        kind = "ratio" if dataset.parts is None else "official"
    assignment = ASSIGN[kind](dataset, settings, seed)
    unknown = drop_unknown(interactions, assignment) if kind == "global_time" else 0
    repeats = drop_repeats(interactions, assignment) if kind in ("leave_last_out", "global_time") else 0
    if not (assignment == TRAIN).any():
        raise DataError(
            f"{dataset.name}: the {kind} split leaves no user with a train interaction; choose another kind or shares"
        )
    if not (assignment == TEST).any():
        raise DataError(
            f"{dataset.name}: the {kind} split leaves no test interaction; choose another kind or a larger share"
        )
    return Split(interactions, assignment, kind, seed, unknown, repeats)
