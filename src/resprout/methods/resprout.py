"""Resprout: rows of few bits that are trained as they are deployed, so that nearly all of the budget is weights.

What a dense table holds in training is mostly not its weights: Adam keeps two float32 moments for each of them. Here a
row has one second moment and none of first order. Weights are int8 (with a scale a row) or float16, which updates round
up or down at random so that small ones are not lost (Gupta et al., ICML 2015, section 3.1); or they have 1 to 6 bits,
rounded to the nearest level after each update of float16 ones that only training keeps.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from resprout.budget import Budget, Shape
from resprout.errors import BudgetExceeded
from resprout.methods import method
from resprout.methods.method import Allowance, Stage, first_left
from resprout.methods.quantised import DEPLOYED, Precision

BITS = tuple(name for name in DEPLOYED if name.startswith("bits"))
LOST = {"bits6": 0.00104, "bits5": 0.00349, "bits4": 0.01154, "bits3": 0.03744, "bits2": 0.1188, "bits1": 0.3634}
"""The share of a normal weight's variance that rounding loses (Max 1960, table 2); of more bits hardly any."""


class Options(method.Options):
    """Options of `resprout`."""

    precision: Literal["auto"] | Precision = Field(
        "auto",
        description="of the weights, in training too; auto: what weighs columns against bits best, "
        "and, where bytes of training count, float16 or int8",
    )


class Resprout(method.Method):
    """One stage: rows of few bits, of as many columns as the budget has room for."""

    Options = Options
    summary = "a table of 2 to 16 bits a weight, trained as it is deployed, with one moment a row"
    cost = "1, or its width by the full width"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        precision, widths = self.options.precision, allowance.widths
        if precision == "auto":
            precision = "float16" if allowance.budget is None else _best(allowance.shapes, allowance.budget)
        if allowance.budget is not None:
            widths = _widths(allowance.shapes, allowance.budget, precision)
        return first_left(finished, Stage("train", precision, widths))


def _best(shapes: Sequence[Shape], budget: Budget) -> str:
    """The precision whose columns are worth most."""
    kinds = [name for name in DEPLOYED if not (budget.of == "training" and name in BITS)]
    # Columns count as far as rounding leaves them; the exponent is where 40 columns of 3 bits and 64 of 2 are as good
    # (docs/decisions/0012). Of equals, the first: more bits.
    return max(kinds, key=lambda kind: sum(_room(shapes, budget, kind)) * (1 - LOST.get(kind, 0)) ** 6)


def _room(shapes: Sequence[Shape], budget: Budget, precision: str) -> tuple[int, ...]:
    """The columns of each table; none if the budget is too small for it."""
    try:
        return _widths(shapes, budget, precision)
    except BudgetExceeded:
        return ()


def _widths(shapes: Sequence[Shape], budget: Budget, precision: str) -> tuple[int, ...]:
    row_bytes = DEPLOYED[precision] if budget.of == "deployed" else partial(_trained_bytes, precision)
    return tuple(budget.narrow_widths(shapes, row_bytes))


def _trained_bytes(precision: str, width: int) -> int:
    """Of a row with its moment and, of few bits, with what its weights are rounded from."""
    unrounded = 2 * width if precision in BITS else 0
    return DEPLOYED[precision](width) + unrounded + 4
