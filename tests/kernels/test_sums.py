from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kernel_makers import (
    F64,
    KINDS,
    SERVED,
    STORED_WIDTHS,
    SUMMED,
    WIDTHS,
    fenced,
    floats_of,
    fresh,
    make_links,
    make_rows,
    mask_bits,
    nothing_before,
    words_of,
)
from numpy.typing import NDArray

from resprout.kernels import cpu_numba
from resprout.kernels.contract import (
    F32,
    Bfloat16Rows,
    CompactRows,
    DenseRows,
    Links,
    NoRows,
    PackedRows,
    bfloat16_words,
)
from resprout.kernels.cpu_numba.sampled_dots import _add_products
from resprout.kernels.cpu_numba.sums import _read, _sum_chunk, even_parts
from resprout.rng import stream

ROWS = 19  # packed ones have three starts, the last of fewer rows
LISTS = 22  # more lists than rows: `add` has as many rows as there are lists
SHORTENED = [("dense", width) for width in WIDTHS] + [(kind, 40) for kind in KINDS if kind != "dense"]


def assert_sums(out: F32, links: Links, lists: NDArray[Any] | range, source: F64, add: F64, scale: float = 1.0) -> None:
    """Against sums in float64; float32 may be off by its rounding of the terms."""
    for i, r in enumerate(lists):
        total, size = add[r].copy(), np.abs(add[r])
        for k in range(links.starts[r], links.starts[r + 1]):
            total += np.float64(links.weights[k]) * source[links.ids[k]]
            size += np.abs(links.weights[k] * source[links.ids[k]])
        assert (np.abs(out[i] - scale * total) <= 1e-5 * abs(scale) * size).all()
    assert nothing_before(out)


def nearest(table: F32) -> NDArray[np.uint16]:
    """Upper halves of the nearest bfloat16 numbers, by distance; ties to the even one."""
    bits = table.view(np.uint32)
    down, up = (bits >> 16).astype(np.uint16), ((bits >> 16) + 1).astype(np.uint16)
    to_below, to_above = np.abs(table - floats_of(down)), np.abs(floats_of(up) - table)
    return np.where((to_below < to_above) | ((to_below == to_above) & (down % 2 == 0)), down, up)


def fresh_words(rows: int, width: int) -> Bfloat16Rows:
    return Bfloat16Rows(fenced(np.full((rows, bfloat16_words(width)), 0xFFFFFFFF, np.uint32)))


def test_known_sums(backend: ModuleType) -> None:
    # rows 0: (1, 2, -), 1: (-, -, 3), 2: (-, -, -), 3: (4, 5, 6), slots side by side
    active = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]], bool)
    values = fenced(np.arange(1, 7, dtype=np.float32))
    rows = PackedRows(mask_bits(active), fenced(np.array([0, 2, 3, 3, 6], np.int32)), values)
    starts, ids = np.array([0, 0, 3, 4]), np.array([0, 3, 3, 1], np.int32)
    links = Links(fenced(starts), fenced(ids), fenced(np.array([10, 1, -2, 100], np.float32)))
    add = DenseRows(fenced(np.array([[1, 1, 1], [2, 2, 2], [0, 0, 7]], np.float32)))
    out = fresh(3, 3)
    backend.sum_links(links, 0, rows, add, 0.5, out)
    assert out.tolist() == [[0.5, 0.5, 0.5], [4, 8.5, -2], [0, 0, 153.5]]
    out = fresh(3, 3)
    backend.sum_links_of(links, fenced(np.array([2, 1, 2], np.int32)), rows, NoRows(), 2.0, out)
    assert out.tolist() == [[0, 0, 600], [12, 30, -12], [0, 0, 600]]
    out = fresh(3, 3)
    backend.read_rows(fenced(np.array([3, 2, 0], np.int32)), rows, out)
    assert out.tolist() == [[4, 5, 6], [0, 0, 0], [1, 2, 0]]
    out = fresh(2, 3)
    backend.read_range(
        1, CompactRows(np.array([-1, 1, -1], np.int32), np.array([[7, 8, 9], [1, 2, 3]], np.float32)), out
    )
    assert out.tolist() == [[1, 2, 3], [0, 0, 0]]


@pytest.mark.parametrize(("kind", "width"), STORED_WIDTHS)
def test_sums_at_every_width(backend: ModuleType, kind: str, width: int) -> None:
    links = make_links(LISTS, ROWS)
    (source, source_table), (add, add_table) = make_rows(kind, ROWS, width), make_rows(kind, LISTS, width, name="add")
    out = fresh(LISTS - 2, width)
    backend.sum_links(links, 2, source, add, -0.7, out)
    assert_sums(out, links, range(2, LISTS), source_table, add_table, -0.7)


