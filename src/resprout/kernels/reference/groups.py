"""Repeated row numbers brought together."""

import numpy as np

from resprout.kernels.contract import I32, Groups


def group_ids(ids: I32, positions: I32) -> Groups:
    """See `contract.Backend.group_ids`."""
    unique = np.array(list(dict.fromkeys(ids.tolist())), np.int32)
    positions[unique] = np.arange(len(unique), dtype=np.int32)
    places = positions[ids]
    starts = np.zeros(len(unique) + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(places, minlength=len(unique)))
    return Groups(unique, places, starts, np.argsort(places, kind="stable").astype(np.int32))
