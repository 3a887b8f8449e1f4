"""Tables whose rows keep their first columns, against packed ones that have a mask for it."""

import heapq

import numpy as np
import pytest

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.packed import PackedTable
from resprout.tables.places import uneven_scores
from resprout.tables.prefix import PrefixTable
from resprout.tables.slots import Leaving, move_slots
from resprout.tables.update import Update

ROWS = 40
STEP = Update(0.1, 10**6)


def falling(shape, seed=0):
    """Scores that fall along each row, so that the largest are first columns."""
    scores = np.cumsum(np.random.default_rng(seed).random((shape.rows, shape.width))[:, ::-1], 1)[:, ::-1]
    return lambda: iter([(0, np.ascontiguousarray(scores, np.float32))])


def pair(width, share=0.4):
    """The same weights as prefix and as packed rows."""
    shape, start, backend = Shape("table", ROWS, width), Start("normal", 0.1, 5), choose().backend
    slots = int(share * shape.weights)
    return [kind.start(shape, slots, start, backend, falling(shape)) for kind in (PrefixTable, PackedTable)]


def rows(table):
    return table.read_range(0, ROWS)


@pytest.fixture(params=[1, 3, 8, 9, 16, 40, 64, 130, 300])
def width(request):
    return request.param


def test_it_has_the_weights_of_the_packed_table_and_no_mask(width):
    prefix, packed = pair(width)
    np.testing.assert_array_equal(rows(prefix), rows(packed))
    assert prefix.slots == packed.slots == int(0.4 * ROWS * width)
    np.testing.assert_array_equal(rows(prefix) != 0, np.arange(width) < lengths_of(prefix)[:, None])
    index = (1 if width < 256 else 2) * ROWS + 4 * (ROWS // 8 + 1)
    assert prefix.memory(training=False).total == 4 * prefix.slots + index
    assert prefix.memory(training=True).total == 12 * prefix.slots + index


def test_it_trains_to_the_same_bits(width, monkeypatch):
    monkeypatch.setattr("resprout.tables.table.BLOCK_VALUES", 7 * width)
    ids = np.array([3, 3, 0, 39, 12], np.int32)
    prefix, packed = pair(width)
    for _ in range(3):
        for table in (prefix, packed):
            (autograd.rows(table, ids).pow(3).sum() + autograd.half_squares(table)).backward()
            table.update(STEP)
            table.clear_gradient()
    np.testing.assert_array_equal(rows(prefix), rows(packed))
    for mine, other in zip(prefix.moments, packed.moments, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_it_takes_weights_and_gives_its_arrays_back(width):
    prefix, packed = pair(width)
    values = np.random.default_rng(1).standard_normal((ROWS, width)).astype(np.float32)
    for table in (prefix, packed):
        table.take_weights(lambda: iter([(0, values[:11]), (11, values[11:])]))
    np.testing.assert_array_equal(rows(prefix), rows(packed))
    other = PrefixTable.start(Shape("table", ROWS, width), 1, Start("normal", 0.1, 0), choose().backend)
    other.load_arrays({kind: array.copy() for kind, array in prefix.arrays(training=True).items()})
    np.testing.assert_array_equal(rows(other), rows(prefix))


def test_without_scores_rows_are_as_long_as_each_other(width):
    shape = Shape("table", ROWS, width)
    table = build_tables([shape], "prefix", [2 * shape.weights // 3], Start("normal", 0.1, 0), False, choose().backend)
    lengths = lengths_of(table["table"])
    assert lengths.max() - lengths.min() <= 1
    assert lengths.sum() == 2 * shape.weights // 3


def uneven(width, share=0.4):
    shape, backend = Shape("table", ROWS, width), choose().backend
    scores = uneven_scores(shape, 3, backend)
    return PrefixTable.start(shape, int(share * shape.weights), Start("normal", 0.1, 5), backend, scores)


def lengths_of(table):
    return table.stored.lengths.astype(int)


def end_by_end(lengths, worth, count, sign):
    """The lengths once, again and again, the end of least worth has gone, or the place next to an end of most grown."""
    lengths, ahead = lengths.copy(), -1 if sign < 0 else 0
    can = lengths > 0 if sign < 0 else lengths < worth.shape[1]
    ends = [(-sign * worth[row, lengths[row] + ahead], row) for row in np.flatnonzero(can)]
    heapq.heapify(ends)
    for _ in range(count):
        _, row = heapq.heappop(ends)
        lengths[row] += sign
        if 0 <= lengths[row] + ahead < worth.shape[1]:
            heapq.heappush(ends, (-sign * worth[row, lengths[row] + ahead], row))
    return lengths


def test_rows_begin_uneven_and_every_column_has_some(width):
    lengths = lengths_of(uneven(width))
    assert lengths.sum() == int(0.4 * ROWS * width)
    assert lengths.max() == width
    if width > 8:
        assert np.median(lengths) < lengths.mean()
        assert lengths.min() > 0


@pytest.mark.parametrize("share", [0.05, 0.4, 1])
def test_ends_go_from_the_least_on_and_grow_from_the_best_on(width, share):
    table, random = uneven(width), np.random.default_rng(2)
    before, count = lengths_of(table), int(share * table.slots)
    gradient = random.standard_normal((ROWS, width)).astype(np.float32)
    row_of_slot = np.repeat(np.arange(ROWS), before)
    for each, worth in (
        (rows(table), table.leaving()),
        (rows(table) * gradient, table.leaving(lambda: ((k, gradient[k : k + 9]) for k in range(0, ROWS, 9)))),
    ):
        shrunk = end_by_end(before, np.abs(each), count, -1)
        order = np.argsort(worth.values, kind="stable")[:count]
        np.testing.assert_array_equal(before - np.bincount(row_of_slot[order], minlength=ROWS), shrunk)

    scores = random.random((ROWS, width)).astype(np.float32)
    beyond = np.arange(width) >= before[:, None]
    ((first, growing),) = table.growing(lambda: iter([(0, scores)]))()
    grown = min(count, beyond.sum())
    best = np.argsort(np.where(beyond, -growing, 0).ravel(), kind="stable")[:grown]
    expected = end_by_end(before, scores, grown, 1)
    np.testing.assert_array_equal(before + np.bincount(best // width, minlength=ROWS), expected)
    assert first == 0
    assert (np.diff(growing, axis=1) <= 0).all()


def test_moved_slots_keep_what_is_before_the_ends(width, monkeypatch):
    monkeypatch.setattr("resprout.tables.table.BLOCK_VALUES", 7 * width)
    table, random = uneven(width), np.random.default_rng(4)
    for moment in table.moments:
        moment[:] = random.random(table.slots)
    slots, before, values = table.slots, lengths_of(table), rows(table).copy()
    moments = [array.copy() for array in table.moments]
    scores = random.random((ROWS, width)).astype(np.float32)
    moved = move_slots([table], [lambda: ((k, scores[k : k + 9].copy()) for k in range(0, ROWS, 9))], slots // 3)
    after = lengths_of(table)
    assert table.slots == slots
    assert moved == np.maximum(before - after, 0).sum() == np.maximum(after - before, 0).sum()
    assert moved > 0 or width < 8
    stays = np.arange(width) < np.minimum(before, after)[:, None]
    np.testing.assert_array_equal(rows(table), np.where(stays, values, 0))
    for array, old in zip(table.moments, moments, strict=True):
        whole = np.zeros((ROWS, width), np.float32)
        whole[np.arange(width) < before[:, None]] = old
        np.testing.assert_array_equal(array, np.where(stays, whole, 0)[np.arange(width) < after[:, None]])


def test_a_floor_keeps_the_first_columns_of_each_row(width):
    table, floor = uneven(width), 2
    before = lengths_of(table)
    scores = np.random.default_rng(6).random((ROWS, width)).astype(np.float32)
    move_slots([table], [lambda: iter([(0, scores)])], table.slots, Leaving(floor=floor))
    assert (lengths_of(table) >= np.minimum(before, floor)).all()
    assert width < 8 or (lengths_of(table) < before).any()


def test_scores_of_zero_never_grow(width):
    table = uneven(width)
    before = lengths_of(table)
    assert move_slots([table], [lambda: iter([(0, np.zeros((ROWS, width), np.float32))])], table.slots // 2) == 0
    np.testing.assert_array_equal(lengths_of(table), before)
