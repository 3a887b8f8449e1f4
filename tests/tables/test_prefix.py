"""Tables whose rows keep their first columns, against packed ones that have a mask for it."""

import numpy as np
import pytest

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.packed import PackedTable
from resprout.tables.prefix import PrefixTable
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


@pytest.fixture(params=[1, 3, 8, 9, 16, 40, 64, 130])
def width(request):
    return request.param


def test_it_has_the_weights_of_the_packed_table_and_no_mask(width):
    prefix, packed = pair(width)
    np.testing.assert_array_equal(rows(prefix), rows(packed))
    assert prefix.slots == packed.slots == int(0.4 * ROWS * width)
    lengths = np.diff(prefix.stored.starts)
    np.testing.assert_array_equal(rows(prefix) != 0, np.arange(width) < lengths[:, None])
    assert prefix.memory(training=False).total == 4 * prefix.slots + 4 * (ROWS + 1)
    assert prefix.memory(training=True).total == 12 * prefix.slots + 4 * (ROWS + 1)


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
    lengths = np.diff(table["table"].stored.starts)
    assert lengths.max() - lengths.min() <= 1
    assert lengths.sum() == 2 * shape.weights // 3
