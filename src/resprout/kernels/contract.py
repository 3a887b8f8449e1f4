"""What every kernel backend offers: shapes, dtypes, aliasing and errors, apart from any implementation.

Arrays are C-contiguous. Row numbers are int32, offsets int64 unless said otherwise. `out` arguments overlap no input
and are written whole: their old content is never read, but for that of `add_range`. Kernels trust their arguments;
tables check them once.

A width of up to 1,024 is cut into blocks of 16 positions. Bit `p` of a row's mask says whether position `p` has a slot;
the slots of a row lie together, in the order of their positions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from resprout.budget import ROWS_A_START

LANES = 16
MAX_WIDTH = 1024

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
Mask = NDArray[np.uint8] | NDArray[np.uint16]
Lengths = NDArray[np.uint8] | NDArray[np.uint16]


class DenseRows(NamedTuple):
    """Rows stored whole: `values` is float32 `[rows, width]`."""

    values: F32


ROW_SCALES: F32 = np.exp2((np.arange(256) - 192) / 8).astype(np.float32)
"""What a row's code stands for: eight to a power of two; nothing below the first, no number above the last."""
ROW_SCALES[0], ROW_SCALES[255] = 0, np.nan


def scale_codes(largest: F32, steps: int) -> NDArray[np.uint8]:
    """The codes of the smallest scales of which so many steps reach the largest weights of rows; 255 if none do."""
    return np.searchsorted(ROW_SCALES[:-1] * np.float32(steps), largest).astype(np.uint8)


class Int8Rows(NamedTuple):
    """Rows of integers: a weight is its integer times `ROW_SCALES` of its row's code.

    values: int8 `[rows, width]`; codes: uint8 `[rows]`.
    """

    values: NDArray[np.int8]
    codes: NDArray[np.uint8]


class HalfRows(NamedTuple):
    """Rows of finite float16 numbers, stored whole: `bits` is `[rows, width]`, their bits as uint16."""

    bits: NDArray[np.uint16]


class Bfloat16Rows(NamedTuple):
    """Rows of bfloat16 numbers, the upper halves of float32 ones, two to a word.

    words: uint32 `[rows, 16 for each 32 columns]`. Of each 32 columns the first 16 are in the lower halves of their
    words and the others in the upper halves, so that a vector of words becomes two of columns and no lane moves.
    Halves beyond the last column are 0.
    """

    words: U32


class BitRows(NamedTuple):
    """Rows of few bits a weight, the first columns of which may have more than the later ones, in planes.

    Plane 0 is the highest bit of the first columns of a row, as many as have one; plane 1 the next bit of the first of
    these, and so on, each right behind the one before. So a column with n bits is in the first n planes, and a weight
    is `ROW_SCALES[code of its row] * step of its column * (+-2^(n - 1) ... +-2 +-1)`, plus where a bit is on; 0 in a
    column without bits, and in a row of code 0.

    planes: uint8 `[rows, row bytes]`, of which four may be read even if there are fewer; bit `p % 8` of byte `p // 8`
    of a row is bit `p` of it, and bits beyond the last plane are 0. codes: uint8 `[rows]`, numbers of `ROW_SCALES`.
    starts: int64 `[planes + 1]`: the first bit of each plane, and the one behind the last; no plane is longer than the
    one before. steps: float32 `[width]`.
    depths: int64 `[blocks]`, for each 16 columns how many planes reach them. What these have there, in a word of four
    bytes: bytes, int64 `[planes, blocks]`, the first one of a row; shifts, int64, the bit of the word that belongs to
    the first column; lanes, uint16, a bit for each column that the plane reaches. whole: int64 `[1]`, how many planes
    need no look at these three, for they reach all columns, and these are sixteens.
    """

    planes: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    starts: I64
    steps: F32
    depths: I64
    bytes: I64
    shifts: I64
    lanes: NDArray[np.uint16]
    whole: I64


BIT_STEPS = (1.5958, 0.9957, 0.5860, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308)
"""The best distance of levels for 1 to 8 bits, by the standard deviation of normal weights (Max 1960, table 2)."""


_WORD = 4


