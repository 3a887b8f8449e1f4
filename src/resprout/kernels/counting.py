"""A backend that counts the multiply-adds of another, by what it is given and without slowing it down.

A sum over rows makes one for each link and each weight or activation that its row stores: the slots of a packed row,
all of a dense or stored compact one, none of another; so does a product with a row. Not counted: vector lanes without a
slot, the row that is added and the factor that the sum is scaled by, Adam; and products of rankings, whose number the
model knows.
"""

from typing import Any

import numpy as np

from resprout.kernels.contract import (
    F32,
    I32,
    Backend,
    Bfloat16Rows,
    BitRows,
    CompactRows,
    DenseRows,
    HalfRows,
    Int8Rows,
    Links,
    MaskedRows,
    PrefixRows,
    Rows,
)


class CountingBackend:
    """Hands every call on to `backend`, and counts the multiply-adds of the sums in `multiply_adds`."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.multiply_adds = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def sum_links(self, links: Links, first: int, source: Rows, add: Rows, scale: float, out: F32) -> None:
        """See `contract.Backend.sum_links`."""
        self._count(links.ids[links.starts[first] : links.starts[first + len(out)]], source, out.shape[1])
        self.backend.sum_links(links, first, source, add, scale, out)

    def sum_links_bfloat16(self, links: Links, source: Rows, add: Rows, width: int, out: Bfloat16Rows) -> None:
        """See `contract.Backend.sum_links_bfloat16`."""
        self._count(links.ids, source, width)
        self.backend.sum_links_bfloat16(links, source, add, width, out)

    def sum_links_of(self, links: Links, lists: I32, source: Rows, add: Rows, scale: float, out: F32) -> None:
        """See `contract.Backend.sum_links_of`."""
        for r in lists:
            self._count(links.ids[links.starts[r] : links.starts[r + 1]], source, out.shape[1])
        self.backend.sum_links_of(links, lists, source, add, scale, out)

    def sampled_dots(self, queries: F32, ids: I32, source: Rows, out: F32) -> None:
        """See `contract.Backend.sampled_dots`."""
        self._count(ids.reshape(-1), source, queries.shape[1])
        self.backend.sampled_dots(queries, ids, source, out)

    def _count(self, ids: I32, source: Rows, width: int) -> None:
        if isinstance(source, DenseRows | Int8Rows | HalfRows | Bfloat16Rows | BitRows):
            self.multiply_adds += len(ids) * width
        elif isinstance(source, MaskedRows):
            self.multiply_adds += int(np.bitwise_count(source.mask[ids]).sum(dtype=np.int64))
        elif isinstance(source, PrefixRows):
            self.multiply_adds += int(source.lengths[ids].sum(dtype=np.int64))
        elif isinstance(source, CompactRows):
            self.multiply_adds += int((source.positions[ids] >= 0).sum()) * width
