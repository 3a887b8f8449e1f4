from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_makers import (
    F32,
    WIDTHS,
    block_starts,
    fenced,
    is_active,
    mask_bits,
    nothing_before,
    packed,
    some_active,
)
from numpy.typing import NDArray

from resprout.kernels import cpu_numba, reference
from resprout.kernels.contract import Mask, PackedRows, ScoreBlocks
from resprout.rng import stream

Flags = NDArray[np.bool_]


def in_blocks(scores: F32, size: int = 4) -> ScoreBlocks:
    return lambda: ((first, fenced(scores[first : first + size])) for first in range(0, len(scores), size))


def chosen(backend: ModuleType, scores: Any, count: int, size: int = 4) -> Flags:
    """The chosen positions; the mask they are written to is full of ones before."""
    scores = np.asarray(scores, np.float32)
    mask = mask_bits(np.ones(scores.shape, bool))
    backend.choose_positions(in_blocks(scores, size), count, mask)
    assert nothing_before(mask)
    return is_active(mask, scores.shape[1])


def moves(backend: ModuleType, tables: list[PackedRows], scores: list[F32], count: int, size: int = 4) -> list[Flags]:
    toggles = backend.choose_moves(tables, [in_blocks(s, size) for s in scores], count)
    assert [t.dtype for t in toggles] == [rows.mask.dtype for rows in tables]
    return [is_active(toggle, s.shape[1]) for toggle, s in zip(toggles, scores, strict=True)]


def flags(*rows: str) -> Flags:
    return np.array([[c == "x" for c in row] for row in rows])


