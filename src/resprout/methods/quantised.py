"""Quantised: a dense table deployed in fewer bits a weight, what an engineer gets without training anything anew."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from resprout.methods import method
from resprout.methods.method import Allowance, Stage, first_left

DEPLOYED: Mapping[str, tuple[int, int]] = {"int8": (1, 4), "float16": (2, 0)}
"""Bytes of a weight, and of a row besides."""


class Options(method.Options):
    """Options of `quantised`."""

    precision: Literal["int8", "float16"] = Field(
        "int8", description="int8: a byte a weight and 4 bytes a row; float16: two bytes a weight"
    )


class Quantised(method.Method):
    """Two stages: a dense table, and the same rounded. A budget is one of bytes: where it asks for less, columns go."""

    Options = Options
    summary = "a dense table, deployed with int8 or float16 weights; narrow too, where the budget asks for it"
    cost = "1"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        widths, precision = allowance.widths, self.options.precision
        if allowance.budget is not None:
            sizes = DEPLOYED[precision] if allowance.budget.of == "deployed" else ()
            widths = tuple(allowance.budget.narrow_widths(allowance.shapes, *sizes))
        dense = Stage("train", "dense", widths, deployed=False)
        return first_left(finished, dense, Stage("rounded", precision, widths, values_from="train", epochs=0))
