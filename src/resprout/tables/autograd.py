"""The operations that a backbone may use on a table, as functions that torch can differentiate.

The gradient of the table itself is never an array: each operation's backward pass leaves a recipe in `table.pending`.
"""

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from resprout.kernels.contract import F32, I32, I64, Backend, CompactRows, DenseRows, Groups, Links, NoRows, Rows
from resprout.tables.gradients import DecayGradient, RowGradient, ScoreGradient, compact_rows, sum_by_row
from resprout.tables.smoothing import Smoothing
from resprout.tables.table import Table, aligned_empty, row_blocks


def rows(table: Table, ids: I32) -> torch.Tensor:
    """Rows `ids` (they may repeat) as `[ids, width]`."""
    out: torch.Tensor = _Rows.apply(table.anchor, table, ids)
    return out


def bags(table: Table, ids: I32, starts: I64, weights: F32) -> torch.Tensor:
    """Weighted sums of rows, `[bags, width]`: bag `b` has ids and weights from `starts[b]` to `starts[b + 1]`."""
    out: torch.Tensor = _Bags.apply(table.anchor, table, Links(starts, ids, weights))
    return out


def scores(table: Table, queries: torch.Tensor) -> torch.Tensor:
    """Products of queries `[batch, width]` and all rows, `[batch, rows]`."""
    out: torch.Tensor = _Scores.apply(table.anchor, queries, table)
    return out


def sampled_scores(table: Table, queries: torch.Tensor, ids: I32) -> torch.Tensor:
    """Products `[batch, n]` of queries `[batch, width]` with rows of their own: `ids` `[batch, n]`, they may repeat."""
    out: torch.Tensor = _SampledScores.apply(table.anchor, queries, table, np.ascontiguousarray(ids))
    return out


def sampled_products(queries: torch.Tensor, vectors: torch.Tensor, ids: I32, backend: Backend) -> torch.Tensor:
    """As `sampled_scores`, with vectors `[vectors, width]` that are no table's, and a gradient of theirs."""
    out: torch.Tensor = _SampledProducts.apply(queries, vectors, np.ascontiguousarray(ids), backend)
    return out


def smoothed_rows(table: Table, smoothing: Smoothing, ids: I32) -> torch.Tensor:
    """Rows `ids` (they may repeat; nodes of the graph) of the table smoothed over a graph, `[ids, width]`."""
    out: torch.Tensor = _SmoothedRows.apply(table.anchor, table, smoothing, ids)
    return out


def half_squares(table: Table) -> torch.Tensor:
    """Half the sum of squares of all weights that exist, a scalar: its gradient is the table itself (weight decay)."""
    out: torch.Tensor = _HalfSquares.apply(table.anchor, table)
    return out


def half_squares_of(table: Table, ids: I32) -> torch.Tensor:
    """Half the sum of squares of rows `ids` (they may repeat, and count as often), a scalar."""
    out: torch.Tensor = _HalfSquaresOf.apply(table.anchor, table, ids)
    return out


def _array(tensor: torch.Tensor) -> F32:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


def _group(rows: int, ids: I32, backend: Backend) -> Groups:
    return backend.group_ids(ids, np.full(rows, -1, np.int32))


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: Table, ids: I32) -> torch.Tensor:
        ctx.table, ctx.ids = table, ids
        return torch.from_numpy(table.read(ids))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        count = len(ctx.ids)
        _leave_links(ctx.table, ctx.ids, np.arange(count, dtype=np.int32), np.ones(count, np.float32), _array(gradient))
        return None, None, None


class _Bags(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: Table, bags: Links) -> torch.Tensor:
        ctx.table, ctx.bags = table, bags
        out = aligned_empty(len(bags.starts) - 1, table.shape.width)
        table.backend.sum_links(bags, 0, table.stored, NoRows(), 1.0, out)
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        bags = ctx.bags
        bag_of_link = np.repeat(np.arange(len(bags.starts) - 1, dtype=np.int32), np.diff(bags.starts))
        _leave_links(ctx.table, bags.ids, bag_of_link, bags.weights, _array(gradient))
        return None, None, None


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, queries: torch.Tensor, table: Table) -> torch.Tensor:
        # products by torch, not NumPy: the threads of OpenBLAS go on spinning and take the cores from the kernels
        ctx.table, ctx.queries = table, queries.detach()
        out = torch.empty((len(queries), table.shape.rows))
        for first, last in row_blocks(table.shape):
            block = torch.from_numpy(table.read_range(first, last))
            torch.mm(ctx.queries, block.T, out=out[:, first:last])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor, None]:
        table, of_queries = ctx.table, torch.zeros_like(ctx.queries)
        for first, last in row_blocks(table.shape):
            of_queries.addmm_(gradient[:, first:last], torch.from_numpy(table.read_range(first, last)))
        table.pending.append(ScoreGradient(gradient, ctx.queries))
        return None, of_queries, None


