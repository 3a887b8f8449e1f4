"""Repeated row numbers brought together, so that each row is read or updated once."""

import numpy as np
from numba import njit

from resprout.kernels.contract import I32, I64, Groups


def group_ids(ids: I32, positions: I32) -> Groups:
    """See `contract.Backend.group_ids`."""
    unique, places, counts = np.empty_like(ids), np.empty_like(ids), np.empty_like(ids)
    found = _number(ids, positions, unique, places, counts)
    starts = np.zeros(found + 1, np.int64)
    np.cumsum(counts[:found], out=starts[1:])
    members = np.empty_like(ids)
    _collect(places, starts[:-1].copy(), members)
    return Groups(unique[:found].copy(), places, starts, members)


@njit(cache=True)
def _number(ids: I32, positions: I32, unique: I32, places: I32, counts: I32) -> int:
    found = 0
    for k in range(ids.size):
        place = positions[ids[k]]
        if place < 0:
            place = found
            positions[ids[k]] = place
            unique[place] = ids[k]
            counts[place] = 0
            found += 1
        places[k] = place
        counts[place] += 1
    return found


@njit(cache=True)
def _collect(places: I32, ends: I64, members: I32) -> None:
    for k in range(places.size):
        place = places[k]
        members[ends[place]] = k
        ends[place] += 1
