"""Rows of few bits: updated and rounded at random or by turns, or rounded to the nearest."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from kernel_makers import column_bits, fenced, few_bits, fresh
from numpy.typing import NDArray

from resprout.kernels import reference
from resprout.kernels.contract import (
    BIT_STEPS,
    F32,
    INT8_LARGEST,
    INT8_LEAST,
    ROW_SCALES,
    U16,
    BitRows,
    HalfRows,
    Int8Rows,
    RowStep,
    bit_rows,
    bits_of,
    scale_codes,
)
from resprout.rng import stream
from resprout.tables.update import Update

WIDTHS = [1, 7, 16, 64, 129, 1024]
ROWS = 70  # more than one task


def some_step(key: int = 1) -> RowStep:
    return RowStep(rate=0.05, root=1.5, beta_2=0.99, epsilon=1e-8, key=key, offsets=key, phase=key)


def start_of(width: int) -> tuple[F32, F32, F32]:
    """Values, moments, and gradients of which some rows are 0."""
    random = stream(0, "rounded", width)
    values = random.standard_normal((ROWS, width)) * 10 ** random.uniform(-6, 3, (ROWS, 1))
    gradients = random.standard_normal((ROWS, width)) * 10 ** random.uniform(-6, 3, (ROWS, 1))
    gradients[random.random(ROWS) < 0.2] = 0
    moments = random.random(ROWS) * 10 ** random.uniform(-8, 2, ROWS)
    return values.astype(np.float32), moments.astype(np.float32), gradients.astype(np.float32)


def int8_rows(values: F32) -> Int8Rows:
    codes = scale_codes(np.abs(values).max(1), 127)
    return Int8Rows(fenced(np.rint(values / ROW_SCALES[codes, None]).astype(np.int8)), fenced(codes))


def weights_of(rows: Int8Rows) -> F32:
    return rows.values * ROW_SCALES[rows.codes, None]


def moment_bits(moments: F32) -> U16:
    """The nearest numbers towards 0 in bfloat16."""
    return fenced((moments.view(np.uint32) >> 16).astype(np.uint16))


def moments_of(bits: U16) -> F32:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def half_rows(values: F32) -> HalfRows:
    return HalfRows(fenced(values.astype(np.float16).view(np.uint16)))


def unrounded(values: F32, moments: F32, gradients: F32, step: RowStep) -> tuple[np.ndarray, np.ndarray]:
    """In float64."""
    taken = gradients.astype(np.float64)
    after = step.beta_2 * moments + (1 - step.beta_2) * (taken**2).mean(1)
    size = step.rate / (np.sqrt(after) * step.root + step.epsilon)
    return values - np.where((taken != 0).any(1), size, 0)[:, None] * taken, after


@pytest.mark.parametrize("width", WIDTHS)
def test_int8_is_the_update_rounded_to_a_neighbour(backend: ModuleType, width: int) -> None:
    values, moments, gradients = start_of(width)
    rows, after = int8_rows(values), moment_bits(moments)
    before, moments = weights_of(rows), moments_of(after)
    backend.update_int8(rows, after, 0, fenced(gradients), some_step())
    expected, expected_moments = unrounded(before, moments, gradients, some_step())
    np.testing.assert_allclose(moments_of(after), expected_moments, rtol=2**-7)
    moved, scales = (gradients != 0).any(1), ROW_SCALES[rows.codes]
    assert (np.abs(weights_of(rows) - expected) <= 1.001 * scales[:, None])[moved].all()
    largest = np.abs(expected[moved]).max(1) / scales[moved]
    assert (largest <= INT8_LARGEST * 1.001).all()
    assert ((largest >= INT8_LEAST * 0.999) | (rows.codes[moved] == 1)).all()  # there is none smaller
    np.testing.assert_array_equal(weights_of(rows)[~moved], before[~moved])


@pytest.mark.parametrize("width", WIDTHS)
def test_half_is_the_update_rounded_to_a_neighbour(backend: ModuleType, width: int) -> None:
    values, moments, gradients = start_of(width)
    rows, after = half_rows(values), fenced(moments)
    before = rows.bits.view(np.float16).astype(np.float32)
    backend.update_half(rows, after, 0, fenced(gradients), some_step())
    expected, expected_moments = unrounded(before, moments, gradients, some_step())
    np.testing.assert_allclose(after, expected_moments, rtol=1e-5)
    seen = rows.bits.view(np.float16).astype(np.float64)
    expected = expected.clip(-65504, 65504)
    unit = 2.0 ** np.maximum(np.frexp(np.abs(expected))[1] - 11, -24)
    assert (np.abs(seen - expected) <= 1.02 * unit).all()
    moved = (gradients != 0).any(1)
    np.testing.assert_array_equal(seen[~moved], before[~moved])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["int8", "half"])
def test_backends_round_alike(backend: ModuleType, kind: str, width: int) -> None:
    """But where sums of another order come to another last bit: then a neighbour in a few places."""
    found = []
    for own in (backend, reference):
        values, moments, gradients = start_of(width)
        rows = int8_rows(values) if kind == "int8" else half_rows(values)
        moments = moment_bits(moments) if kind == "int8" else moments
        update = own.update_int8 if kind == "int8" else own.update_half
        update(rows, moments, 0, gradients, some_step(key=4294967290))
        found.append((np.asarray(rows[0]).astype(np.int64), moments, rows[-1]))
    (seen, *its_own), (expected, *others) = found
    assert (seen != expected).mean() < 0.002
    if kind == "int8":
        for one, other in zip(its_own, others, strict=True):
            assert (one != other).sum() <= 1


def test_blocks_of_rows_are_rounded_as_the_whole_table(backend: ModuleType) -> None:
    values, moments, gradients = start_of(33)
    whole, parts = half_rows(values), half_rows(values)
    moments_of_parts = fenced(moments)
    backend.update_half(whole, fenced(moments), 0, fenced(gradients), some_step())
    for first in (0, 40):
        backend.update_half(parts, moments_of_parts, first, fenced(gradients[first : first + 40]), some_step())
    np.testing.assert_array_equal(parts.bits, whole.bits)


@pytest.mark.parametrize("kind", ["int8", "half"])
def test_steps_too_small_to_be_seen_add_up_in_the_mean(backend: ModuleType, kind: str) -> None:
    """400 steps of a hundredth of what one bit is: rounding to the nearest would lose all of them."""
    start = np.ones((20, 16), np.float32)
    rows = Int8Rows(*whole_numbers(110, 20)) if kind == "int8" else half_rows(start)
    unit = 1.0 if kind == "int8" else 2.0**-11
    update = backend.update_int8 if kind == "int8" else backend.update_half
    moments, gradients = np.ones(20, np.float32), np.ones((20, 16), np.float32)
    moments = moment_bits(moments) if kind == "int8" else moments

    def mean() -> float:
        if isinstance(rows, Int8Rows):
            return float(weights_of(rows).mean())
        return float(rows.bits.view(np.float16).astype(np.float64).mean())

    before = mean()
    for step in steps(unit / 100):
        update(rows, moments, 0, gradients, step)
    assert before - mean() == pytest.approx(4 * unit, rel=0.15)


def whole_numbers(number: int, rows: int, width: int = 16) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Values and codes of int8 rows whose scale is 1."""
    return np.full((rows, width), number, np.int8), np.full(rows, 192, np.uint8)


