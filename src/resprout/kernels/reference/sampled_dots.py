"""Dot products of each query with rows of its own: the definition."""

from resprout.kernels.contract import F32, I32, Rows
from resprout.kernels.reference.products import dot
from resprout.kernels.reference.rows import entries


def sampled_dots(queries: F32, ids: I32, source: Rows, out: F32) -> None:
    """See `contract.Backend.sampled_dots`."""
    for i, query in enumerate(queries):
        for k, row in enumerate(ids[i]):
            places, values = entries(source, int(row), len(query))
            out[i, k] = dot(values, query[places])
