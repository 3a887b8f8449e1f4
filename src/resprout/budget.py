"""How much a model's tables may hold: a share of the dense weights, or deployed bytes; and what they do hold."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from resprout.errors import BudgetExceeded, SettingsError

VALUE_BYTES = 4
TRAINED_BYTES = 3 * VALUE_BYTES
"""A float32 weight and its two moments."""
ROWS_A_START = 8
"""Rows of slots that share a start: those before one in these are counted, in their masks (a cache line of them at
width 64) or by their lengths."""
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_BUDGET = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(%|[kmg]?i?b)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Shape:
    """The size of a table: `rows` x `width` weights."""

    name: str
    rows: int
    width: int

    @property
    def weights(self) -> int:
        """Weights of the table when dense."""
        return self.rows * self.width

    @property
    def dense_bytes(self) -> int:
        """Bytes of the dense float32 table."""
        return self.weights * VALUE_BYTES

    def narrowed(self, width: int) -> "Shape":
        """The same rows with another width."""
        return replace(self, width=width)


@dataclass(frozen=True)
class Layout:
    """How a table of slots lies: bytes of a slot, of a row besides its index, and whether this is masks, or lengths."""

    slot_bytes: int = VALUE_BYTES
    row_bytes: int = 0
    masked: bool = True

    def index_bytes(self, shape: Shape, slots: int) -> int:
        """Bytes of a table with that many slots, without them."""
        row = self.row_bytes + (mask_row_bytes(shape.width) if self.masked else length_bytes(shape.width))
        starts = -(-shape.rows // ROWS_A_START) + 1
        return shape.rows * row + starts * start_bytes(slots)


def mask_row_bytes(width: int) -> int:
    """Bytes of one row's mask: one byte up to width 8, else two for each 16 positions."""
    return 1 if width <= 8 else 2 * -(-width // 16)


def length_bytes(width: int) -> int:
    """Bytes of a number of columns, of so many."""
    return 1 if width < 256 else 2


def start_bytes(slots: int) -> int:
    """Bytes of one start: 32 bits while they can count the slots."""
    return 4 if slots < 2**31 else 8


Of = Literal["deployed", "training"]
RowBytes = Callable[[int], int]
"""Bytes of a row of that many columns; more columns never take less."""


@dataclass(frozen=True)
class Budget:
    """A limit on a model's tables: either a share of the dense weights, or bytes, index included.

    of: "deployed", or "training": bytes of tables with their moments at any time of the training; then a share is one
    of the bytes that dense tables take with theirs.
    """

    share: Fraction | None = None
    size: int | None = None
    of: Of = "deployed"

    @classmethod
    def parse(cls, text: str, of: Of = "deployed") -> "Budget":
        """The budget written as "20%", "8MB" (10^6) or "8MiB" (2^20).

        Raises SettingsError for any other form, for nothing, and for more than 100 %.

        >>> Budget.parse("20%").share
        Fraction(1, 5)
        >>> Budget.parse("1.5 MB").size
        1500000
        """
        match = _BUDGET.fullmatch(text)
        if match is None:
            raise SettingsError(
                f"budget {text!r} is neither a share of the dense weights like '20%' nor deployed bytes like '8MB'"
            )
        number, unit = Fraction(match[1]), match[2].lower()
        if number == 0:
            raise SettingsError(f"budget {text!r} leaves nothing: give a share above 0 % or some bytes")
        if unit == "%":
            if number > 100:
                raise SettingsError(f"budget {text!r} is above 100 %: a table cannot use more than all its weights")
            return cls(share=number / 100, of=of)
        return cls(size=int(number * _UNITS[unit]), of=of)

    def __str__(self) -> str:
        if self.share is not None:
            return f"{float(self.share * 100):g}%"
        return f"{self.size}B"

    @property
    def weight_bytes(self) -> int:
        """What it counts for a weight of a dense table."""
        return VALUE_BYTES if self.of == "deployed" else TRAINED_BYTES

    def bytes_of(self, shapes: Sequence[Shape]) -> int:
        """The limit in bytes; of a share of deployed weights, that of as large a part of the dense tables."""
        return int(self.share * self._dense(shapes)) if self.share is not None else self.size or 0

    def slots(self, shapes: Sequence[Shape], layout: Layout | None = None) -> list[int]:
        """Slots of each table within the budget, each with the same share of its weights.

        layout: that of float32 slots with a mask if not given; it matters to a budget of bytes. Raises BudgetExceeded
        where a table would be left without a slot, SettingsError where it is above the dense tables.
        """
        if self.share is not None and self.of == "deployed":
            total = int(self.share * sum(shape.weights for shape in shapes))
        else:
            total = self._slots_in_bytes(shapes, layout or Layout(self.weight_bytes))
        slots = _apportion(total, [shape.weights for shape in shapes])
        for shape, its in zip(shapes, slots, strict=True):
            if its < 1:
                raise BudgetExceeded(f"budget {self} is too small: table {shape.name!r} would have no weight left")
        return slots

    def _slots_in_bytes(self, shapes: Sequence[Shape], layout: Layout) -> int:
        limit, dense = self.bytes_of(shapes), self._dense(shapes)
        index = sum(layout.index_bytes(shape, limit // layout.slot_bytes) for shape in shapes)
        if limit > dense:
            raise SettingsError(f"budget {self} is above the {dense:,} bytes of the dense tables: use method 'dense'")
        if limit <= index:
            raise BudgetExceeded(
                f"budget {self} is too small: the index of "
                f"{sum(shape.rows for shape in shapes):,} rows alone takes {index:,} bytes; "
                "give more bytes, a smaller width, or method 'narrow', which needs no index"
            )
        return min((limit - index) // layout.slot_bytes, sum(shape.weights for shape in shapes))

    def moved(self, shapes: Sequence[Shape], others: Sequence[Shape]) -> "Budget":
        """The bytes that it is for some tables, as a budget of others; no more than all of these."""
        return Budget(size=min(self.bytes_of(shapes), self._dense(others)), of=self.of)

    def _dense(self, shapes: Sequence[Shape]) -> int:
        return sum(shape.weights for shape in shapes) * self.weight_bytes

    def narrow_widths(self, shapes: Sequence[Shape], row_bytes: RowBytes | None = None) -> list[int]:
        """The width of each table stored whole within the budget, each with the same share of its dense bytes.

        row_bytes: what a row takes, as the budget counts; float32 weights alone by default. No table is made wider than
        it is. Raises BudgetExceeded where a table would be left without a column.
        """
        dense, row_bytes = self._dense(shapes), row_bytes or self.weight_bytes.__mul__
        if self.share is None and (self.size or 0) > dense:
            raise SettingsError(f"budget {self} is above the {dense:,} bytes of the dense tables: use method 'dense'")
        share = self.share if self.share is not None else Fraction(self.size or 0, dense)
        widths = []
        for shape in shapes:
            limit = int(share * shape.width * self.weight_bytes)
            width = bisect_right(range(1, shape.width + 1), limit, key=row_bytes)
            if width < 1:
                narrowest = min(its.width for its in shapes)
                needed = math.ceil(Fraction(row_bytes(1), narrowest * self.weight_bytes) * dense)
                raise BudgetExceeded(
                    f"budget {self} is too small: table {shape.name!r} would have no column left; "
                    f"{self.way_out(needed, shapes)}"
                )
            widths.append(width)
        return widths

    def way_out(self, needed: int, shapes: Sequence[Shape]) -> str:
        """What to do where tables need so many bytes: which budget would do, as a share if this one is, or in bytes."""
        dense = self._dense(shapes)
        if needed > dense:
            return "no budget has room for that here: give a larger width"
        share = math.ceil(Fraction(needed, dense) * 10_000) / 100
        return f"give {needed}B or more" if self.share is None else f"give {share:g}% or more"


def _apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` divided in proportion to `weights`, by largest remainder; exact in sum."""
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    for k in sorted(range(len(weights)), key=lambda k: -remainders[k])[: total - sum(shares)]:
        shares[k] += 1
    return shares


@dataclass(frozen=True)
class MemoryUse:
    """Bytes by kind, for instance {"mask": ..., "values": ..., "moments": ...}."""

    bytes_by_kind: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.bytes_by_kind.values())

    def __add__(self, other: "MemoryUse") -> "MemoryUse":
        kinds = [*self.bytes_by_kind, *(kind for kind in other.bytes_by_kind if kind not in self.bytes_by_kind)]
        return MemoryUse({k: self.bytes_by_kind.get(k, 0) + other.bytes_by_kind.get(k, 0) for k in kinds})