def steps(size: float) -> Iterator[RowStep]:
    """400 steps of one size, as updates make them."""
    for number in range(1, 401):
        step = Update(size, number, seed=5).by_row("item")
        yield step._replace(root=1.0, beta_2=1.0, epsilon=0.0)


def test_int8_rounds_no_weight_off_by_more_than_two_steps_in_400(backend: ModuleType) -> None:
    """At random it would be 20 times the root of .01 x .99 in the mean, and three times that somewhere."""
    rows, gradients = Int8Rows(*whole_numbers(110, 20)), np.ones((20, 16), np.float32)
    for step in steps(0.01):
        backend.update_int8(rows, moment_bits(np.ones(20, np.float32)), 0, gradients, step)
    assert np.abs(rows.values - 106.0).max() <= 2
    assert (rows.codes == 192).all()


def test_moments_of_int8_rows_follow_small_changes(backend: ModuleType) -> None:
    """400 of a thousandth; bfloat16 has 128 numbers between two powers of two, so that each is less than one."""
    rows, moments = Int8Rows(*whole_numbers(110, 200, 1)), moment_bits(np.ones(200, np.float32))
    gradients = np.full((200, 1), 2, np.float32)
    gradients[100:] = 0
    for step in steps(0.0):
        backend.update_int8(rows, moments, 0, gradients, step._replace(beta_2=0.999))
    expected = np.repeat([4 - 3 * 0.999**400, 0.999**400], 100)
    np.testing.assert_allclose(moments_of(moments), expected, rtol=2**-6)
    assert moments_of(moments)[:100].mean() == pytest.approx(expected[0], rel=2**-9)
    assert moments_of(moments)[100:].mean() == pytest.approx(expected[-1], rel=2**-9)


