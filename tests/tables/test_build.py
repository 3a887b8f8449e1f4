"""Tables that take their mask or their weights from others."""

import numpy as np
import pytest

from resprout.budget import Shape
from resprout.kernels.contract import row_slots
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start

START = Start("normal", 0.1, 5)


def build(width, storage, slots=0, **sources):
    return build_tables(
        [Shape("table", 50, width)], storage, [slots], START, sources.pop("scale", False), choose().backend, **sources
    )


def weights(tables):
    return tables["table"].read_range(0, 50)


def trained(width):
    """A dense table whose weights are not its starting values."""
    tables = build(width, "dense")
    tables["table"].values[:] = np.random.default_rng(width).standard_normal((50, width))
    return tables


@pytest.fixture(params=[3, 8, 33, 64])
def width(request):
    return request.param


def largest(values, count):
    """Where the `count` largest lie."""
    chosen = np.zeros(values.size, bool)
    chosen[np.argsort(-np.abs(values).reshape(-1))[:count]] = True
    return chosen.reshape(values.shape)


def test_a_mask_of_the_largest_weights_with_starting_values(width):
    source, start, count = trained(width), build(width, "dense"), 50 * width // 3
    tables = build(width, "packed", count, mask_from=source)
    assert tables["table"].slots == count
    np.testing.assert_array_equal(weights(tables), np.where(largest(weights(source), count), weights(start), 0))
    scaled = build(width, "packed", count, mask_from=source, scale=True)
    np.testing.assert_allclose(weights(scaled), weights(tables) * (50 * width / count) ** 0.5, rtol=1e-6)


def test_a_mask_of_the_largest_weights_with_these_weights(width):
    source, count = trained(width), 50 * width // 3
    once = build(width, "packed", count, mask_from=source, values_from=source)
    np.testing.assert_array_equal(weights(once), np.where(largest(weights(source), count), weights(source), 0))
    twice = build(width, "packed", count // 2, mask_from=once, values_from=once)
    np.testing.assert_array_equal(weights(twice), np.where(largest(weights(source), count // 2), weights(source), 0))


def test_values_at_random_positions_and_in_a_dense_table(width):
    source = trained(width)
    random, own = build(width, "packed", 40), build(width, "packed", 40, values_from=source)
    np.testing.assert_array_equal(weights(own), np.where(weights(random) != 0, weights(source), 0))
    np.testing.assert_array_equal(weights(build(width, "dense", values_from=source)), weights(source))


def test_fewer_slots_where_fewer_weights_are_not_zero(width):
    source = build(width, "packed", 30)
    tables = build(width, "packed", 40, mask_from=source)
    assert tables["table"].slots == 30
    np.testing.assert_array_equal(weights(tables), weights(source))


def test_a_mask_of_the_first_columns(width):
    count = 50 * width // 3
    tables, start = build(width, "packed", count, mask="columns"), build(width, "dense")
    assert tables["table"].slots == count
    whole, rest = divmod(count, 50)
    chosen = np.arange(width) < whole + (np.arange(50) < rest)[:, None]
    np.testing.assert_array_equal(weights(tables), np.where(chosen, weights(start), 0))


def test_a_mask_of_more_positions_in_popular_rows():
    shape, start, backend = Shape("item", 4000, 40), Start("normal", 0.1, 0), choose().backend
    interactions = np.repeat([0, 2, 14, 254, 4094], 800)
    for count, rtol in ((4000, 0.2), (80_000, None)):
        asked = {"mask": "popular", "interactions": {"item": interactions}.get}
        table = build_tables([shape], "packed", [count], start, False, backend, **asked)["item"]
        again = build_tables([shape], "packed", [count], start, False, backend, **asked)["item"]
        np.testing.assert_array_equal(table.mask, again.mask)
        assert table.slots == count
        each = row_slots(table.mask).reshape(5, 800).mean(1)
        assert (np.diff(each) > 0).all()
        if rtol:  # few positions are drawn nearly as if with replacement
            np.testing.assert_allclose(each / each[0], np.log2([2, 4, 16, 256, 4096]), rtol=rtol)


def test_a_mask_of_mostly_first_columns(width):
    count = 50 * width // 3
    tables, start = build(width, "packed", count, mask="mostly_columns"), build(width, "dense")
    assert tables["table"].slots == count
    chosen = weights(tables) != 0
    np.testing.assert_array_equal(weights(tables), np.where(chosen, weights(start), 0))
    whole = int(0.9 * count / 50)
    assert chosen[:, :whole].all()
    others = chosen[:, whole:]
    assert others.sum() == count - 50 * whole
    # the rest lies anywhere: in more columns than they would fill
    assert others.any(0).sum() > others.sum() // 50


@pytest.mark.parametrize(
    "storage", ["dense", "packed", "packed_int8", "packed_float16", "prefix", "int8", "float16", "bits3", "planes5"]
)
def test_rows_that_there_are_not(storage):
    table = build(20, storage, 400)["table"]
    assert table.read_range(48, 50).shape == table.read(np.array([0, 49], np.int32)).shape == (2, 20)
    assert table.read_range(50, 50).shape == table.read(np.zeros(0, np.int32)).shape == (0, 20)
    for read in (
        lambda: table.read_range(49, 51),
        lambda: table.read_range(-1, 2),
        lambda: table.read(np.array([3, 50], np.int32)),
        lambda: table.read(np.array([-1, 3], np.int32)),
    ):
        with pytest.raises(IndexError, match=r"row (50|-1) of table 'table', which has 50"):
            read()