@pytest.mark.parametrize(("source_kind", "add_kind"), SUMMED)
def test_sums_of_every_kind(backend: ModuleType, source_kind: str, add_kind: str) -> None:
    links, width = make_links(LISTS, ROWS), 40
    source, source_table = make_rows(source_kind, ROWS, width)
    add, add_table = make_rows(add_kind, LISTS, width, name="add")
    out = fresh(LISTS, width)
    backend.sum_links(links, 0, source, add, 1.5, out)
    assert_sums(out, links, range(LISTS), source_table, add_table, 1.5)
    lists = fenced(np.array([5, 2, 11, 2, 0, 2], np.int32))
    out = fresh(len(lists), width)
    backend.sum_links_of(links, lists, source, add, 1.5, out)
    assert_sums(out, links, lists, source_table, add_table, 1.5)


@pytest.mark.parametrize("width", [40, 129])
@pytest.mark.parametrize("starts", [np.int32, np.int64])
def test_both_widths_of_starts(backend: ModuleType, width: int, starts: type) -> None:
    links = make_links(LISTS, ROWS)
    source, source_table = make_rows("packed", ROWS, width, starts)
    add, add_table = make_rows("packed", LISTS, width, starts, "add")
    out = fresh(LISTS, width)
    backend.sum_links(links, 0, source, add, 1.0, out)
    assert_sums(out, links, range(LISTS), source_table, add_table)
    read = fresh(ROWS, width)
    backend.read_range(0, source, read)
    np.testing.assert_array_equal(read, source_table)