def test_a_scale_stays_while_it_does(backend: ModuleType) -> None:
    """One that moved with each largest weight would have all weights of the row rounded anew at each step."""
    rows = Int8Rows(*whole_numbers(110, 4, 3))
    # to 102, 98, 124 and 130 of the steps of before, of which the second and the last want another scale
    for row, change in enumerate((8, 12, -14, -20)):
        step = RowStep(rate=1.0, root=1.0, beta_2=1.0, epsilon=0.0, key=0, offsets=0, phase=0)
        ones, gradients = moment_bits(np.ones(4, np.float32)), np.full((1, 3), change, np.float32)
        backend.update_int8(rows, ones, row, gradients, step)
    # 2^(-1/4) x 120 = 100.9 and 2^(1/8) x 120 = 130.9 are the least that reach 98 and 130
    np.testing.assert_array_equal(rows.codes, [192, 190, 192, 193])
    np.testing.assert_array_equal(rows.values[[0, 2]], [[102] * 3, [124] * 3])
    expected = np.array([[102], [98], [124], [130]])
    assert (np.abs(weights_of(rows) - expected) <= ROW_SCALES[rows.codes, None]).all()


def test_a_row_of_zeros_stays_a_row(backend: ModuleType) -> None:
    rows, moments = Int8Rows(np.zeros((2, 5), np.int8), np.zeros(2, np.uint8)), np.zeros(2, np.uint16)
    gradients = np.zeros((2, 5), np.float32)
    gradients[1, 2] = 1
    backend.update_int8(rows, moments, 0, gradients, some_step())
    assert not rows.values[0].any()
    assert rows.values[1].tolist()[2] < -60
    assert rows.codes.tolist()[0] == 0
    assert 0 < rows.codes[1] < 255


def test_weights_beyond_all_scales_are_no_number(backend: ModuleType) -> None:
    """So that the next loss is none either, instead of one that goes on from wrong weights."""
    rows = Int8Rows(*whole_numbers(110, 3, 5))
    for row, size in enumerate((1e4, 1e6, np.nan)):
        step = some_step()._replace(rate=size)
        backend.update_int8(rows, moment_bits(np.ones(3, np.float32)), row, np.ones((1, 5), np.float32), step)
    assert np.isfinite(weights_of(rows)).all(1).tolist() == [True, False, False]


BITS = [*range(1, 9), None]


def spread_of(width: int) -> F32:
    return np.exp2(-(np.arange(width, dtype=np.float32) % 27) / 9)


