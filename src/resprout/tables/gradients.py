"""Gradients of a table as recipes: what an operation must remember so that any block of rows can be made in passing."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from resprout.kernels.contract import F32, I32, Backend, CompactRows, DenseRows, Groups, Links, NoRows, Rows


class Gradient(Protocol):
    """The gradient of a table that one operation left behind."""

    def put(self, first: int, out: F32, add: bool) -> None:
        """Rows `first` to `first + len(out)` into `out`, or added to it."""

    def release(self) -> None:
        """Gives back what the gradient has borrowed; it is not used afterwards."""


class RowGradient:
    """Gradient of `rows`, `bags` and `sampled_scores`: the rows of a batch, all others zero."""

    def __init__(self, rows: CompactRows, backend: Backend) -> None:
        self.rows, self.backend = rows, backend

    def put(self, first: int, out: F32, add: bool) -> None:
        """See `Gradient.put`."""
        if add:
            self.backend.add_range(first, self.rows, 1.0, out)
        else:
            self.backend.read_range(first, self.rows, out)

    def release(self) -> None:
        """See `Gradient.release`."""


class SmoothedGradient:
    """Gradient of `smoothed_rows`: the last of its backward hops is left to be made block by block."""

    def __init__(
        self, links: Links, behind: Rows, batch: CompactRows, backend: Backend, release: Callable[[], None]
    ) -> None:
        self.links, self.behind, self.batch, self.backend = links, behind, batch, backend
        self.release = release

    def put(self, first: int, out: F32, add: bool) -> None:
        """See `Gradient.put`."""
        target = np.empty_like(out) if add else out
        self.backend.sum_links(self.links, first, self.behind, self.batch, 1.0, target)
        if add:
            out += target


class ScoreGradient:
    """Gradient of `scores`: the product of the scores' gradient `[batch, rows]` and the queries `[batch, width]`."""

    def __init__(self, scores: torch.Tensor, queries: torch.Tensor) -> None:
        self.scores, self.queries = scores, queries

    def put(self, first: int, out: F32, add: bool) -> None:
        """See `Gradient.put`."""
        target = torch.from_numpy(out)
        target.addmm_(self.scores[:, first : first + len(out)].T, self.queries, beta=1 if add else 0)

    def release(self) -> None:
        """See `Gradient.release`."""


class DecayGradient:
    """Gradient of `half_squares`: the rows themselves, times a weight."""

    def __init__(self, rows: Rows, weight: float, backend: Backend) -> None:
        self.rows, self.weight, self.backend = rows, weight, backend

    def put(self, first: int, out: F32, add: bool) -> None:
        """See `Gradient.put`."""
        if not add:
            out[:] = 0
        self.backend.add_range(first, self.rows, self.weight, out)

    def release(self) -> None:
        """See `Gradient.release`."""


def sum_by_row(groups: Groups, table_rows: int, links: Links, gradients: F32, backend: Backend) -> CompactRows:
    """The gradients of a batch summed by row of the table.

    links: for each of `groups.unique` the gradients that fall to it, with their weights.
    """
    values = np.empty((len(groups.unique), gradients.shape[1]), np.float32)
    backend.sum_links(links, 0, DenseRows(gradients), NoRows(), 1.0, values)
    return compact_rows(groups.unique, table_rows, values)


def compact_rows(unique: I32, table_rows: int, values: F32) -> CompactRows:
    """Rows `unique`, which are `values`, out of `table_rows`, whose others are zero."""
    positions = np.full(table_rows, -1, np.int32)
    positions[unique] = np.arange(len(unique), dtype=np.int32)
    return CompactRows(positions, values)
