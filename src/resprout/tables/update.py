"""One update of all tables: the same rate and number for each, of which every kind of table makes its own rule."""

import math
from dataclasses import dataclass

from resprout.kernels.contract import AdamStep, RowStep
from resprout.rng import stream_key

_LOW = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9
"""The golden ratio's fraction, in 32 bits: its multiples are spread over all fractions as evenly as any."""


@dataclass(frozen=True)
class Update:
    """Update `number`, from 1, at learning rate `rate`. seed: of what is rounded at random."""

    rate: float
    number: int
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    seed: int = 0

    @property
    def adam(self) -> AdamStep:
        """As a step of Adam."""
        return AdamStep(self.rate / (1 - self.beta_1**self.number), self._root, self.beta_1, self.beta_2, self.epsilon)

    def by_row(self, table: str) -> RowStep:
        """As a step with one second moment a row and none of first order."""
        key = stream_key(self.seed, "round", table, self.number) & _LOW
        offsets, phase = stream_key(self.seed, "offsets", table) & _LOW, self.number * _GOLDEN & _LOW
        return RowStep(self.rate, self._root, self.beta_2, self.epsilon, key, offsets, phase)

    @property
    def _root(self) -> float:
        return 1 / math.sqrt(1 - self.beta_2**self.number)