def no_bits(rows: int, width: int, bits: int | None) -> BitRows:
    each = column_bits(width, bits)
    planes = fenced(np.zeros((rows, -(-int(each.sum()) // 8)), np.uint8))
    return bit_rows(planes, fenced(np.zeros(rows, np.uint8)), each, spread_of(width))


def read(backend: ModuleType, rows: BitRows, width: int) -> F32:
    out = fresh(len(rows.codes), width)
    backend.read_range(0, rows, out)
    return out


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", [1, 8, 17, 24, 32, 129, 264])
def test_rows_of_bits_are_read_as_they_were_made(backend: ModuleType, width: int, bits: int | None) -> None:
    rows, table = few_bits(9, width, bits)
    np.testing.assert_array_equal(read(backend, rows, width), table)


def test_what_columns_of_bits_are_made_of() -> None:
    """Three columns of 3, 1 and no bits: planes of 2, 1 and 1 bits, in five bits of a byte."""
    rows = bit_rows(
        np.array([[0b1101], [0b0010]], np.uint8),
        np.array([192, 200], np.uint8),
        np.array([3, 1, 0], np.uint8),
        np.array([1, 2, 5], np.float32),
    )
    assert rows.starts.tolist() == [0, 2, 3, 4]
    assert rows.depths.tolist() == [3]
    assert bits_of(rows).tolist() == [3, 1, 0]
    # half the distance of 8 levels, and of 2, for weights that differ by 1 and by 2
    first, second = 0.5860 / 2, 1.5958 / 2 * 2
    np.testing.assert_allclose(rows.steps, [first, second, 0], rtol=1e-6)
    expected = [[(4 + 2 + 1) * first, -second, 0], [-2 * (4 + 2 + 1) * first, 2 * second, 0]]
    np.testing.assert_allclose(read(reference, rows, 3), expected, rtol=1e-6)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("width", WIDTHS)
def test_bits_are_the_nearest_level(backend: ModuleType, width: int, bits: int | None) -> None:
    values, _, _ = start_of(width)
    rows = no_bits(ROWS + 3, width, bits)
    backend.round_bits(fenced(values), 3, rows)
    assert not rows.codes[:3].any()
    each = column_bits(width, bits)
    each = each[each > 0].astype(np.float64)
    own, spread = values[:, : len(each)].astype(np.float64), spread_of(len(each))
    scales = ROW_SCALES[rows.codes[3:], None].astype(np.float64)
    wanted = np.sqrt(np.square(own / spread).mean(1, keepdims=True))
    inside = (wanted > ROW_SCALES[1]) & (wanted < ROW_SCALES[-2])
    assert inside.mean() > 0.5
    assert (np.abs(np.log2(scales / wanted)) <= 1 / 16 + 1e-6)[inside].all()
    distances = scales * spread * np.array(BIT_STEPS)[each.astype(int) - 1]
    nearest = np.floor(own / distances).clip(-(2 ** (each - 1)), 2 ** (each - 1) - 1) + 0.5
    off = np.abs(read(backend, rows, width)[3:, : len(each)] - own)
    assert (np.abs(off - np.abs(nearest * distances - own)) <= 2e-6 * (np.abs(own) + 2**each * distances)).all()
    assert not read(backend, rows, width)[3:, len(each) :].any()


@pytest.mark.parametrize("bits", BITS)
def test_backends_make_the_same_bits(backend: ModuleType, bits: int | None) -> None:
    values, _, _ = start_of(43)
    found = []
    for own in (backend, reference):
        rows = no_bits(ROWS, 43, bits)
        own.round_bits(fenced(values), 0, rows)
        found.append(rows)
    np.testing.assert_array_equal(found[0].codes, found[1].codes)
    np.testing.assert_array_equal(found[0].planes, found[1].planes)


@pytest.mark.parametrize("bits", [1, 4, None])
@pytest.mark.parametrize("width", WIDTHS)
def test_bits_follow_what_they_are_rounded_from(backend: ModuleType, width: int, bits: int | None) -> None:
    values, moments, gradients = start_of(width)
    rows, unrounded, expected = no_bits(ROWS, width, bits), half_rows(values), half_rows(values)
    backend.update_bits(rows, unrounded, fenced(moments), 3, fenced(gradients[3:]), some_step())
    backend.update_half(expected, fenced(moments), 3, fenced(gradients[3:]), some_step())
    np.testing.assert_array_equal(unrounded.bits, expected.bits)
    again, moved = no_bits(ROWS, width, bits), (gradients != 0).any(1) & (np.arange(ROWS) >= 3)
    backend.round_bits(fenced(expected.bits.view(np.float16).astype(np.float32)), 0, again)
    np.testing.assert_array_equal(rows.codes, np.where(moved, again.codes, 0))
    np.testing.assert_array_equal(rows.planes, np.where(moved[:, None], again.planes, 0))


def test_rows_of_nothing_and_of_no_number(backend: ModuleType) -> None:
    values = np.zeros((5, 20), np.float32)
    values[1, 3], values[2, 3], values[3] = np.nan, -np.inf, 1e30
    values[4, 0] = 1e-30
    rows = no_bits(5, 20, 2)
    backend.round_bits(values, 0, rows)
    seen = read(backend, rows, 20)
    assert not seen[0].any()
    assert np.isnan(seen[1:3]).all()
    assert (seen[3] > 60).all()
    assert (np.abs(seen[4]) < 1e-6).all()
