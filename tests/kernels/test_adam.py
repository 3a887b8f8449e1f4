from types import ModuleType

import numpy as np
import pytest
from kernel_makers import F64, WIDTHS, fenced, is_active, make_rows, nothing_before, packed

from resprout.kernels.contract import F32, AdamStep, PackedRows
from resprout.rng import stream

RATE, BETA_1, BETA_2, EPSILON = 0.01, 0.9, 0.999, 1e-8


def step_at(t: int) -> AdamStep:
    return AdamStep(RATE / (1 - BETA_1**t), 1 / np.sqrt(1 - BETA_2**t), BETA_1, BETA_2, EPSILON)


def paper(values: F64, moment_1: F64, moment_2: F64, gradients: F64, t: int) -> tuple[F64, F64, F64]:
    """Algorithm 1 of Kingma & Ba as printed, in float64."""
    moment_1 = BETA_1 * moment_1 + (1 - BETA_1) * gradients
    moment_2 = BETA_2 * moment_2 + (1 - BETA_2) * gradients**2
    corrected_1, corrected_2 = moment_1 / (1 - BETA_1**t), moment_2 / (1 - BETA_2**t)
    return values - RATE * corrected_1 / (np.sqrt(corrected_2) + EPSILON), moment_1, moment_2


def some_gradients(rows: int, width: int, t: int) -> F32:
    random = stream(0, "gradients", rows, width, t)
    gradients = random.standard_normal((rows, width)) * 10 ** random.uniform(-4, 2, (rows, width))
    gradients[random.random(gradients.shape) < 0.2] = 0
    return gradients.astype(np.float32)


def assert_close(seen: tuple[F32, ...], expected: tuple[F64, ...]) -> None:
    # values and first moments may cancel, second moments are sums of squares
    for array, truth, floor in zip(seen, expected, (2e-6, 2e-6, 1e-12), strict=True):
        np.testing.assert_allclose(array, truth, rtol=5e-5, atol=floor)


def moments_of(values: F32) -> tuple[F32, F32]:
    return fenced(np.zeros_like(values)), fenced(np.zeros_like(values))


def test_known_first_step(backend: ModuleType) -> None:
    # the first step is the learning rate against the sign of the gradient, whatever the gradient's size
    rows = packed(np.ones((2, 3), np.float32), np.array([[1, 0, 1], [0, 1, 0]], bool))
    moments = moments_of(rows.values)
    backend.adam_packed(rows, *moments, 0, fenced(np.array([[5, 9, -0.1], [9, 0, 9]], np.float32)), step_at(1))
    np.testing.assert_allclose(rows.values, [0.99, 1.01, 1], rtol=1e-6)
    np.testing.assert_allclose(moments[0], [0.5, -0.01, 0], rtol=1e-6)
    np.testing.assert_allclose(moments[1], [0.025, 1e-5, 0], rtol=1e-4)


@pytest.mark.parametrize("width", WIDTHS)
def test_dense_steps_are_the_papers(backend: ModuleType, width: int) -> None:
    table = stream(0, "adam", width).standard_normal((5, width)).astype(np.float32)
    values, (moment_1, moment_2) = fenced(table), moments_of(table)
    expected = table.astype(np.float64), np.zeros((5, width)), np.zeros((5, width))
    for t in range(1, 4):
        gradients = some_gradients(5, width, t)
        backend.adam_dense(values, moment_1, moment_2, fenced(gradients), step_at(t))
        expected = paper(*expected, gradients.astype(np.float64), t)
    assert_close((values, moment_1, moment_2), expected)
    assert all(nothing_before(a) for a in (values, moment_1, moment_2))


@pytest.mark.parametrize("starts", [np.int32, np.int64])
@pytest.mark.parametrize("width", WIDTHS)
def test_packed_steps_are_the_papers(backend: ModuleType, width: int, starts: type) -> None:
    rows, table = make_rows("packed", 19, width, starts)
    assert isinstance(rows, PackedRows)
    active, moments = is_active(rows.mask, width), moments_of(rows.values)
    expected = table[active], np.zeros(active.sum()), np.zeros(active.sum())
    for t in range(1, 4):
        gradients = some_gradients(19, width, t)
        for first, last in ((0, 1), (1, 6), (6, 6), (6, 16), (16, 17), (17, 19)):
            # NaN where there is no slot: it must be passed over
            block = np.where(active, gradients, np.nan).astype(np.float32)[first:last]
            backend.adam_packed(rows, *moments, first, fenced(block), step_at(t))
        expected = paper(*expected, gradients[active].astype(np.float64), t)
    assert_close((rows.values, *moments), expected)
    assert all(nothing_before(a) for a in (rows.values, *moments))


def test_slots_of_other_rows_stay_as_they_are(backend: ModuleType) -> None:
    rows, _ = make_rows("packed", 9, 40)
    assert isinstance(rows, PackedRows)
    moments = fenced(rows.values + 1), fenced(rows.values**2)
    before = [array.copy() for array in (rows.values, *moments)]
    backend.adam_packed(rows, *moments, 4, fenced(some_gradients(2, 40, 1)), step_at(1))
    slot = np.arange(len(rows.values))
    ends = is_active(rows.mask, 40).sum(1).cumsum()
    inside = (ends[3] <= slot) & (slot < ends[5])
    for array, old in zip((rows.values, *moments), before, strict=True):
        np.testing.assert_array_equal(array[~inside], old[~inside])
        assert (array[inside] != old[inside]).all()


def test_more_rows_than_one_task_takes(backend: ModuleType) -> None:
    gradients = some_gradients(1000, 7, 1)
    active = stream(0, "many rows").random(gradients.shape) < 0.3
    rows = packed(np.zeros_like(gradients), active)
    moments = moments_of(rows.values)
    backend.adam_packed(rows, *moments, 0, fenced(gradients), step_at(1))
    truth = gradients[active].astype(np.float64)
    assert_close((rows.values, *moments), paper(0 * truth, 0 * truth, 0 * truth, truth, 1))
    dense = fenced(np.zeros_like(gradients))
    moments = moments_of(dense)
    backend.adam_dense(dense, *moments, fenced(gradients), step_at(1))
    truth = gradients.astype(np.float64)
    assert_close((dense, *moments), paper(0 * truth, 0 * truth, 0 * truth, truth, 1))


def test_zero_gradients_and_moments_change_nothing(backend: ModuleType) -> None:
    rows, table = make_rows("packed", 9, 40)
    assert isinstance(rows, PackedRows)
    moments = moments_of(rows.values)
    backend.adam_packed(rows, *moments, 0, fenced(np.zeros((9, 40), np.float32)), step_at(1))
    np.testing.assert_array_equal(rows.values, table[is_active(rows.mask, 40)])
    assert not np.any(moments)
