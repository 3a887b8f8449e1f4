"""Narrow: a small dense table within the budget, what an engineer would try first."""

from collections.abc import Sequence

from pydantic import Field

from resprout.methods import method
from resprout.methods.method import ITEMS, Allowance, Stage, needed


class Options(method.Options):
    """Options of `narrow`."""

    user_rows: bool | None = Field(
        None, description="false: users have no rows, the graph makes them of their items (lightgcn)"
    )


class Narrow(method.Method):
    """One stage, fewer columns."""

    Options = Options
    summary = "a small dense table of fewer columns: no index, the rival to beat"
    cost = "less than 1: its width by the full width"
    stages_at_some_budgets = (ITEMS,)

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        user_rows = self.options.user_rows is not False
        if not user_rows:
            allowance = allowance.without_users()
        widths = tuple(needed(allowance, "narrow").narrow_widths(allowance.shapes))
        return None if finished else Stage("train" if user_rows else ITEMS, "dense", widths, user_rows=user_rows)