@pytest.mark.parametrize(("kind", "width"), [one for one in STORED_WIDTHS if one[0].startswith(("packed", "prefix"))])
def test_few_links_of_many_rows(backend: ModuleType, kind: str, width: int) -> None:
    """Of rows whose starts are made anew for many links of few rows: here they are counted link by link."""
    links, source = make_links(3, 300, longest=9), make_rows(kind, 300, width)
    out = fresh(3, width)
    backend.sum_links(links, 0, source[0], source[0], 1.0, out)
    assert_sums(out, links, range(3), source[1], source[1])
    queries = fenced(stream(0, "queries", width).standard_normal((4, width)).astype(np.float32))
    ids = fenced(np.array([[0], [299], [8], [23]], np.int32))
    products = fresh(4, 1)
    backend.sampled_dots(queries, ids, source[0], products)
    expected = np.einsum("ij,ij->i", queries.astype(np.float64), source[1][ids[:, 0]])
    np.testing.assert_allclose(products[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["packed", "compact"])
def test_one_very_long_list(backend: ModuleType, kind: str) -> None:
    links = make_links(LISTS, ROWS, longest=20_000)
    source, table = make_rows(kind, ROWS, 40)
    out = fresh(LISTS, 40)
    backend.sum_links(links, 0, source, NoRows(), 1.0, out)
    assert_sums(out, links, range(LISTS), table, np.zeros((LISTS, 40)))


@pytest.mark.parametrize(("add_kind", "width"), SHORTENED)
def test_sums_in_bfloat16(backend: ModuleType, add_kind: str, width: int) -> None:
    links, (source, table) = make_links(LISTS, ROWS), make_rows("bfloat16", ROWS, width)
    add, add_table = make_rows(add_kind, LISTS, width)
    out = fresh_words(LISTS, width)
    backend.sum_links_bfloat16(links, source, add, width, out)
    exact = fresh(LISTS, width)
    backend.sum_links(links, 0, *(DenseRows(fenced(t.astype(np.float32))) for t in (table, add_table)), 1.0, exact)
    np.testing.assert_array_equal(out.words, words_of(nearest(exact)))
    assert nothing_before(out.words)


@pytest.mark.parametrize(("kind", "width"), SHORTENED)
def test_rows_made_bfloat16(backend: ModuleType, kind: str, width: int) -> None:
    source, table = make_rows(kind, ROWS, width)
    out = fresh_words(ROWS, width)
    backend.to_bfloat16(source, width, out)
    np.testing.assert_array_equal(out.words, words_of(nearest(table.astype(np.float32))))
    assert nothing_before(out.words)


def test_ties_of_bfloat16_go_to_even(backend: ModuleType) -> None:
    bits = np.array([[0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF818000, 0x3FFFFFFF, 0x00018000]], np.uint32)
    out = fresh_words(1, 7)
    backend.to_bfloat16(DenseRows(fenced(bits.view(np.float32))), 7, out)
    assert out.words[0, :7].tolist() == [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF82, 0x4000, 0x0002]


@pytest.mark.parametrize("kind", KINDS)
def test_no_lists_and_one_list(backend: ModuleType, kind: str) -> None:
    width = 40
    source, table = make_rows(kind, ROWS, width)
    for first, count in ((0, 0), (2, 0), (2, 1), (LISTS, 0)):
        links, out = make_links(LISTS, ROWS), fresh(count, width)
        backend.sum_links(links, first, source, NoRows(), 1.0, out)
        assert_sums(out, links, range(first, first + count), table, np.zeros((LISTS, width)))
        lists = fenced(np.arange(first, first + count, dtype=np.int32))
        out = fresh(count, width)
        backend.sum_links_of(links, lists, source, NoRows(), 1.0, out)
        assert_sums(out, links, lists, table, np.zeros((LISTS, width)))


def test_lists_without_a_link(backend: ModuleType) -> None:
    nothing = Links(fenced(np.zeros(4, np.int64)), fenced(np.zeros(0, np.int32)), fenced(np.zeros(0, np.float32)))
    add, table = make_rows("packed", 3, 40)
    out = fresh(3, 40)
    backend.sum_links(nothing, 0, add, add, 3.0, out)
    assert_sums(out, nothing, range(3), table, table, 3.0)


@pytest.mark.parametrize("lengths", [[], [0], [5], [0] * 1000, [10**6] + [1] * 999, list(range(1000))])
def test_even_parts_cover_all_rows_once(lengths: list[int]) -> None:
    starts = 17 + np.cumsum([0, *lengths])
    parts = even_parts(starts)
    assert parts[0] == 0
    assert parts[-1] == len(lengths)
    assert (np.diff(parts) >= 0).all()


def test_even_parts_cost_about_the_same() -> None:
    parts = even_parts(np.cumsum([0, *range(1000)]))
    costs = [sum(range(begin, end)) for begin, end in pairwise(parts)]
    assert max(costs) < 1.2 * np.mean(costs)


@pytest.mark.parametrize(("kind", "width"), STORED_WIDTHS)
def test_reads_at_every_width(backend: ModuleType, kind: str, width: int) -> None:
    source, table = make_rows(kind, ROWS, width)
    ids = fenced(np.array([8, 0, 0, 2, 1, 5, 1], np.int32))
    out = fresh(len(ids), width)
    backend.read_rows(ids, source, out)
    np.testing.assert_array_equal(out, table[ids])
    assert nothing_before(out)


@pytest.mark.parametrize("kind", KINDS)
def test_reads_of_every_kind(backend: ModuleType, kind: str) -> None:
    source, table = make_rows(kind, ROWS, 40)
    for first, count in ((0, ROWS), (3, 5), (8, 1), (4, 0), (ROWS, 0)):
        out = fresh(count, 40)
        backend.read_range(first, source, out)
        np.testing.assert_array_equal(out, table[first : first + count])
        ids = fenced(np.arange(first, first + count, dtype=np.int32)[::-1].copy())
        out = fresh(count, 40)
        backend.read_rows(ids, source, out)
        np.testing.assert_array_equal(out, table[first : first + count][::-1])
        assert nothing_before(out)


@pytest.mark.parametrize(
    ("kind", "width"), [(kind, width) for kind in KINDS for width in ((40,) if kind in SERVED else (1, 40, 129))]
)
def test_additions_of_every_kind(backend: ModuleType, kind: str, width: int) -> None:
    source, table = make_rows(kind, ROWS, width)
    for first, count in ((0, ROWS), (3, 5), (8, 1), (4, 0), (ROWS, 0)):
        before = stream(0, "before", first, count).standard_normal((count, width)).astype(np.float32)
        out = fenced(before)
        backend.add_range(first, source, -0.7, out)
        terms = before.astype(np.float64), -0.7 * table[first : first + count]
        np.testing.assert_array_less(np.abs(out - sum(terms)), 1e-6 * (1 + sum(map(np.abs, terms))))
        assert nothing_before(out)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_mapped_file_are_read_by_what_is_compiled_already(kind: str) -> None:
    source, table = make_rows(kind, ROWS, 40)
    mapped, _ = make_rows(kind, ROWS, 40)
    for array in mapped:
        if array is not None:
            array.flags.writeable = False
    ids = fenced(np.array([8, 0, 5], np.int32))
    links, out = Links(np.arange(4), ids, np.ones(3, np.float32)), fresh(3, 40)
    for call in (
        lambda rows: cpu_numba.sum_links(links, 0, rows, rows, 1.0, out),
        lambda rows: cpu_numba.sampled_dots(table[:3].astype(np.float32), ids[:, None], rows, fresh(3, 1)),
        lambda rows: cpu_numba.read_rows(ids, rows, out),
    ):
        call(source)
        before = [len(function.signatures) for function in (_sum_chunk, _add_products, _read)]
        call(mapped)
        assert before == [len(function.signatures) for function in (_sum_chunk, _add_products, _read)]
    np.testing.assert_array_equal(out, table[ids])
