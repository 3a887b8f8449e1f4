"""Random: a fixed random mask (RP in the DSL paper), the ablation that tells what moving the mask is worth."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from resprout.budget import Layout
from resprout.methods import method, packing
from resprout.methods.method import Allowance, Stage, first_left


class Options(packing.PackedOptions):
    """Options of `random`."""

    scale_start: bool = Field(default=False, description="starting values times 1/sqrt(density)")


class Random(method.Method):
    """One stage, a packed table whose slots stay where they are."""

    Options = Options
    summary = "a packed table with a fixed random mask (RP)"
    cost = "less than 1"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return first_left(finished, *packed_stages(allowance, "random", self.options))


def packed_stages(
    allowance: Allowance, name: str, options: Any, mask: str = "random", trained: Layout = packing.TRAINED
) -> tuple[Stage, ...]:
    """The stages of packed tables that use up the budget from the first step on."""
    slots = packing.slots_within(allowance, name, options, trained)
    stage = Stage("train", "packed", allowance.widths, slots, options.scale_start, mask=mask)
    return packing.deployed(stage, options)