def move(backend: ModuleType, rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> int:
    kept = backend.drop_slots(rows, moments, toggle)
    backend.grow_slots(rows, moments, toggle)
    return int(kept)


def test_known_positions(backend: ModuleType) -> None:
    scores = [[1, -5, 0], [2, 2, -2]]
    assert (chosen(backend, scores, 1) == flags(".x.", "...")).all()
    assert (chosen(backend, scores, 3, size=1) == flags(".x.", "xx.")).all()  # of equal ones the first
    assert (chosen(backend, scores, 6) == flags("xx.", "xxx")).all()  # zero is never chosen
    assert not chosen(backend, scores, 0).any()
    assert not chosen(backend, np.zeros((2, 3)), 4).any()


@pytest.mark.parametrize("width", WIDTHS)
def test_exactly_as_many_positions_as_asked_for(backend: ModuleType, width: int) -> None:
    scores = np.empty((9, width), np.float32)
    backend.random_scores(7, 0, scores)
    for count in {0, 1, 9 * width // 3, 9 * width - 1, 9 * width}:
        active = chosen(backend, scores, count)
        assert active.sum() == count
        assert scores[active].min(initial=1) >= scores[~active].max(initial=0)


def test_known_moves(backend: ModuleType) -> None:
    rows = packed(np.array([[3, 0, -1], [-9, 1, 0], [1, 0, 5]], np.float32), flags("x.x", "xx.", "x.x"))
    scores = np.array([[9, 4, 0], [9, 0, -6], [9, 0, 9]], np.float32)
    # of the three slots of magnitude 1 the first two are dropped; (1, 2) and (0, 1) have the largest scores
    assert (moves(backend, [rows], [scores], 2)[0] == flags(".xx", ".xx", "...")).all()
    # now 2,0 is dropped too, but its score is the largest: it stays, and (0, 1) no longer gets a slot
    assert (moves(backend, [rows], [scores], 3)[0] == flags(".xx", ".xx", "...")).all()
    assert not moves(backend, [rows], [scores], 0)[0].any()


def test_a_score_of_zero_never_grows_and_fewer_are_dropped(backend: ModuleType) -> None:
    rows = packed(np.array([[1, 2, 2, 0]], np.float32), flags("xxx."))
    assert not moves(backend, [rows], [np.zeros((1, 4), np.float32)], 3)[0].any()
    # one position can grow: of the dropped only the smallest goes
    assert (moves(backend, [rows], [np.array([[0, 0, 0, 1]], np.float32)], 3)[0] == flags("x..x")).all()
    # the smallest has a score itself and comes back: of the two equal ones the lower goes
    assert (moves(backend, [rows], [np.array([[1, 0, 0, 1]], np.float32)], 3)[0] == flags(".x.x")).all()
    # all of the dropped come back
    assert not moves(backend, [rows], [np.array([[1, 1, 1, 0]], np.float32)], 3)[0].any()


def test_several_tables_are_judged_together(backend: ModuleType) -> None:
    small = packed(np.array([[0.1, 0.2, 0]], np.float32), flags("xx."))
    large = packed(np.array([[8, 9, 0, 0], [7, 0, 0, 0]], np.float32), flags("xx..", "x..."))
    scores = [np.array([[0, 0, 1]], np.float32), np.array([[0, 0, 5, 0], [0, 0, 0, 4]], np.float32)]
    first, second = moves(backend, [small, large], scores, 2)
    assert (first == flags("xx.")).all()
    assert (second == flags("..x.", "...x")).all()
    # of equal magnitudes those of the first table go first and stay last
    equal = [packed(np.ones((1, 2), np.float32), flags("x.")) for _ in range(2)]
    first, second = moves(backend, equal, [np.array([[0, 3]], np.float32), np.zeros((1, 2), np.float32)], 2)
    assert (first == flags("xx")).all()
    assert not second.any()


@pytest.mark.parametrize("starts", [np.int32, np.int64])
@pytest.mark.parametrize("width", WIDTHS)
def test_survivors_keep_value_and_moments_and_new_slots_start_at_zero(
    backend: ModuleType, width: int, starts: type
) -> None:
    random = stream(0, "moving", width)
    table = random.standard_normal((19, width)).astype(np.float32)
    active, toggle = some_active(19, width, "moves"), random.random((19, width)) < 0.3
    rows = packed(table, active, starts)
    grown = max(0, (toggle & ~active).sum() - (toggle & active).sum())
    room = [
        fenced(np.append(a, np.full(grown, np.nan, np.float32)))
        for a in (rows.values, table[active] + 1, table[active] + 2)
    ]
    rows, bits = rows._replace(values=room[0]), mask_bits(toggle)

    assert backend.drop_slots(rows, (room[1], room[2]), bits) == (active & ~toggle).sum()
    assert (is_active(bits, width) == (toggle & ~active)).all()
    assert (is_active(rows.mask, width) == (active & ~toggle)).all()
    assert (rows.starts == block_starts(active & ~toggle)).all()
    backend.grow_slots(rows, (room[1], room[2]), bits)

    after = active ^ toggle
    assert (is_active(rows.mask, width) == after).all()
    assert rows.starts.dtype == starts
    assert (rows.starts == block_starts(after)).all()
    for k, array in enumerate(room):
        np.testing.assert_array_equal(array[: after.sum()], np.where(active, table + np.float32(k), 0)[after])
        assert nothing_before(array)


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows(backend: ModuleType, rows: int) -> None:
    table = packed(np.ones((rows, 5), np.float32), np.ones((rows, 5), bool))
    # scores come in at least one block, be it empty
    scores = [(lambda: iter([(0, np.ones((rows, 5), np.float32))]))]
    toggle = backend.choose_moves([table], scores, rows)[0]
    assert toggle.shape == (rows, 1)
    assert not toggle.any()
    moments = np.ones(5 * rows, np.float32), np.ones(5 * rows, np.float32)
    assert move(backend, table, moments, toggle) == 5 * rows


@st.composite
def some_tables(draw: st.DrawFn) -> tuple[list[tuple[Flags, F32, F32]], int, int]:
    """Tables of (slots, values, scores) with few different magnitudes, a count to move, and a block size."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    tables = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.integers(1, 12)), draw(st.sampled_from([1, 7, 8, 9, 16, 17, 40]))
        active = random.random(shape) < draw(st.sampled_from([0, 0.1, 0.5, 0.9, 1]))
        levels = draw(st.sampled_from([1, 3, 1000]))
        values, scores = (random.integers(-levels, levels + 1, shape) / np.float32(7) for _ in range(2))
        scores[random.random(shape) < draw(st.sampled_from([0, 0.5, 0.95, 1]))] = 0
        tables.append((active, values.astype(np.float32), scores.astype(np.float32)))
    slots = int(sum(active.sum() for active, _, _ in tables))
    return tables, draw(st.integers(0, slots)), draw(st.integers(1, 13))


@settings(max_examples=150, deadline=None)
@given(some_tables())
def test_cpu_numba_moves_as_the_reference(case: tuple[list[tuple[Flags, F32, F32]], int, int]) -> None:
    tables, count, size = case
    packs = [packed(values, active) for active, values, _ in tables]
    scores = [score for _, _, score in tables]
    expected = moves(reference, packs, scores, count)
    toggles = moves(cpu_numba, packs, scores, count, size)
    for toggle, truth, (active, _, score), rows in zip(toggles, expected, tables, packs, strict=True):
        np.testing.assert_array_equal(toggle, truth)
        assert (is_active(rows.mask, active.shape[1]) == active).all()
        assert (score[toggle & ~active] != 0).all()
    dropped = sum((t & active).sum() for t, (active, _, _) in zip(toggles, tables, strict=True))
    assert dropped == sum((t & ~active).sum() for t, (active, _, _) in zip(toggles, tables, strict=True))
    assert dropped <= count


@settings(max_examples=60, deadline=None)
@given(some_tables())
def test_cpu_numba_chooses_as_the_reference(case: tuple[list[tuple[Flags, F32, F32]], int, int]) -> None:
    tables, count, size = case
    for _, _, score in tables:
        np.testing.assert_array_equal(chosen(cpu_numba, score, count, size), chosen(reference, score, count))
