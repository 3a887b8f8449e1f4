"""Weighted sums of rows, one link at a time."""

import numpy as np

from resprout.kernels.contract import F32, I32, Bfloat16Rows, Links, Rows
from resprout.kernels.reference.products import add_products
from resprout.kernels.reference.rows import bfloat16_of, entries, whole


def sum_links(links: Links, first: int, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links`."""
    sum_links_of(links, np.arange(first, first + len(out), dtype=np.int32), source, add, scale, out)


def sum_links_bfloat16(links: Links, source: Rows, add: Rows, width: int, out: Bfloat16Rows) -> None:
    """See `contract.Backend.sum_links_bfloat16`."""
    sums = np.empty((len(out.words), width), np.float32)
    sum_links(links, 0, source, add, 1.0, sums)
    out.words[:] = bfloat16_of(sums)


def sum_links_of(links: Links, lists: I32, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links_of`."""
    width = out.shape[1]
    for i, r in enumerate(lists):
        total = np.zeros(width)
        places, values = entries(add, r, width)
        total[places] = values
        for k in range(links.starts[r], links.starts[r + 1]):
            add_products(total, *entries(source, links.ids[k], width), links.weights[k])
        out[i] = scale * total


def read_rows(ids: I32, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_rows`."""
    out[:] = whole(source, int(1 + ids.max(initial=-1)), out.shape[1])[ids]


def read_range(first: int, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_range`."""
    out[:] = whole(source, first + len(out), out.shape[1])[first : first + len(out)]


def to_bfloat16(source: Rows, width: int, out: Bfloat16Rows) -> None:
    """See `contract.Backend.to_bfloat16`."""
    out.words[:] = bfloat16_of(whole(source, len(out.words), width))


def add_range(first: int, source: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.add_range`."""
    out += np.float32(scale) * whole(source, first + len(out), out.shape[1])[first : first + len(out)]
