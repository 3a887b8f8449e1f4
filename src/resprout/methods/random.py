"""Random: a fixed random mask (RP in the DSL paper), the ablation that tells what moving the mask is worth."""

from collections.abc import Sequence

from pydantic import Field

from resprout.methods import method
from resprout.methods.method import Allowance, Stage, needed


class Options(method.Options):
    """Options of `random`."""

    scale_start: bool = Field(False, description="starting values times 1/sqrt(density)")


class Random(method.Method):
    """One stage, a packed table whose slots stay where they are."""

    Options = Options
    summary = "a packed table with a fixed random mask (RP)"
    cost = "less than 1"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return None if finished else packed_stage(allowance, "random", self.options.scale_start)


def packed_stage(allowance: Allowance, name: str, scale_start: bool) -> Stage:
    """A stage over packed tables that use up the budget."""
    slots = needed(allowance, name).slots(allowance.shapes)
    return Stage("train", "packed", allowance.widths, tuple(slots), scale_start)
