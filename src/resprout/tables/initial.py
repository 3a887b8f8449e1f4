"""How a table is filled before training."""

import math
from dataclasses import dataclass, replace

from resprout.budget import Shape
from resprout.rng import stream_key

_KEY_MASK = 2**64 - 1


@dataclass(frozen=True)
class Start:
    """Starting values: each a function of seed, table and position alone, so every storage starts alike.

    kind: "normal" (N(0, scale^2)), "uniform" (U(-scale, scale)) or "xavier" (Glorot & Bengio 2010, eq. 16, x scale).
    """

    kind: str
    scale: float
    seed: int

    def scaled(self, factor: float) -> "Start":
        """The same values times `factor`."""
        return replace(self, scale=self.scale * factor)

    def key(self, table: str) -> int:
        """64-bit key of the table's values."""
        return stream_key(self.seed, "start", table) & _KEY_MASK

    def mask_key(self, table: str) -> int:
        """64-bit key of the table's random mask."""
        return stream_key(self.seed, "mask", table) & _KEY_MASK

    def spread(self, shape: Shape) -> tuple[bool, float]:
        """Whether values are uniform, and their bound (else their standard deviation)."""
        if self.kind == "xavier":
            return True, self.scale * math.sqrt(6 / (shape.rows + shape.width))
        return self.kind == "uniform", self.scale
