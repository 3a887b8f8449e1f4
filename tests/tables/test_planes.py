"""Tables turned to principal axes, with bits where they tell most."""

import numpy as np
import pytest

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.planes import allot, table_bytes, turn


def uneven_tables(size, width=24, seed=0):
    """Users and items whose products hang on few directions, none of which is a column's."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((width, width)))[0] * np.exp2(-np.arange(width) / 4)[:, None]
    shapes = [Shape("user", 70, width), Shape("item", 50, width)]
    rows = {shape.name: random.standard_normal((shape.rows, width)) @ axes for shape in shapes}
    tables = build_tables(shapes, f"planes{size}", [], Start("normal", 1.0, seed), False, choose().backend)
    for name, table in tables.items():
        table.take_weights(lambda name=name: iter([(0, rows[name].astype(np.float32))]))
    return tables, rows


def products(tables, read):
    return np.float64(read(tables["user"])) @ np.float64(read(tables["item"])).T


def stored(table):
    return table.read_range(0, table.shape.rows)


def unrounded(table):
    return table.unrounded


@pytest.mark.parametrize(
    ("shares", "total", "bits"),
    [
        ([1, 1, 1, 1], 4, [1, 1, 1, 1]),
        ([1, 1, 1, 1], 6, [2, 2, 1, 1]),
        # the first bit takes .6366 of a square off, the second .2446: 9 x .2446 is more than 1 x .6366
        ([3, 1], 2, [2, 0]),
        ([1.5, 1], 2, [1, 1]),
        ([1, 0], 9, [8, 1]),
        ([2, 1], 99, [8, 8]),
        ([0, 0], 3, [3, 0]),
    ],
)
def test_bits_go_where_they_take_most_off_the_error(shares, total, bits):
    assert allot(np.array(shares, float), total).tolist() == bits


def test_turning_leaves_products_as_they_are():
    tables, rows = uneven_tables(6)
    before = products(tables, unrounded)
    np.testing.assert_allclose(before, rows["user"] @ rows["item"].T, atol=2e-3 * np.abs(before).max())
    turn(tables)
    np.testing.assert_allclose(products(tables, unrounded), before, atol=2e-3 * np.abs(before).max())


def test_columns_fall_and_their_bits_with_them():
    tables, _ = uneven_tables(6)
    turn(tables)
    spreads = [np.sqrt(np.square(unrounded(table).astype(np.float64)).mean(0)) for table in tables.values()]
    shares = spreads[0] * spreads[1]
    assert (np.diff(shares) < 1e-6).all()
    for table, spread in zip(tables.values(), spreads, strict=True):
        np.testing.assert_allclose(table.spread, spread, rtol=1e-2)
        assert table.bits.sum() == 48
        assert table.bits[0] > 4
        assert table.bits[-1] == 0
        assert not stored(table)[:, table.bits == 0].any()
    together = sum(unrounded(table).astype(np.float64).T @ unrounded(table) for table in tables.values())
    off = together - np.diag(np.diag(together))
    assert np.abs(off).max() < 0.15 * np.diag(together).max()


def test_products_are_nearer_than_with_even_bits():
    """48 bits a row, two a column or where they tell most."""
    tables, rows = uneven_tables(6)
    whole = rows["user"] @ rows["item"].T
    even = build_tables(
        [table.shape for table in tables.values()], "bits2", [], Start("normal", 1.0, 0), False, choose().backend
    )
    for name, table in even.items():
        table.take_weights(lambda name=name: iter([(0, rows[name].astype(np.float32))]))
    turn(tables)
    errors = [np.square(products(each, stored) - whole).mean() for each in (tables, even)]
    assert errors[0] < 0.3 * errors[1]
    assert [table.memory(training=False).total for table in tables.values()] == [
        table.memory(training=False).total + table_bytes(24) for table in even.values()
    ]


def test_dense_tables_are_turned_and_rounded():
    """Half as many bits as before, by column: as near as 48 bits that are even."""
    _, rows = uneven_tables(6)
    shapes = [Shape(name, *its.shape) for name, its in rows.items()]
    start, backend = Start("normal", 1.0, 0), choose().backend
    dense = build_tables(shapes, "dense", [], start, False, backend)
    for name, table in dense.items():
        table.values[:] = rows[name]
    turned, even = (
        build_tables(shapes, kind, [], start, False, backend, values_from=dense) for kind in ("planes3", "bits2")
    )
    errors = [np.square(products(each, stored) - products(dense, stored)).mean() for each in (turned, even)]
    assert errors[0] < errors[1]
    for name, table in turned.items():
        assert table.arrays(training=False).keys() == {"planes", "codes", "bits", "spread"}
        assert table.bits.sum() == 24
        np.testing.assert_array_equal(dense[name].values, rows[name].astype(np.float32))


def test_a_turned_table_is_given_back_by_its_arrays():
    tables, _ = uneven_tables(5)
    turn(tables)
    others, _ = uneven_tables(5, seed=1)
    for name, table in tables.items():
        others[name].load_arrays({kind: array.copy() for kind, array in table.arrays(training=True).items()})
        np.testing.assert_array_equal(stored(others[name]), stored(table))
        np.testing.assert_array_equal(unrounded(others[name]), unrounded(table))


def test_rows_of_zeros_stay_zeros_and_a_table_of_zeros_is_turned():
    tables, rows = uneven_tables(5)
    rows["user"][3] = 0
    tables["user"].take_weights(lambda: iter([(0, rows["user"].astype(np.float32))]))
    tables["item"].take_weights(lambda: iter([(0, np.zeros((50, 24), np.float32))]))
    turn(tables)
    assert not stored(tables["user"])[3].any()
    assert stored(tables["user"])[4].any()
    assert not stored(tables["item"]).any()
    assert np.isfinite(stored(tables["user"])).all()
