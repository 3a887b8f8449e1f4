"""Batches as a function of seed, epoch and position alone, so that training can go on from any step."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from resprout.data.histories import Histories
from resprout.data.negatives import draw_negatives
from resprout.rng import stream

I32 = NDArray[np.int32]
Sampling = Literal["user", "interaction"]
Draw = Callable[[np.random.Generator, Histories, I32], I32]


class Batches(Protocol):
    """Batches as a function of epoch and position. A batch, of whatever kind, has `users`, int32 `[batch]`."""

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""

    def batch(self, epoch: int, index: int) -> Any:
        """The batch at that place."""

    def fresh(self, step: int, factor: int) -> Any:
        """A random batch, `factor` times as large, that depends on the step alone."""


@dataclass(frozen=True, eq=False)
class Triplets:
    """Users with an item each interacted with, int32 `[batch]`, and items that stand for those they did not.

    negatives: `[batch]`, unless the model asks for several: `[batch, n]`, or `[n]` that the batch shares.
    """

    users: I32
    positives: I32
    negatives: I32


@dataclass(frozen=True, eq=False)
class Users:
    """Whole users, int32 `[batch]`, for models that read a user's history."""

    users: I32


class _Orders:
    """Row numbers in the random order of an epoch; that of one epoch is kept."""

    def __init__(self, seed: int, rows: I32) -> None:
        self._seed, self._rows = seed, rows
        self._epoch, self._order = -1, rows

    def of(self, epoch: int) -> I32:
        """The order of that epoch, always the same one."""
        if epoch != self._epoch:
            self._order = stream(self._seed, "order", epoch).permutation(self._rows)
            self._epoch = epoch
        return self._order


@dataclass(frozen=True, eq=False)
class TripletBatches:
    """Batches of triplets; an epoch has about as many triplets as there are interactions.

    sampling: "user" draws users uniformly, then one of the user's items (the released code of LightGCN);
    "interaction" takes each interaction once an epoch, in random order.
    draw: makes the negatives, one a user by default.
    """

    histories: Histories
    batch_size: int
    seed: int
    sampling: Sampling
    draw: Draw = draw_negatives

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.histories) // self.batch_size)

    def batch(self, epoch: int, index: int) -> Triplets:
        """The batch at that place, always the same one."""
        random = stream(self.seed, "batches", epoch, index)
        if self.sampling == "user":
            return self._of_random_users(random, self.batch_size)
        places = self._orders.of(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        return self._of_interactions(random, places)

    def fresh(self, step: int, factor: int) -> Triplets:
        """A random batch, `factor` times as large, that depends on the step alone."""
        random = stream(self.seed, "fresh batches", step)
        if self.sampling == "user":
            return self._of_random_users(random, factor * self.batch_size)
        size = factor * self.batch_size
        return self._of_interactions(random, random.integers(len(self.histories), size=size, dtype=np.int32))

    def _of_random_users(self, random: np.random.Generator, size: int) -> Triplets:
        starts, counts = self.histories.starts, self.histories.counts
        active = np.flatnonzero(counts).astype(np.int32)
        users = active[random.integers(len(active), size=size)]
        places = starts[users] + random.integers(counts[users])
        return Triplets(users, self.histories.items[places], self.draw(random, self.histories, users))

    def _of_interactions(self, random: np.random.Generator, places: I32) -> Triplets:
        users = (np.searchsorted(self.histories.starts, places, side="right") - 1).astype(np.int32)
        return Triplets(users, self.histories.items[places], self.draw(random, self.histories, users))

    @cached_property
    def _orders(self) -> _Orders:
        return _Orders(self.seed, np.arange(len(self.histories), dtype=np.int32))


@dataclass(frozen=True, eq=False)
class UserBatches:
    """Batches of users with a history, each once an epoch, in random order."""

    histories: Histories
    batch_size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-len(self._active) // self.batch_size)

    def batch(self, epoch: int, index: int) -> Users:
        """The batch at that place, always the same one."""
        return Users(self._orders.of(epoch)[index * self.batch_size : (index + 1) * self.batch_size])

    def fresh(self, step: int, factor: int) -> Users:
        """A random batch, `factor` times as large if there are as many users, that depends on the step alone."""
        size = min(len(self._active), factor * self.batch_size)
        return Users(stream(self.seed, "fresh batches", step).choice(self._active, size, replace=False))

    @cached_property
    def _orders(self) -> _Orders:
        return _Orders(self.seed, self._active)

    @cached_property
    def _active(self) -> I32:
        return np.flatnonzero(self.histories.counts).astype(np.int32)
