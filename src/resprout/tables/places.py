"""Where slots are: masks, and scores of all positions by which a table takes those where it begins with slots."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from resprout.budget import Shape, mask_row_bytes
from resprout.kernels.contract import F32, LANES, Backend, Mask, MaskedRows, PrefixRows, ScoreBlocks, slots_before
from resprout.rng import stream_key
from resprout.tables.table import aligned_empty, block_rows, row_blocks


def no_positions(shape: Shape) -> Mask:
    """A mask of which no bit is set."""
    pieces = shape.rows, -(-mask_row_bytes(shape.width) // 2)
    return np.zeros(pieces, np.uint8) if shape.width <= 8 else np.zeros(pieces, np.uint16)


def flags(mask: Mask, block: F32) -> NDArray[np.bool_]:
    """The mask of whole rows as a bool for each of their positions."""
    bits = np.unpackbits(mask.view(np.uint8), axis=1, bitorder="little", count=block.shape[1])
    return bits.astype(bool)


def slots_in(rows: MaskedRows | PrefixRows, first: int, block: F32) -> tuple[slice, NDArray[np.bool_]]:
    """The slots of rows from `first` on, as many as the block has, and where in the block they are."""
    last = first + len(block)
    slots = slice(*(slots_before(rows, row) for row in (first, last)))
    if isinstance(rows, PrefixRows):
        return slots, np.arange(block.shape[1]) < rows.lengths[first:last, None]
    return slots, flags(rows.mask[first:last], block)


def prefixes(lengths: NDArray[np.integer], shape: Shape) -> Mask:
    """The mask of rows that have as many positions, the first ones."""
    mask = no_positions(Shape(shape.name, len(lengths), shape.width))
    for piece in range(mask.shape[1]):
        ones = np.clip(lengths.astype(np.int64) - LANES * piece, 0, LANES).astype(np.uint32)
        mask[:, piece] = (np.uint32(1) << ones) - np.uint32(1)
    return mask


def random_scores(shape: Shape, key: int, backend: Backend) -> ScoreBlocks:
    """Uniform scores for every position of a table, the same for the same key, made block by block."""
    block = aligned_empty(block_rows(shape), shape.width)

    def blocks() -> Iterator[tuple[int, F32]]:
        for first in range(0, shape.rows, len(block)):
            out = block[: shape.rows - first]
            backend.random_scores(key, first, out)
            yield first, out

    return blocks


def column_scores(shape: Shape) -> ScoreBlocks:
    """Scores that are the larger the earlier the column."""
    block = np.tile(np.arange(shape.width, 0, -1, dtype=np.float32), (block_rows(shape), 1))
    return lambda: ((first, block[: last - first]) for first, last in row_blocks(shape))


def mostly_column_scores(shape: Shape, slots: int, key: int, backend: Backend) -> ScoreBlocks:
    """Scores whose `slots` largest are the first columns of all rows, for nine tenths of them, and random positions.

    Where scores of a model are products of two tables, a column that is empty in both has no gradient and stays empty.
    """
    whole = int(0.9 * slots / shape.rows)
    uniform = random_scores(shape, key, backend)

    def blocks() -> Iterator[tuple[int, F32]]:
        for first, block in uniform():
            block[:, :whole] = 2  # above all the others, which are below 1
            yield first, block

    return blocks


def move_key(seed: int, table: str, step: int) -> int:
    """64-bit key of the random scores of the update at `step`."""
    return stream_key(seed, "grow", table, step) & (2**64 - 1)


def popular_scores(shape: Shape, interactions: NDArray[np.int64], key: int, backend: Backend) -> ScoreBlocks:
    """Scores whose largest are at random, the more of a row the more `interactions` it has: about as their logarithm.

    Draws without replacement, by weights, as of Efraimidis and Spirakis (2006): the largest `uniform^(1 / weight)`.
    """
    uniform = random_scores(shape, key, backend)
    powers = (1 / np.log2(interactions + 2)).astype(np.float32)[:, None]

    def blocks() -> Iterator[tuple[int, F32]]:
        for first, block in uniform():
            np.power(block, powers[first : first + len(block)], out=block)
            yield first, block

    return blocks


def uneven_scores(shape: Shape, key: int, backend: Backend) -> ScoreBlocks:
    """Scores whose largest are the first columns of all rows, of few rows many: their number falls like 1/rank.

    So every column has rows that have it, and gradients.
    """
    of_rows = random_scores(Shape(shape.name, shape.rows, 1), key, backend)
    columns = np.arange(1, shape.width + 1, dtype=np.float32)

    def blocks() -> Iterator[tuple[int, F32]]:
        for first, chances in of_rows():
            for begin, end in row_blocks(Shape(shape.name, len(chances), shape.width)):
                yield first + begin, np.float32(1) / (chances[begin:end] * columns)

    return blocks
