"""Weighted sums of rows, one list at a time."""

import numpy as np

from resprout.kernels.contract import F32, I32, Links, Rows
from resprout.kernels.reference.rows import whole


def sum_links(links: Links, first: int, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links`."""
    sum_links_of(links, np.arange(first, first + len(out), dtype=np.int32), source, add, scale, out)


def sum_links_of(links: Links, lists: I32, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links_of`."""
    count = 1 + max(links.ids.max(initial=-1), lists.max(initial=-1))
    source_rows, add_rows = (whole(rows, int(count), out.shape[1]).astype(np.float64) for rows in (source, add))
    for i, r in enumerate(lists):
        its = slice(links.starts[r], links.starts[r + 1])
        out[i] = scale * (add_rows[r] + links.weights[its] @ source_rows[links.ids[its]])


def read_rows(ids: I32, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_rows`."""
    out[:] = whole(source, int(1 + ids.max(initial=-1)), out.shape[1])[ids]


def read_range(first: int, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_range`."""
    out[:] = whole(source, first + len(out), out.shape[1])[first : first + len(out)]
