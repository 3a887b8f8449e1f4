from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resprout.kernels.cpu_numba import top_k as cpu_numba
from resprout.kernels.reference import top_k as reference
from resprout.rng import stream

BACKENDS = [pytest.param(reference, id="reference"), pytest.param(cpu_numba, id="cpu_numba")]
Lists = tuple[list[list[int]], list[list[float]]]


def best_lists(
    backend: ModuleType, scores: NDArray[np.float32], seen: NDArray[np.bool_], k: int, blocks: list[slice]
) -> Lists:
    users = len(scores)
    starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
    items = np.nonzero(seen)[1].astype(np.int32)
    best_scores = np.full((users, k), -np.inf, np.float32)
    best_items = np.full((users, k), -1, np.int32)
    for block in blocks:
        part = np.ascontiguousarray(scores[:, block])
        backend.keep_best(part, block.start, starts, items, best_scores, best_items)
    backend.sort_best(best_scores, best_items)
    return best_items.tolist(), best_scores.tolist()


def cut(total: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, total)) for begin in range(0, total, size)]


def nothing_seen(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.zeros(scores.shape, dtype=bool)


@pytest.mark.parametrize("backend", BACKENDS)
def test_known_lists(backend: ModuleType) -> None:
    scores = np.array([[3, 9, 5, 9, -np.inf], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]], dtype=np.float32)
    seen = np.zeros((3, 5), dtype=bool)
    seen[1, [2, 4]] = True
    seen[2] = True
    items, values = best_lists(backend, scores, seen, 4, cut(5, 2))
    assert items == [[1, 3, 2, 0], [3, 1, 0, -1], [-1, -1, -1, -1]]
    assert values == [[9, 9, 5, 3], [4, 2, 1, -np.inf], [-np.inf] * 4]


@pytest.mark.parametrize("block", [1, 63, 64, 65, 130, 500])
@pytest.mark.parametrize("k", [1, 2, 20, 500, 700])
@pytest.mark.parametrize("kind", ["distinct", "repeated", "constant"])
def test_cpu_numba_equals_reference(kind: str, k: int, block: int) -> None:
    random = stream(0, "top_k", kind)
    scores = random.standard_normal((7, 500)).astype(np.float32)
    if kind == "repeated":
        scores = np.round(scores)
    if kind == "constant":
        scores[:] = 0.25
    scores[random.random(scores.shape) < 0.1] = -np.inf
    scores[1] = -np.inf
    scores[2, 77] = np.inf
    seen = random.random(scores.shape) < 0.2
    seen[3] = True
    seen[4] = False
    expected = best_lists(reference, scores, seen, k, [slice(0, 500)])
    assert best_lists(cpu_numba, scores, seen, k, cut(500, block)) == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_order_of_blocks_does_not_matter(backend: ModuleType) -> None:
    scores = stream(0, "shuffled").integers(0, 4, (5, 300)).astype(np.float32)
    seen = nothing_seen(scores)
    blocks = cut(300, 64)
    in_order = best_lists(backend, scores, seen, 30, blocks)
    assert best_lists(backend, scores, seen, 30, blocks[::-1]) == in_order


def test_lists_made_and_sorted_by_the_reference_go_on_growing() -> None:
    scores = stream(0, "continued").standard_normal((5, 300)).astype(np.float32)
    starts, nothing = np.zeros(6, np.int64), np.empty(0, np.int32)
    best_scores = np.full((5, 21), -np.inf, np.float32)
    best_items = np.full((5, 21), -1, np.int32)
    for backend, begin in ((reference, 0), (cpu_numba, 100), (reference, 200)):
        part = np.ascontiguousarray(scores[:, begin : begin + 100])
        backend.keep_best(part, begin, starts, nothing, best_scores, best_items)
        backend.sort_best(best_scores, best_items)
    assert best_items.tolist() == np.argsort(-scores, axis=1)[:, :21].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("column", [0, 63, 64, 99])
@pytest.mark.parametrize("is_seen", [False, True])
def test_nan_is_refused(backend: ModuleType, column: int, is_seen: bool) -> None:
    scores = np.arange(200, dtype=np.float32).reshape(2, 100)[:, ::-1].copy()
    scores[1, column] = np.nan
    seen = nothing_seen(scores)
    seen[1, column] = is_seen
    with pytest.raises(FloatingPointError, match="1 of 200 scores are NaN"):
        best_lists(backend, scores, seen, 3, cut(100, 100))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_users(backend: ModuleType) -> None:
    scores = np.empty((0, 10), np.float32)
    assert best_lists(backend, scores, nothing_seen(scores), 3, cut(10, 4)) == ([], [])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 2, 63, 1500])
def test_sort_best_takes_any_order(backend: ModuleType, k: int) -> None:
    random = stream(0, "sort", k)
    scores = random.integers(0, 50, (4, k)).astype(np.float32)
    items = np.argsort(random.random((4, k)), axis=1).astype(np.int32)
    scores[:, k // 2 + 1 :] = -np.inf
    items[:, k // 2 + 1 :] = -1
    entries = [sorted(zip((-scores[user]).tolist(), items[user].tolist(), strict=True)) for user in range(4)]
    backend.sort_best(scores, items)
    assert [list(zip((-scores[user]).tolist(), items[user].tolist(), strict=True)) for user in range(4)] == entries


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_scores_any_blocks(data: st.DataObject) -> None:
    users = data.draw(st.integers(1, 3), label="users")
    n_items = data.draw(st.integers(1, 150), label="n_items")
    score = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1e-45, 1.0, 3e38, np.inf])
    row = st.lists(score, min_size=n_items, max_size=n_items)
    scores = np.array(data.draw(st.lists(row, min_size=users, max_size=users), label="scores"), dtype=np.float32)
    seen = stream(data.draw(st.integers(0, 9), label="seed"), "seen").random(scores.shape) < 0.3
    k = data.draw(st.integers(1, 160), label="k")
    size = data.draw(st.integers(1, 150), label="block")

    items, values = best_lists(cpu_numba, scores, seen, k, cut(n_items, size))

    for user in range(users):
        left = [item for item in range(n_items) if not seen[user, item] and scores[user, item] > -np.inf]
        expected = sorted(left, key=lambda item: (-scores[user, item], item))[:k]
        empty = k - len(expected)
        assert items[user] == expected + [-1] * empty
        assert values[user] == [float(scores[user, item]) for item in expected] + [-np.inf] * empty
