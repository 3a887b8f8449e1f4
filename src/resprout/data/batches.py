"""Batches as a function of seed, epoch and position alone, so that training can go on from any step."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resprout.data.histories import Histories
from resprout.data.negatives import draw_negatives
from resprout.rng import stream

I32 = NDArray[np.int32]
Sampling = Literal["user", "interaction"]


@dataclass(frozen=True, eq=False)
class Triplets:
    """Users with an item each interacted with and one each did not; int32 `[batch]`."""

    users: I32
    positives: I32
    negatives: I32


@dataclass(frozen=True, eq=False)
class TripletBatches:
    """Batches of triplets; an epoch has about as many triplets as there are interactions.

    sampling: "user" draws users uniformly, then one of the user's items (the released code of LightGCN);
    "interaction" takes each interaction once an epoch, in random order.
    """

    histories: Histories
    batch_size: int
    seed: int
    sampling: Sampling
    _orders: dict[int, I32] = field(default_factory=dict)

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.histories) // self.batch_size)

    def batch(self, epoch: int, index: int) -> Triplets:
        """The batch at that place, always the same one."""
        random = stream(self.seed, "batches", epoch, index)
        if self.sampling == "user":
            return self._of_random_users(random, self.batch_size)
        places = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
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
        return Triplets(users, self.histories.items[places], draw_negatives(random, self.histories, users))

    def _of_interactions(self, random: np.random.Generator, places: I32) -> Triplets:
        users = (np.searchsorted(self.histories.starts, places, side="right") - 1).astype(np.int32)
        return Triplets(users, self.histories.items[places], draw_negatives(random, self.histories, users))

    def _order(self, epoch: int) -> I32:
        if epoch not in self._orders:
            order = stream(self.seed, "order", epoch).permutation(len(self.histories)).astype(np.int32)
            self._orders.clear()  # one epoch's order at a time
            self._orders[epoch] = order
        return self._orders[epoch]
