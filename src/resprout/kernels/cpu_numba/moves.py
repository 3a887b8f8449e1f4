"""Choosing exactly k positions by magnitude, and moving slots to them, in place and without a copy of the table.

The k-th magnitude is found by counting: a non-negative float32 orders like its bits, so one pass counts the upper 16
bits and a second the lower 16 bits of those that share the k-th's upper half. Ties go to the lower position. Passes
run on one thread: they are few, and their order is the tie rule.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numba import njit

from resprout.budget import ROWS_A_START
from resprout.kernels.contract import F32, I32, I64, LANES, Mask, PackedRows, ScoreBlocks

_HALVES = 1 << 16
_SIGN_OFF = np.uint32(0x7FFFFFFF)
_ANY = -1  # count upper halves, not the lower halves of one upper half

Tally = Callable[[int, I64], None]


def choose_positions(blocks: ScoreBlocks, count: int, mask: Mask) -> None:
    """See `contract.Backend.choose_positions`."""
    empty = np.zeros_like(mask)
    bound, ties = _kth_largest(_score_tally([empty], [empty], [blocks]), count)
    mask[:] = 0
    for first, scores in blocks():
        ties = _toggle_scores(scores, first, empty, mask, bound, ties)


def choose_moves(tables: Sequence[PackedRows], scores: Sequence[ScoreBlocks], count: int) -> list[Mask]:
    """See `contract.Backend.choose_moves`."""
    masks, toggles = [rows.mask for rows in tables], [np.zeros_like(rows.mask) for rows in tables]
    bound, ties = _kth_smallest(_value_tally(tables, toggles, toggled=False), count)
    for rows, toggle in zip(tables, toggles, strict=True):
        ties = _toggle_values(rows.mask, rows.starts, rows.values, toggle, False, bound, ties)

    bound, ties = _kth_largest(_score_tally(masks, toggles, scores), count)
    for mask, toggle, blocks in zip(masks, toggles, scores, strict=True):
        for first, block in blocks():
            ties = _toggle_scores(block, first, mask, toggle, bound, ties)

    dropped = sum(_count(toggle & mask) for toggle, mask in zip(toggles, masks, strict=True))
    grown = sum(_count(toggle & ~mask) for toggle, mask in zip(toggles, masks, strict=True))
    if dropped > grown:  # too few positions had a score: only the smallest of the dropped go
        bound, ties = _kth_largest(_value_tally(tables, toggles, toggled=True), dropped - grown)
        for rows, toggle in zip(reversed(tables), reversed(toggles), strict=True):
            ties = _toggle_values(rows.mask, rows.starts, rows.values, toggle, True, bound, ties)
    return toggles


def drop_slots(rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> int:
    """See `contract.Backend.drop_slots`."""
    return int(_drop(rows.mask, rows.starts, rows.values, *moments, toggle))


def grow_slots(rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> None:
    """See `contract.Backend.grow_slots`."""
    _grow(rows.mask, rows.starts, rows.values, *moments, toggle, _count(toggle))


def _count(mask: Mask) -> int:
    return int(np.bitwise_count(mask).sum(dtype=np.int64))


def _value_tally(tables: Sequence[PackedRows], toggles: Sequence[Mask], toggled: bool) -> Tally:
    def tally(upper: int, counts: I64) -> None:
        for rows, toggle in zip(tables, toggles, strict=True):
            _tally_values(rows.mask, rows.starts, rows.values, toggle, toggled, upper, counts)

    return tally


def _score_tally(masks: Sequence[Mask], toggles: Sequence[Mask], scores: Sequence[ScoreBlocks]) -> Tally:
    def tally(upper: int, counts: I64) -> None:
        for mask, toggle, blocks in zip(masks, toggles, scores, strict=True):
            for first, block in blocks():
                _tally_scores(block, first, mask, toggle, upper, counts)

    return tally


def _kth_largest(tally: Tally, count: int) -> tuple[int, int]:
    """Bits of the `count`-th largest magnitude, and how many of those equal to it are to be taken.

    With fewer magnitudes than `count` all above zero are taken; with a count of 0, none.
    """
    counts = np.zeros(_HALVES, np.int64)
    tally(_ANY, counts)
    if count <= 0:
        return int(_SIGN_OFF), 0
    if counts.sum() < count:
        return 0, 0
    upper, left = _place(counts[::-1], count)
    counts[:] = 0
    tally(_HALVES - 1 - upper, counts)
    lower, left = _place(counts[::-1], left)
    return ((_HALVES - 1 - upper) << 16) | (_HALVES - 1 - lower), left


def _kth_smallest(tally: Tally, count: int) -> tuple[int, int]:
    """Bits of the `count`-th smallest magnitude, and how many of those equal to it are to be taken."""
    if count <= 0:
        return 0, 0
    counts = np.zeros(_HALVES, np.int64)
    tally(_ANY, counts)
    upper, left = _place(counts, count)
    counts[:] = 0
    tally(upper, counts)
    lower, left = _place(counts, left)
    return (upper << 16) | lower, left


def _place(counts: I64, count: int) -> tuple[int, int]:
    """The place in which the `count`-th entry lies, and how many entries of that place are needed to reach it."""
    sums = np.cumsum(counts)
    place = int(np.searchsorted(sums, count))
    return place, count - int(sums[place] - counts[place])


@njit(inline="always")
def _tally_one(bits: np.uint32, upper: int, counts: I64) -> None:
    if upper < 0:
        counts[bits >> np.uint32(16)] += 1
    elif bits >> np.uint32(16) == upper:
        counts[bits & np.uint32(0xFFFF)] += 1


@njit(cache=True)
def _tally_values(
    mask: Mask, starts: I32 | I64, values: F32, toggle: Mask, toggled: bool, upper: int, counts: I64
) -> None:
    """Counts the magnitudes of all slots, or of those toggled."""
    magnitudes = values.view(np.uint32)
    if not toggled:
        for bits in magnitudes[: starts[starts.size - 1]]:
            _tally_one(bits & _SIGN_OFF, upper, counts)
        return
    slot = np.int64(0)
    for row in range(mask.shape[0]):
        for piece in range(mask.shape[1]):
            for lane in range(LANES):
                if mask[row, piece] >> lane & 1:
                    if toggle[row, piece] >> lane & 1:
                        _tally_one(magnitudes[slot] & _SIGN_OFF, upper, counts)
                    slot += 1


@njit(cache=True)
def _toggle_values(
    mask: Mask, starts: I32 | I64, values: F32, toggle: Mask, largest: bool, bound: int, ties: int
) -> int:
    """Toggles the slots below the bound (or, of those already toggled, those above it), and as many at it as `ties`.

    Of slots with equal magnitude the first are dropped and, going backwards, the last are kept.
    """
    magnitudes = values.view(np.uint32)
    rows = mask.shape[0]
    slot = np.int64(starts[starts.size - 1]) if largest else np.int64(0)
    for i in range(rows):
        row = rows - 1 - i if largest else i
        for j in range(mask.shape[1] * LANES):
            place = mask.shape[1] * LANES - 1 - j if largest else j
            piece, lane = place // LANES, place % LANES
            if not mask[row, piece] >> lane & 1:
                continue
            slot -= int(largest)
            bits = magnitudes[slot] & _SIGN_OFF
            slot += int(not largest)
            if largest and not toggle[row, piece] >> lane & 1:
                continue
            beyond = bits > bound if largest else bits < bound
            if beyond or (bits == bound and ties > 0):
                toggle[row, piece] ^= 1 << lane
                ties -= int(not beyond)
    return ties


@njit(cache=True)
def _tally_scores(scores: F32, first: int, mask: Mask, toggle: Mask, upper: int, counts: I64) -> None:
    """Counts the scores above zero at positions without a slot or with a toggled one."""
    magnitudes = scores.view(np.uint32)
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            bits = magnitudes[row, column] & _SIGN_OFF
            piece, lane = column // LANES, column % LANES
            taken = mask[first + row, piece] & ~toggle[first + row, piece]
            if bits > 0 and not taken >> lane & 1:
                _tally_one(bits, upper, counts)


@njit(cache=True)
def _toggle_scores(scores: F32, first: int, mask: Mask, toggle: Mask, bound: int, ties: int) -> int:
    """Toggles candidates above the bound and as many at it as `ties`: one without a slot grows, a dropped one stays."""
    magnitudes = scores.view(np.uint32)
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            bits = magnitudes[row, column] & _SIGN_OFF
            piece, lane = column // LANES, column % LANES
            taken = mask[first + row, piece] & ~toggle[first + row, piece]
            if bits == 0 or taken >> lane & 1:
                continue
            if bits > bound or (bits == bound and ties > 0):
                toggle[first + row, piece] ^= 1 << lane
                ties -= int(bits == bound)
    return ties


@njit(cache=True)
def _drop(mask: Mask, starts: I32 | I64, values: F32, moment_1: F32, moment_2: F32, toggle: Mask) -> np.int64:
    kept = slot = np.int64(0)
    for row in range(mask.shape[0]):
        if row % ROWS_A_START == 0:
            starts[row // ROWS_A_START] = kept
        for piece in range(mask.shape[1]):
            bits, changed = mask[row, piece], toggle[row, piece]
            for lane in range(LANES):
                if not bits >> lane & 1:
                    continue
                if not changed >> lane & 1:
                    values[kept], moment_1[kept], moment_2[kept] = values[slot], moment_1[slot], moment_2[slot]
                    kept += 1
                slot += 1
            mask[row, piece] = bits & ~changed
            toggle[row, piece] = changed & ~bits
    starts[starts.size - 1] = kept
    return kept


@njit(cache=True)
def _grow(mask: Mask, starts: I32 | I64, values: F32, moment_1: F32, moment_2: F32, toggle: Mask, grown: int) -> None:
    slot = np.int64(starts[starts.size - 1])
    to = slot + grown
    starts[starts.size - 1] = to
    for row in range(mask.shape[0] - 1, -1, -1):
        for piece in range(mask.shape[1] - 1, -1, -1):
            kept, new = mask[row, piece], toggle[row, piece]
            for lane in range(LANES - 1, -1, -1):
                if kept >> lane & 1:
                    to -= 1
                    slot -= 1
                    values[to], moment_1[to], moment_2[to] = values[slot], moment_1[slot], moment_2[slot]
                elif new >> lane & 1:
                    to -= 1
                    values[to], moment_1[to], moment_2[to] = 0, 0, 0
            mask[row, piece] = kept | new
        if row % ROWS_A_START == 0:
            starts[row // ROWS_A_START] = to
