"""Quantised: a dense table deployed in fewer bits a weight, what an engineer gets without training anything anew."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from resprout.budget import RowBytes
from resprout.methods import method
from resprout.methods.method import SIDES, Allowance, RowsFor, Stage, first_left, stage_name

Precision = Literal["float16", "int8", "bits6", "bits5", "bits4", "bits3", "bits2", "bits1"]


def _plane_bytes(bits: int, width: int) -> int:
    return bits * -(-width // 8) + 1


DEPLOYED: Mapping[str, RowBytes] = {
    "float16": lambda width: 2 * width,
    "int8": lambda width: width + 4,
    **{f"bits{bits}": partial(_plane_bytes, bits) for bits in range(6, 0, -1)},
}
"""What a row takes."""


class Options(method.Options):
    """Options of `quantised`."""

    precision: Precision = Field(
        "int8", description="int8: a byte a weight, 4 a row; float16: 2 bytes a weight; bits4: 4 bits, a byte a row"
    )
    rows_for: RowsFor = Field("both", description="items, or users: the graph makes the others of them (lightgcn)")


class Quantised(method.Method):
    """Two stages: a dense table, and the same rounded. A budget is one of bytes: where it asks for less, columns go."""

    Options = Options
    summary = "a dense table, deployed with 1 to 16 bits a weight; narrow too, where the budget asks for it"
    cost = "1"
    stages_at_some_budgets = SIDES

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        precision, rows_for = self.options.precision, self.options.rows_for
        allowance = allowance.for_rows(rows_for)
        widths = allowance.widths
        if allowance.budget is not None:
            row_bytes = DEPLOYED[precision] if allowance.budget.of == "deployed" else None
            widths = tuple(allowance.budget.narrow_widths(allowance.shapes, row_bytes))
        name = stage_name(rows_for)
        dense = Stage(name, "dense", widths, deployed=False, rows_for=rows_for)
        rounded = Stage("rounded", precision, widths, values_from=name, epochs=0, rows_for=rows_for)
        return first_left(finished, dense, rounded)