def bit_rows(planes: NDArray[np.uint8], codes: NDArray[np.uint8], bits: NDArray[np.uint8], spread: F32) -> BitRows:
    """Rows whose columns have so many bits each, 0 to 8, never more than the column before; the first one has some.

    spread: float32 `[width]`, the standard deviations of columns that levels are made for; `ROW_SCALES` times it for
    the weights of a single row.
    """
    reaches = np.count_nonzero(bits > np.arange(bits.max(initial=0))[:, None], 1)
    starts = np.concatenate([[0], np.cumsum(reaches)]).astype(np.int64)
    half_steps = np.array([0, *BIT_STEPS], np.float32) / np.float32(2)
    columns = np.arange(0, len(bits), LANES)
    places = starts[:-1, None] + columns
    # words end with the row, so that none reaches beyond the last one
    firsts = np.minimum(places >> 3, max(planes.shape[1] - _WORD, 0))
    reached = (reaches[:, None] - columns).clip(0, LANES)
    return BitRows(
        planes,
        codes,
        starts,
        half_steps[bits] * spread,
        bits[::LANES].astype(np.int64),
        firsts,
        places - 8 * firsts,
        ((1 << reached) - 1).astype(np.uint16),
        np.array([0 if len(bits) % LANES else np.count_nonzero(reaches == len(bits))]),
    )


