"""Rounded tables: how far their weights are from those they were made of."""

import numpy as np
import pytest

from resprout.budget import Shape
from resprout.kernels.select import choose
from resprout.tables import autograd
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.update import Update

ROWS = 40


def make(storage, weights):
    shape, start, backend = Shape("table", *weights.shape), Start("normal", 0.1, 0), choose().backend
    source = build_tables([shape], "dense", [], start, False, backend)
    source["table"].values[:] = weights
    return build_tables([shape], storage, [], start, False, backend, values_from=source)["table"]


def make_packed(storage, weights, share=0.5):
    """(the rounded table, the packed one that it was made of)"""
    shape, start, backend = Shape("table", *weights.shape), Start("normal", 0.1, 0), choose().backend
    packed = build_tables([shape], "packed", [int(share * weights.size)], start, False, backend)
    packed["table"].take_weights(lambda: iter([(0, weights[:9]), (9, weights[9:])]))
    rounded = build_tables([shape], storage, [], start, False, backend, mask_from=packed, values_from=packed)
    return rounded["table"], packed["table"]


@pytest.fixture(params=[1, 7, 64, 130])
def weights(request):
    random = np.random.default_rng(request.param)
    sizes = np.float32(10) ** random.integers(-6, 3, (ROWS, 1))
    weights = (random.standard_normal((ROWS, request.param)) * sizes).astype(np.float32)
    weights[3] = 0
    return weights


def steps_of(weights):
    """Of int8 rows: scales are an eighth of an octave apart, the smallest is 2^-23.875."""
    return np.maximum(np.abs(weights).max(1, keepdims=True) / 127 * 2**0.125, 2**-23.875)


def test_int8_is_off_by_half_a_step_at_most(weights):
    table = make("int8", weights)
    assert (np.abs(table.read_range(0, ROWS) - weights) <= 0.5001 * steps_of(weights)).all()
    assert not table.read_range(3, 4).any()
    assert table.memory(training=False).total == weights.size + ROWS
    assert table.memory(training=True).total == weights.size + 3 * ROWS


def test_what_int8_cannot_hold_becomes_its_largest_number():
    table = make("int8", np.array([[1e6, -1e9, 20000.0]], np.float32))
    largest = 127 * 2 ** (62 / 8)
    np.testing.assert_allclose(table.read_range(0, 1), [[largest, -largest, 20000]], rtol=0.005)


def test_float16_is_off_by_its_rounding(weights):
    table = make("float16", weights)
    np.testing.assert_array_equal(table.read_range(0, ROWS), weights.astype(np.float16).astype(np.float32))
    assert table.memory(training=False).total == 2 * weights.size


def test_what_float16_cannot_hold_becomes_its_largest_number():
    table = make("float16", np.array([[1e6, -1e9, 65504.0]], np.float32))
    assert table.read_range(0, 1).tolist() == [[65504.0, -65504.0, 65504.0]]


def test_packed_int8_is_off_by_half_a_step_of_its_slots_at_most(weights):
    table, packed = make_packed("packed_int8", weights)
    exact = packed.read_range(0, ROWS)
    assert (np.abs(table.read_range(0, ROWS) - exact) <= 0.5001 * steps_of(exact)).all()
    assert table.slots == packed.slots
    index = packed.memory(training=False).total - 4 * packed.slots
    assert table.memory(training=False).total == index + packed.slots + ROWS


def test_packed_float16_is_off_by_its_rounding(weights):
    table, packed = make_packed("packed_float16", weights)
    expected = packed.read_range(0, ROWS).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(table.read_range(0, ROWS), expected)
    index = packed.memory(training=False).total - 4 * packed.slots
    assert table.memory(training=False).total == index + 2 * packed.slots


@pytest.mark.parametrize("storage", ["packed_int8", "packed_float16"])
def test_packed_arrays_give_it_back(storage, weights):
    table, _ = make_packed(storage, weights)
    empty = build_tables([table.shape], storage, [], Start("normal", 0.1, 0), False, choose().backend)["table"]
    assert empty.slots == 0
    assert not empty.read_range(0, ROWS).any()
    empty.load_arrays({kind: array.copy() for kind, array in table.arrays(training=True).items()})
    np.testing.assert_array_equal(empty.read_range(0, ROWS), table.read_range(0, ROWS))


@pytest.mark.parametrize("bits", range(1, 7))
def test_bits_are_off_by_half_a_step_within_their_range(bits):
    random = np.random.default_rng(bits)
    weights = (random.standard_normal((ROWS, 64)) * 10 ** random.uniform(-4, 1, (ROWS, 1))).astype(np.float32)
    table = make(f"bits{bits}", weights)
    levels = [np.unique(row) for row in table.read_range(0, ROWS)]
    assert max(map(len, levels)) <= 2**bits
    off = np.abs(table.read_range(0, ROWS) - weights) / weights.std(1, keepdims=True)
    # the mean squared errors of Max 1960, table 2; scales are an eighth of an octave apart
    assert (off**2).mean() == pytest.approx([0.363, 0.119, 0.0374, 0.0115, 0.00349, 0.00104][bits - 1], rel=0.2)
    assert table.memory(training=False).total == (bits * 8 + 1) * ROWS


@pytest.mark.parametrize("storage", ["int8", "float16", "bits5"])
def test_its_arrays_give_it_back(storage, weights):
    table = make(storage, weights)
    other = make(storage, np.zeros_like(weights))
    other.load_arrays({kind: array.copy() for kind, array in table.arrays(training=True).items()})
    np.testing.assert_array_equal(other.read_range(0, ROWS), table.read_range(0, ROWS))
    ids = np.array([5, 5, 0], np.int32)
    np.testing.assert_array_equal(other.read(ids), table.read_range(0, ROWS)[ids])


@pytest.mark.parametrize("storage", ["int8", "float16", "bits8"])
def test_a_whole_one_is_trained_as_it_lies(storage):
    """Towards rows of 1, by the square of the distance."""
    shape = Shape("table", 300, 40)
    table = build_tables([shape], storage, [], Start("normal", 0.5, 3), False, choose().backend)["table"]
    first = table.read_range(0, 300)
    assert 0.45 < first.std() < 0.55
    ids = np.arange(299, dtype=np.int32)
    for number in range(1, 301):
        ((autograd.rows(table, ids) - 1) ** 2).sum().backward()
        table.update(Update(0.05 * (1 - number / 301), number, seed=5))
        table.clear_gradient()
    after = table.read_range(0, 300)
    # the levels of rows of equal weights lie just beside them
    assert np.abs(after[:299] - 1).mean() < (0.02 if storage == "bits8" else 0.01)
    np.testing.assert_array_equal(after[299], first[299])
    arrays = table.arrays(training=True)
    besides = {"int8": 2, "float16": 4, "bits8": 4 + 2 * 40}[storage]
    assert table.memory(training=True).total - table.memory(training=False).total == besides * 300
    again = build_tables([shape], storage, [], Start("normal", 0.5, 4), False, choose().backend)["table"]
    again.load_arrays(arrays)
    for kind, array in again.arrays(training=True).items():
        np.testing.assert_array_equal(array, arrays[kind])
    assert table.squares() == pytest.approx(float((after.astype(np.float64) ** 2).sum()))
