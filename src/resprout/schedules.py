"""Shares and rates that fall over training."""

import math
from typing import Literal

Decay = Literal["cosine", "linear", "constant"]


def decayed(kind: Decay, done: float) -> float:
    """The factor from 1 at the start to 0 at the end of training, at the share `done` of it.

    cosine: `(1 + cos(pi t / T)) / 2`, DSL's default; linear: `1 - t / T`; constant: 1 (its Table 4).

    >>> [decayed("cosine", 0.5), decayed("linear", 0.25), decayed("constant", 1.0)]
    [0.5, 0.75, 1.0]
    """
    if kind == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1 - done if kind == "linear" else 1.0
