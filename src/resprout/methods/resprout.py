"""Resprout: rows of few bits that are trained as they are deployed, so that nearly all of the budget is weights.

What a dense table holds in training is mostly not its weights: Adam keeps two float32 moments for each of them. Here a
row has one second moment, none of first order, and weights of a byte (and a scale a row) or of two bytes, which updates
round up or down at random so that small ones are not lost (Gupta et al., ICML 2015, section 3.1). With int8 a table of
width 64 takes 9.4 % of what a dense one takes in training, and 26.6 % of it deployed; columns go only below that.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from resprout.budget import Budget
from resprout.errors import BudgetExceeded
from resprout.methods import method
from resprout.methods.method import Allowance, Stage, first_left
from resprout.methods.quantised import DEPLOYED

TRAINED: Mapping[str, tuple[int, int]] = {precision: (size, row + 4) for precision, (size, row) in DEPLOYED.items()}
"""As `DEPLOYED`, with the moment of the row."""


class Options(method.Options):
    """Options of `resprout`."""

    precision: Literal["auto", "int8", "float16"] = Field(
        "auto",
        description="of the weights, in training too; auto: what has more columns, float16 where both have as many",
    )


class Resprout(method.Method):
    """One stage: rows of few bits, of as many columns as the budget has room for."""

    Options = Options
    summary = "a table of float16 or int8 rows, trained as it is deployed, with one moment a row"
    cost = "1, or its width by the full width"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        precision, widths = self.options.precision, allowance.widths
        if precision == "auto":
            # float16 first: it is taken where both have as many columns
            precision = max(("float16", "int8"), key=lambda kind: sum(_room(allowance, kind)))
        if allowance.budget is not None:
            widths = _widths(allowance, allowance.budget, precision)
        return first_left(finished, Stage("train", precision, widths))


def _room(allowance: Allowance, precision: str) -> tuple[int, ...]:
    """The columns of each table; none if the budget is too small for it."""
    try:
        return allowance.widths if allowance.budget is None else _widths(allowance, allowance.budget, precision)
    except BudgetExceeded:
        return ()


def _widths(allowance: Allowance, budget: Budget, precision: str) -> tuple[int, ...]:
    sizes = DEPLOYED if budget.of == "deployed" else TRAINED
    return tuple(budget.narrow_widths(allowance.shapes, *sizes[precision]))
