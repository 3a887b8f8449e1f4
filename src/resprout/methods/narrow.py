"""Narrow: a small dense table within the budget, what an engineer would try first."""

from collections.abc import Sequence

from resprout.methods.method import Allowance, Method, Stage, needed


class Narrow(Method):
    """One stage, fewer columns."""

    summary = "a small dense table of fewer columns: no index, the rival to beat"
    cost = "less than 1: its width by the full width"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        widths = needed(allowance, "narrow").narrow_widths(allowance.shapes)
        return None if finished else Stage("train", "dense", tuple(widths))
