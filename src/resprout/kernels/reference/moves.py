"""Choosing positions and moving slots, on whole rows and by sorting."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resprout.kernels.contract import F32, Mask, PackedRows, ScoreBlocks, row_slots, starts_of
from resprout.kernels.reference.rows import mask_of, positions

Flags = NDArray[np.bool_]


def choose_positions(blocks: ScoreBlocks, count: int, mask: Mask) -> None:
    """See `contract.Backend.choose_positions`."""
    scores = _all_scores(blocks)
    mask[:] = mask_of(_largest(scores.ravel(), scores.ravel() > 0, count).reshape(scores.shape))


def choose_moves(tables: Sequence[PackedRows], scores: Sequence[ScoreBlocks], count: int) -> list[Mask]:
    """See `contract.Backend.choose_moves`."""
    all_scores = [_all_scores(blocks) for blocks in scores]
    shapes = [score.shape for score in all_scores]
    active = np.concatenate([positions(t.mask, s[1]).ravel() for t, s in zip(tables, shapes, strict=True)])
    score = np.concatenate([s.ravel() for s in all_scores])
    value = np.zeros_like(score)
    value[active] = np.abs(np.concatenate([t.values[: t.starts[-1]] for t in tables]))

    smallest_first = np.flatnonzero(active)[np.argsort(value[active], kind="stable")]
    dropped = np.zeros_like(active)
    dropped[smallest_first[:count]] = True
    chosen = _largest(score, (~active | dropped) & (score > 0), count)
    leaving = [k for k in smallest_first if dropped[k] and not chosen[k]]
    grown = chosen & ~active

    toggled = grown.copy()
    toggled[leaving[: grown.sum()]] = True
    cuts = np.cumsum([rows * width for rows, width in shapes])[:-1]
    return [mask_of(t.reshape(shape)) for t, shape in zip(np.split(toggled, cuts), shapes, strict=True)]


def drop_slots(rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> int:
    """See `contract.Backend.drop_slots`."""
    width = rows.mask.shape[1] * 16
    stays = ~positions(toggle, width)[positions(rows.mask, width)]
    for array in (rows.values, *moments):
        array[: stays.sum()] = array[: len(stays)][stays]
    toggle[:], rows.mask[:] = toggle & ~rows.mask, rows.mask & ~toggle
    _count_rows(rows)
    return int(stays.sum())


def grow_slots(rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> None:
    """See `contract.Backend.grow_slots`."""
    width = rows.mask.shape[1] * 16
    old, new = positions(rows.mask, width), positions(rows.mask | toggle, width)
    for array in (rows.values, *moments):
        table = np.zeros(new.shape, np.float32)
        table[old] = array[: old.sum()]
        array[: new.sum()] = table[new]
    rows.mask[:] |= toggle
    _count_rows(rows)


def _count_rows(rows: PackedRows) -> None:
    rows.starts[:] = starts_of(row_slots(rows.mask))


def _all_scores(blocks: ScoreBlocks) -> F32:
    scores: F32 = np.abs(np.concatenate([scores.copy() for _, scores in blocks()]))
    return scores


def _largest(score: F32, candidates: Flags, count: int) -> Flags:
    order = np.flatnonzero(candidates)[np.argsort(-score[candidates], kind="stable")]
    chosen = np.zeros_like(candidates)
    chosen[order[:count]] = True
    return chosen
