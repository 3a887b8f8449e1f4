"""Quantised: a dense table deployed in fewer bits a weight, what an engineer gets without training anything anew."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from resprout.budget import RowBytes
from resprout.methods import method
from resprout.methods.method import ITEMS, Allowance, Stage, first_left

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
    user_rows: bool | None = Field(
        None, description="false: users have no rows, the graph makes them of their items (lightgcn)"
    )


class Quantised(method.Method):
    """Two stages: a dense table, and the same rounded. A budget is one of bytes: where it asks for less, columns go."""

    Options = Options
    summary = "a dense table, deployed with 1 to 16 bits a weight; narrow too, where the budget asks for it"
    cost = "1"
    stages_at_some_budgets = (ITEMS,)

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        precision, user_rows = self.options.precision, self.options.user_rows is not False
        if not user_rows:
            allowance = allowance.without_users()
        widths = allowance.widths
        if allowance.budget is not None:
            row_bytes = DEPLOYED[precision] if allowance.budget.of == "deployed" else None
            widths = tuple(allowance.budget.narrow_widths(allowance.shapes, row_bytes))
        name = "train" if user_rows else ITEMS
        dense = Stage(name, "dense", widths, deployed=False, user_rows=user_rows)
        rounded = Stage("rounded", precision, widths, values_from=name, epochs=0, user_rows=user_rows)
        return first_left(finished, dense, rounded)
