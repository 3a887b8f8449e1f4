from types import ModuleType

import numpy as np
import pytest
from kernel_makers import WIDTHS, fresh, is_active, nothing_before, packed, some_active

from resprout.kernels import cpu_numba, reference
from resprout.kernels.contract import F32

KEY = 0xFEDCBA9876543210
KINDS = [pytest.param(True, id="uniform"), pytest.param(False, id="normal")]


def filled(backend: ModuleType, key: int, uniform: bool, first: int, rows: int, width: int) -> F32:
    out = fresh(rows, width)
    backend.fill_dense(key, uniform, 0.1, first, out)
    assert nothing_before(out)
    return out


def test_known_numbers(backend: ModuleType) -> None:
    # the first numbers of SplitMix64 from state 0, as published with its C code by Vigna (prng.di.unimi.it)
    published = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F], np.uint64)
    scores, starts = fresh(1, 3), fresh(1, 3)
    backend.random_scores(0, 0, scores)
    np.testing.assert_allclose(scores[0], published / 2**64, atol=2**-23)
    backend.fill_dense(0, True, 0.1, 0, starts)
    np.testing.assert_allclose(starts[0], 0.1 * (2 * (published / 2**64) - 1), atol=1e-8)
    backend.fill_dense(0, False, 1.0, 0, starts)
    lower = (published & np.uint64(0xFFFFFFFF)) / 2**32
    np.testing.assert_allclose(
        starts[0], np.sqrt(-2 * np.log(published / 2**64)) * np.cos(2 * np.pi * lower), rtol=1e-5
    )


@pytest.mark.parametrize("first", [0, 3, 1 << 40])
@pytest.mark.parametrize("width", [1, 8, 17, 64, 129])
def test_cpu_numba_equals_reference(width: int, first: int) -> None:
    for uniform in (True, False):
        expected = filled(reference, KEY, uniform, first, 5, width)
        np.testing.assert_allclose(filled(cpu_numba, KEY, uniform, first, 5, width), expected, rtol=1e-5, atol=1e-8)
    scores = [fresh(5, width) for _ in range(2)]
    for backend, out in zip((reference, cpu_numba), scores, strict=True):
        backend.random_scores(KEY, first, out)
        assert nothing_before(out)
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("uniform", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_packed_table_starts_as_the_dense_one(backend: ModuleType, uniform: bool, width: int) -> None:
    active = some_active(19, width, "fill")
    rows = packed(np.full(active.shape, np.nan, np.float32), active)
    backend.fill_packed(KEY, uniform, 0.1, rows, width)
    np.testing.assert_array_equal(rows.values, filled(backend, KEY, uniform, 0, 19, width)[active])
    assert nothing_before(rows.values)


def test_a_packed_table_with_wide_starts_and_one_without_rows(backend: ModuleType) -> None:
    for count in (0, 1, 6):
        active = some_active(count, 40, "fill")
        rows = packed(np.full(active.shape, np.nan, np.float32), active, np.int64)
        backend.fill_packed(KEY, True, 0.1, rows, 40)
        np.testing.assert_array_equal(rows.values, filled(backend, KEY, True, 0, count, 40)[active])
        assert (is_active(rows.mask, 40) == active).all()


def test_a_row_is_the_same_in_every_block(backend: ModuleType) -> None:
    table, scores = filled(backend, KEY, False, 0, 10, 33), fresh(10, 33)
    backend.random_scores(KEY, 0, scores)
    for first, rows in ((0, 4), (4, 5), (9, 1), (10, 0)):
        np.testing.assert_array_equal(filled(backend, KEY, False, first, rows, 33), table[first : first + rows])
        out = fresh(rows, 33)
        backend.random_scores(KEY, first, out)
        np.testing.assert_array_equal(out, scores[first : first + rows])


def test_distributions() -> None:
    uniform, normal = (filled(cpu_numba, KEY, kind, 0, 4000, 50) / np.float32(0.1) for kind in (True, False))
    assert np.abs(uniform).max() <= 1
    for sample, deviation, fourth in ((uniform, 1 / np.sqrt(3), 1 / 5), (normal, 1, 3)):
        assert abs(sample.mean()) < 0.01
        assert abs(sample.std() - deviation) < 0.01
        assert abs((sample**4).mean() - fourth) < 0.05 * fourth
        assert abs(np.corrcoef(sample[:, :-1].ravel(), sample[:, 1:].ravel())[0, 1]) < 0.01
    scores = fresh(4000, 50)
    cpu_numba.random_scores(KEY, 0, scores)
    assert scores.min() > 0
    assert scores.max() < 1
    np.testing.assert_allclose(np.histogram(scores, 10, (0, 1))[0], scores.size / 10, rtol=0.03)


def test_other_keys_give_other_numbers(backend: ModuleType) -> None:
    one, other = (filled(backend, key, True, 0, 4, 16) for key in (1, 2))
    assert not np.intersect1d(one, other).size