def bfloat16_words(width: int) -> int:
    """Words of a row of `Bfloat16Rows` with so many columns."""
    return LANES * -(-width // (2 * LANES))


def bits_of(rows: BitRows) -> NDArray[np.uint8]:
    """The bits of each column, uint8 `[width]`."""
    reaches = np.diff(rows.starts)
    bits: NDArray[np.uint8] = (reaches[:, None] > np.arange(len(rows.steps))).sum(0, dtype=np.uint8)
    return bits


class PackedRows(NamedTuple):
    """Rows of which only the slots are stored.

    mask: `[rows, pieces]`, uint8 for widths up to 8, else uint16: the row's mask words read 16 bits at a time.
    starts: int32 or int64 `[blocks + 1]`, first slot of each `ROWS_A_START` rows, and their number.
    values: float32 `[slots]`.
    """

    mask: Mask
    starts: I32 | I64
    values: F32


class PackedInt8Rows(NamedTuple):
    """Packed rows of integers, as `Int8Rows`: `values` is int8 `[slots]`, `codes` uint8 `[rows]`."""

    mask: Mask
    starts: I32 | I64
    values: NDArray[np.int8]
    codes: NDArray[np.uint8]


class PackedHalfRows(NamedTuple):
    """Packed rows whose slots are finite float16 numbers: `bits` is `[slots]`, their bits as uint16."""

    mask: Mask
    starts: I32 | I64
    bits: NDArray[np.uint16]


def row_slots(mask: Mask) -> I64:
    """How many slots each row of a mask has, `[rows]`."""
    slots: I64 = np.bitwise_count(mask).sum(1, dtype=np.int64)
    return slots


class PrefixRows(NamedTuple):
    """Rows of which only the first columns are stored, as many as each has slots.

    lengths: `[rows]`, uint8 for widths up to 255, else uint16: the slots of each row.
    starts: as of `PackedRows`. values: float32 `[slots]`.
    """

    lengths: Lengths
    starts: I32 | I64
    values: F32


def starts_of(lengths: NDArray[Any], wide: bool = False, first: int = 0) -> NDArray[Any]:
    """The `starts` of rows that have so many slots, from slot `first` on; 64-bit numbers if they must be `wide`."""
    ends = np.concatenate([[first], first + np.cumsum(lengths, dtype=np.int64)])
    return np.append(ends[:-1:ROWS_A_START], ends[-1:]).astype(np.int64 if wide else np.int32)


def slots_before(rows: "MaskedRows | PrefixRows", row: int) -> int:
    """How many slots rows before `row` have, which may be the one behind the last."""
    block = row // ROWS_A_START
    its = slice(block * ROWS_A_START, row)
    counted = rows.lengths[its] if isinstance(rows, PrefixRows) else row_slots(rows.mask[its])
    return int(rows.starts[block] + counted.sum(dtype=np.int64))


class CompactRows(NamedTuple):
    """A few rows out of many, all others being zero.

    positions: int32 `[rows]`, the place of a row in `values`, or -1.
    values: float32 `[stored rows, width]`.
    """

    positions: I32
    values: F32


class NoRows(NamedTuple):
    """All rows zero."""

    nothing: None = None


class Links(NamedTuple):
    """Weighted lists of row numbers, one list per output row: a graph, or the bags of a batch.

    starts: int64 `[lists + 1]`; ids: int32 `[links]`; weights: float32 `[links]`.
    """

    starts: I64
    ids: I32
    weights: F32


class Groups(NamedTuple):
    """A batch of row numbers by row.

    unique: int32, each row once, in the order of first appearance; places: int32 `[batch]`, `ids = unique[places]`.
    starts: int64 `[unique + 1]`, members: int32 `[batch]`: the places in the batch of each unique row, ascending.
    """

    unique: I32
    places: I32
    starts: I64
    members: I32


class AdamStep(NamedTuple):
    """One Adam step (Kingma & Ba 2015, algorithm 1, with the bias corrections folded in).

    size: learning rate / (1 - beta_1^t); root: 1 / sqrt(1 - beta_2^t).
    """

    size: float
    root: float
    beta_1: float
    beta_2: float
    epsilon: float


class RowStep(NamedTuple):
    """One step with a second moment for each row and none of first order (as Adam with beta_1 = 0, by row).

    rate: learning rate; root: 1 / sqrt(1 - beta_2^t); key: 32 bits from which float16 numbers are rounded at random.
    offsets, phase: 32 bits each, for int8 and its moments, whose steps are so coarse that what is random adds up: each
    weight has an offset of its own, from `offsets`, and is rounded up where its fraction is at least 1 - u, u = (offset
    + phase) / 2^32 mod 1. `phase` goes on from step to step, so that a weight meets all u alike.
    """

    rate: float
    root: float
    beta_2: float
    epsilon: float
    key: int
    offsets: int
    phase: int


INT8_LARGEST, INT8_LEAST, INT8_NEW = 126, 100, 120
"""How many steps the largest weight of an int8 row may have, and has at most where a new scale is chosen: in training
scales move only if they must, for then all weights of the row are rounded anew."""

ScoreBlocks = Callable[[], Iterator[tuple[int, F32]]]
"""Each call yields (first row, float32 `[some rows, width]`) from a table's first row to its last, always the same."""

MaskedRows = PackedRows | PackedInt8Rows | PackedHalfRows
Rows = DenseRows | Int8Rows | HalfRows | Bfloat16Rows | BitRows | MaskedRows | PrefixRows | CompactRows | NoRows


class Backend(Protocol):
    """The functions of a backend; `select.py` hands out one of them."""

    def sum_links(self, links: Links, first: int, source: Rows, add: Rows, scale: float, out: F32) -> None:
        """`out[i] = scale * (add[r] + sum of weight * source[id] over the links of r)`, with `r = first + i`.

        out: float32 `[lists, width]`.
        """

    def sum_links_bfloat16(self, links: Links, source: Rows, add: Rows, width: int, out: Bfloat16Rows) -> None:
        """As `sum_links` of all lists, unscaled, and rounded to the nearest bfloat16 numbers (ties to even)."""

    def sum_links_of(self, links: Links, lists: I32, source: Rows, add: Rows, scale: float, out: F32) -> None:
        """As `sum_links`, with `r = lists[i]`; lists may repeat."""

    def read_rows(self, ids: I32, source: Rows, out: F32) -> None:
        """`out[i] = source[ids[i]]`, float32 `[ids, width]`; ids may repeat."""

    def read_range(self, first: int, source: Rows, out: F32) -> None:
        """`out[i] = source[first + i]`."""

    def to_bfloat16(self, source: Rows, width: int, out: Bfloat16Rows) -> None:
        """`out` = as many rows of `source`, finite, rounded to the nearest bfloat16 numbers (ties to even)."""

    def add_range(self, first: int, source: Rows, scale: float, out: F32) -> None:
        """`out[i] += scale * source[first + i]`."""

    def sampled_dots(self, queries: F32, ids: I32, source: Rows, out: F32) -> None:
        """`out[i, k]` = the product of `queries[i]` and `source[ids[i, k]]`: a product of matrices at some places only.

        queries: float32 `[batch, width]`; ids: `[batch, n]`, they may repeat; out: float32 `[batch, n]`.
        """

    def group_ids(self, ids: I32, positions: I32) -> Groups:
        """The ids by row.

        positions: int32, one a row of the table, all -1; becomes the place of each row in `unique`.
        """

    def adam_dense(self, values: F32, moment_1: F32, moment_2: F32, gradients: F32, step: AdamStep) -> None:
        """One step of Adam on whole rows, in place; all `[rows, width]`."""

    def adam_packed(
        self, rows: PackedRows, moment_1: F32, moment_2: F32, first: int, gradients: F32, step: AdamStep
    ) -> None:
        """One step of Adam on the slots of rows `first` to `first + len(gradients)`, in place.

        gradients: float32 `[some rows, width]`, passed over where there is no slot; moments: `[slots]`.
        """

    def update_half(self, rows: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep) -> None:
        """Rows from `first` on, and their second moments, float32 `[rows]`, in place.

        A row's moment follows the mean square of its gradient. Values are rounded up or down at random, so that their
        mean is what they would be unrounded. A row whose gradient is 0 stays as it is, but for its moment.
        """

    def update_int8(self, rows: Int8Rows, moments: U16, first: int, gradients: F32, step: RowStep) -> None:
        """As `update_half`, for int8 rows, whose values and moments are rounded up or down by turns.

        moments: bfloat16 `[rows]`, the upper halves of float32 numbers. The code of a row is chosen anew where its
        largest weight would have less than `INT8_LEAST` steps, or more than `INT8_LARGEST`, and is 255 where no scale
        is large enough. Offsets of moments follow those of all values.
        """

    def update_bits(
        self, rows: BitRows, unrounded: HalfRows, moments: F32, first: int, gradients: F32, step: RowStep
    ) -> None:
        """As `update_half` of `unrounded`; then rows that have a gradient are rounded from it, as by `round_bits`."""

    def round_bits(self, values: F32, first: int, rows: BitRows) -> None:
        """Rows from `first` on become the rows of `values`, float32 `[some rows, width]`, rounded to the nearest.

        A row's scale is the one next to the root of its mean square, over columns that have bits, each by its spread.
        """

    def fill_dense(self, key: int, uniform: bool, scale: float, first: int, out: F32) -> None:
        """Rows from `first` on of the starting values of the table `key`, each a function of key and position alone.

        uniform: U(-scale, scale), else N(0, scale^2).
        """

    def fill_packed(self, key: int, uniform: bool, scale: float, rows: PackedRows, width: int) -> None:
        """Sets every slot to what `fill_dense` would put at its position."""

    def random_scores(self, key: int, first: int, out: F32) -> None:
        """Rows from `first` on of uniform scores in (0, 1), each a function of key and position alone."""

    def choose_positions(self, blocks: ScoreBlocks, count: int, mask: Mask) -> None:
        """`mask` = the `count` positions of largest absolute score, never 0; ties go to the lower position."""

    def choose_moves(self, tables: Sequence[PackedRows], scores: Sequence[ScoreBlocks], count: int) -> list[Mask]:
        """For each table a mask of the positions that change: slots that go and positions that gain one, equally many.

        The `count` slots of smallest absolute value are dropped (ties: lower position first). Then as many positions of
        largest absolute score grow, among those without a slot and those just dropped; one that is dropped and grown
        does not change. A score of 0 never grows; if too few are left, only the smallest of the dropped go.
        """

    def drop_slots(self, rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> int:
        """How many slots are left once those marked in `toggle` are gone; the others move up, in place.

        `toggle` comes to mark only the positions that `grow_slots` is to give a slot.
        """

    def grow_slots(self, rows: PackedRows, moments: tuple[F32, F32], toggle: Mask) -> None:
        """Gives each position marked in `toggle` a slot of value and moments 0, in place; the arrays must have room."""

    def dot_scores(self, queries: F32, item_vectors: F32, out: F32) -> None:
        """`out = queries item_vectors^T`, from `[users, width]` and `[items, width]`; the same bits in any blocks."""

    def keep_best(
        self, scores: F32, first_item: int, seen_starts: I64, seen_items: I32, best_scores: F32, best_items: I32
    ) -> None:
        """Best-k lists updated with one block of scores; see `reference.top_k.keep_best`."""

    def sort_best(self, best_scores: F32, best_items: I32) -> None:
        """Best-k lists in descending order, in place; ties go to the lower item."""
