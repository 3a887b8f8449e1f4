from types import ModuleType

import numpy as np
import pytest

from resprout.kernels import cpu_numba, reference
from resprout.rng import stream


@pytest.mark.parametrize("module", [pytest.param(reference, id="reference"), pytest.param(cpu_numba, id="cpu_numba")])
@pytest.mark.parametrize("users", [0, 1, 3, 4, 5, 64])
@pytest.mark.parametrize("items", [0, 1, 31, 32, 33, 63, 65])
@pytest.mark.parametrize("width", [1, 7, 64])
def test_equals_a_product_in_double_precision(module: ModuleType, users: int, items: int, width: int) -> None:
    random = stream(0, "dot_scores", users, items, width)
    queries = random.standard_normal((users, width)).astype(np.float32)
    vectors = random.standard_normal((items, width)).astype(np.float32)
    # What lies around `out` must stay as it is.
    memory = np.full(users * items + 128, np.nan, np.float32)
    out = memory[64 : 64 + users * items].reshape(users, items)
    module.dot_scores(queries, vectors, out)
    np.testing.assert_allclose(out, queries.astype(np.float64) @ vectors.astype(np.float64).T, atol=2e-5)
    assert np.isnan(memory[:64]).all()
    assert np.isnan(memory[64 + users * items :]).all()


@pytest.mark.parametrize("user", [0, 4, 9])
@pytest.mark.parametrize("item", [0, 32, 69])
def test_a_score_is_the_same_to_the_bit_in_any_block(user: int, item: int) -> None:
    random = stream(0, "dot_scores", "bits")
    queries = random.standard_normal((10, 64)).astype(np.float32)
    vectors = random.standard_normal((70, 64)).astype(np.float32)
    whole, alone = np.empty((10, 70), np.float32), np.empty((1, 1), np.float32)
    cpu_numba.dot_scores(queries, vectors, whole)
    cpu_numba.dot_scores(queries[user : user + 1], vectors[item : item + 1], alone)
    assert alone[0, 0] == whole[user, item]
