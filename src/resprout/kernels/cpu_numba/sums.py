"""Weighted sums of rows: graph smoothing, bags and plain reads, over rows stored in any way."""
# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: ARG001, ARG005
# The compiled functions take rows of any kind, and Numba goes by their types at the call, not by annotations; what it
# chooses among with `overload` must take the same arguments, used or not.

from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange
from numba.extending import overload

from resprout.kernels.contract import F32, I32, I64, U32, Bfloat16Rows, CompactRows, DenseRows, Links, NoRows, Rows
from resprout.kernels.cpu_numba.lent import lent_rows
from resprout.kernels.cpu_numba.passes import passes
from resprout.kernels.cpu_numba.starts import opened
from resprout.kernels.cpu_numba.vectors import sum_row

_PARTS_PER_THREAD = 8  # several parts a thread even out what an estimate by links gets wrong
_LINKS_A_ROW_COSTS = 4  # reading and writing a row of the output, in links
_ALL = np.zeros(0, np.int32)


def sum_links(links: Links, first: int, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links`."""
    parts = even_parts(links.starts[first : first + len(out) + 1])
    _sum(links, _ALL, first, parts, source, add, scale, out.shape[1], out)


def sum_links_bfloat16(links: Links, source: Rows, add: Rows, width: int, out: Bfloat16Rows) -> None:
    """See `contract.Backend.sum_links_bfloat16`."""
    _sum(links, _ALL, 0, even_parts(links.starts), source, add, 1.0, width, out.words)


def sum_links_of(links: Links, lists: I32, source: Rows, add: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.sum_links_of`."""
    ends = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(links.starts[lists + 1] - links.starts[lists], out=ends[1:])
    if len(lists):
        _sum(links, lists, 0, even_parts(ends), source, add, scale, out.shape[1], out)


def read_rows(ids: I32, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_rows`."""
    _read_chunks(ids, 0, source, out.shape[1], out)


def read_range(first: int, source: Rows, out: F32) -> None:
    """See `contract.Backend.read_range`."""
    _read_chunks(_ALL, first, source, out.shape[1], out)


def to_bfloat16(source: Rows, width: int, out: Bfloat16Rows) -> None:
    """See `contract.Backend.to_bfloat16`."""
    _read_chunks(_ALL, 0, source, width, out.words)


def add_range(first: int, source: Rows, scale: float, out: F32) -> None:
    """See `contract.Backend.add_range`."""
    if isinstance(source, CompactRows):
        _add_stored(source.positions[first : first + len(out)], source.values, np.float32(scale), out)
    elif isinstance(source, DenseRows):
        _add_stored(np.arange(first, first + len(out), dtype=np.int32), source.values, np.float32(scale), out)
    elif not isinstance(source, NoRows):
        rows = np.arange(first, first + len(out), dtype=np.int32)
        links = Links(np.arange(len(out) + 1), rows, np.full(len(out), scale, np.float32))
        # reads each row of `out` before it writes it
        sum_links(links, 0, source, DenseRows(out), 1.0, out)


def even_parts(starts: I64) -> I64:
    """Row numbers that cut lists into parts of about the same cost; `starts` as in `Links`, from any offset on."""
    return _cut(starts, max(1, min(len(starts) - 1, _PARTS_PER_THREAD * get_num_threads())))


@njit(cache=True)
def _cut(starts: I64, count: int) -> I64:
    # looks each cut up: summing costs over all rows took up to 4 % of the time of a hop
    rows = starts.size - 1
    total = starts[rows] - starts[0] + _LINKS_A_ROW_COSTS * rows
    parts = np.zeros(count + 1, np.int64)
    for part in range(1, count):
        wanted, above = total * part // count, rows
        row = parts[part - 1]
        while row < above:
            middle = (row + above) // 2
            if starts[middle] - starts[0] + _LINKS_A_ROW_COSTS * middle < wanted:
                row = middle + 1
            else:
                above = middle
        parts[part] = row
    parts[count] = rows
    return parts


def _sum(links: Links, lists: I32, first: int, parts: I64, source: Rows, add: Rows, scale: float, width: int,
         out: F32 | U32) -> None:  # fmt: skip
    count = 0 if lists.size else int(links.starts[first + len(out)] - links.starts[first])
    source, add = opened(lent_rows(source), width, count), lent_rows(add)
    for column, columns, blocks in passes(width):
        place = _place(column, out), column
        _sum_chunk(*links, lists, first, parts, source, add, np.float32(scale), out, *place, columns, blocks)


def _read_chunks(ids: I32, first: int, source: Rows, width: int, out: F32 | U32) -> None:
    source = lent_rows(source)
    for column, columns, blocks in passes(width):
        _read(ids, first, source, out, _place(column, out), column, columns, blocks)


def _place(column: int, out: F32 | U32) -> int:
    """Where the first column of a pass, a multiple of 32, lies in a row of the output."""
    return column if out.dtype == np.float32 else column // 2


@njit(parallel=True, cache=True)
def _sum_chunk(
    starts, ids, weights, lists, first, parts, source, add, scale, out, to, column, width, blocks
):  # fmt: skip
    flat = out.reshape(-1)
    for part in prange(parts.size - 1):
        longest = np.int64(0)
        for i in range(parts[part], parts[part + 1]):
            r = np.int64(lists[i]) if lists.size else first + i
            longest = max(longest, starts[r + 1] - starts[r])
        room = _room(source, longest)
        for i in range(parts[part], parts[part + 1]):
            r = np.int64(lists[i]) if lists.size else first + i
            near = _near(ids, weights, starts[r], starts[r + 1], source, room)
            sum_row(flat, i * out.shape[1] + to, *near, add, r, scale, column, width, blocks)


@njit(parallel=True, cache=True)
def _read(ids, first, source, out, to, column, width, blocks):
    flat = out.reshape(-1)
    no_links, no_weights = np.empty(0, np.int32), np.empty(0, np.float32)
    for i in prange(out.shape[0]):
        row = np.int64(ids[i]) if ids.size else first + i
        sum_row(
            flat, i * out.shape[1] + to, no_links, no_weights, 0, 0, source, source, row, np.float32(1), column, width,
            blocks,
        )  # fmt: skip


@njit(parallel=True, cache=True)
def _add_stored(positions, values, scale, out):
    for i in prange(out.shape[0]):
        position = positions[i]
        if position >= 0:
            for column in range(out.shape[1]):
                out[i, column] += scale * values[position, column]


def _room(source, longest):
    """Room for as many ids and weights; only compact rows need it."""


@overload(_room)
def _room_of(source, longest):
    if _is_compact(source):
        return lambda source, longest: (np.empty(longest, np.int32), np.empty(longest, np.float32))
    return lambda source, longest: (np.empty(0, np.int32), np.empty(0, np.float32))


def _near(ids, weights, begin, end, source, room):
    """The links that reach a stored row, as (ids, weights, begin, end), and the rows that these ids number."""


@overload(_near)
def _near_of(ids, weights, begin, end, source, room):
    if _is_compact(source):
        return _near_compact
    return lambda ids, weights, begin, end, source, room: (ids, weights, begin, end, source)


def _near_compact(ids, weights, begin, end, source, room):
    near_ids, near_weights = room
    near = 0
    for link in range(begin, end):
        # written always, kept only if the row is stored: no branch to mispredict
        position = source.positions[ids[link]]
        near_ids[near] = position
        near_weights[near] = weights[link]
        near += position >= 0
    return near_ids, near_weights, 0, near, DenseRows(source.values)


def _is_compact(rows: Any) -> bool:
    return getattr(rows, "instance_class", None) is CompactRows
