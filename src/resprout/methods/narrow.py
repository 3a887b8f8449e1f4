"""Narrow: a small dense table within the budget, what an engineer would try first."""

from collections.abc import Sequence

from pydantic import Field

from resprout.methods import method
from resprout.methods.method import SIDES, Allowance, RowsFor, Stage, needed, stage_name


class Options(method.Options):
    """Options of `narrow`."""

    rows_for: RowsFor = Field(
        default="both", description="items, or users: the graph makes the others of them (lightgcn)"
    )


class Narrow(method.Method):
    """One stage, fewer columns."""

    Options = Options
    summary = "a small dense table of fewer columns: no index, the rival to beat"
    cost = "less than 1: its width by the full width"
    stages_at_some_budgets = SIDES

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        rows_for = self.options.rows_for
        allowance = allowance.for_rows(rows_for)
        widths = tuple(needed(allowance, "narrow").narrow_widths(allowance.shapes))
        return None if finished else Stage(stage_name(rows_for), "dense", widths, rows_for=rows_for)