class _SampledScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, queries: torch.Tensor, table: Table, ids: I32) -> torch.Tensor:
        ctx.table, ctx.queries, ctx.ids = table, _array(queries), ids
        out = np.empty(ids.shape, np.float32)
        table.backend.sampled_dots(ctx.queries, ids, table.stored, out)
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        table, queries, ids, weights = ctx.table, ctx.queries, ctx.ids, _array(gradient).reshape(-1)
        of_queries = _of_queries(queries, ids, weights, table.stored, table.backend)
        _leave_links(table, ids.reshape(-1), _query_of_each(ids), weights, queries)
        return None, of_queries, None, None


class _SampledProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor, vectors: torch.Tensor, ids: I32, backend: Backend) -> torch.Tensor:
        ctx.queries, ctx.vectors, ctx.ids, ctx.backend = _array(queries), _array(vectors), ids, backend
        out = np.empty(ids.shape, np.float32)
        backend.sampled_dots(ctx.queries, ids, DenseRows(ctx.vectors), out)
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        queries, vectors, ids, backend = ctx.queries, ctx.vectors, ctx.ids, ctx.backend
        weights, of_vectors = _array(gradient).reshape(-1), aligned_empty(*vectors.shape)
        of_queries = _of_queries(queries, ids, weights, DenseRows(vectors), backend)
        summed = _summed(len(vectors), ids.reshape(-1), _query_of_each(ids), weights, queries, backend)
        backend.read_range(0, summed, of_vectors)
        return of_queries, torch.from_numpy(of_vectors), None, None


class _SmoothedRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: Table, smoothing: Smoothing, ids: I32) -> torch.Tensor:
        ctx.table, ctx.smoothing, ctx.groups = table, smoothing, _group(smoothing.nodes, ids, table.backend)
        unique = smoothing.rows_of(table.stored, ctx.groups.unique, table.shape.width, table.backend)
        return torch.from_numpy(unique)[torch.from_numpy(ctx.groups.places)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None, None]:
        table, smoothing, groups = ctx.table, ctx.smoothing, ctx.groups
        share = np.full(len(groups.members), smoothing.scale, np.float32)
        links = Links(groups.starts, groups.members, share)
        batch = sum_by_row(groups, smoothing.nodes, links, _array(gradient), table.backend)
        table.pending.append(smoothing.gradient(batch, table.shape.width, table.backend))
        return None, None, None, None


class _HalfSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: Table) -> torch.Tensor:
        ctx.table = table
        return torch.tensor(table.squares() / 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None]:
        table = ctx.table
        table.pending.append(DecayGradient(table.stored, gradient.item(), table.backend))
        return None, None


class _HalfSquaresOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: Table, ids: I32) -> torch.Tensor:
        groups = _group(table.shape.rows, ids, table.backend)
        ctx.table, ctx.unique, ctx.rows = table, groups.unique, table.read(groups.unique)
        ctx.counts = np.diff(groups.starts).astype(np.float32)
        return torch.tensor(np.dot(ctx.counts, np.einsum("ij,ij->i", ctx.rows, ctx.rows)) / 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        weights = ctx.counts * np.float32(gradient.item())
        summed = compact_rows(ctx.unique, ctx.table.shape.rows, ctx.rows * weights[:, None])
        ctx.table.pending.append(RowGradient(summed, ctx.table.backend))
        return None, None, None


def _leave_links(table: Table, ids: I32, source_of_link: I32, weights: F32, source: F32) -> None:
    """Leaves as gradient: row `ids[k]` gets `weights[k] * source[source_of_link[k]]`, for every link k."""
    summed = _summed(table.shape.rows, ids, source_of_link, weights, source, table.backend)
    table.pending.append(RowGradient(summed, table.backend))


def _summed(rows: int, ids: I32, source_of_link: I32, weights: F32, source: F32, backend: Backend) -> CompactRows:
    """Of so many rows: row `ids[k]` is the sum of `weights[k] * source[source_of_link[k]]` over its links k."""
    groups = _group(rows, ids, backend)
    links = Links(groups.starts, source_of_link[groups.members], weights[groups.members])
    return sum_by_row(groups, rows, links, source, backend)


def _of_queries(queries: F32, ids: I32, weights: F32, source: Rows, backend: Backend) -> torch.Tensor:
    """The gradient of queries whose products with rows `ids` `[batch, n]` have the gradient `weights`, flat."""
    batch, count = ids.shape
    starts, out = np.arange(batch + 1, dtype=np.int64) * count, aligned_empty(*queries.shape)
    backend.sum_links(Links(starts, ids.reshape(-1), weights), 0, source, NoRows(), 1.0, out)
    return torch.from_numpy(out)


def _query_of_each(ids: I32) -> I32:
    batch, count = ids.shape
    return np.repeat(np.arange(batch, dtype=np.int32), count)
