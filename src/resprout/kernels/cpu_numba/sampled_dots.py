"""Dot products of each query with rows of its own, without a copy of these rows."""
# mypy: allow-untyped-defs, allow-untyped-calls

from numba import njit, prange

from resprout.kernels.contract import F32, I32, Rows
from resprout.kernels.cpu_numba.lent import lent_rows
from resprout.kernels.cpu_numba.passes import passes
from resprout.kernels.cpu_numba.starts import opened
from resprout.kernels.cpu_numba.vectors import dot_row


def sampled_dots(queries: F32, ids: I32, source: Rows, out: F32) -> None:
    """See `contract.Backend.sampled_dots`."""
    source = opened(lent_rows(source), queries.shape[1], ids.size)
    for column, width, blocks in passes(queries.shape[1]):
        _add_products(queries, ids, source, out, column, width, blocks)


@njit(parallel=True, cache=True)
def _add_products(queries, ids, source, out, column, width, blocks):
    flat_queries, flat_ids = queries.reshape(-1), ids.reshape(-1)
    for i in prange(ids.shape[0]):
        for k in range(ids.shape[1]):
            link = i * ids.shape[1] + k
            product = dot_row(
                flat_queries, i * queries.shape[1] + column, flat_ids, link, source, column, width, blocks
            )
            out[i, k] = product if column == 0 else out[i, k] + product
