"""One seed, many named random streams: what is drawn for one purpose never shifts what is drawn for another."""

import hashlib

import numpy as np


def stream_key(seed: int, *names: str | int) -> int:
    """A 128-bit key for the stream called `names` under `seed`; the same on every platform.

    >>> stream_key(0, "split") == stream_key(0, "split")
    True
    >>> stream_key(0, "split") == stream_key(0, "batches")
    False
    """
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for the purpose called `names` (for instance `stream(seed, "negatives", epoch)`).

    Philox is counter-based: any epoch's or row block's stream is made directly, without drawing those before it.
    """
    return np.random.Generator(np.random.Philox(key=stream_key(seed, *names)))
