"""Quantised: a dense table deployed in fewer bits a weight, what an engineer gets without training anything anew."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from resprout.budget import RowBytes
from resprout.errors import BudgetExceeded, SettingsError
from resprout.methods import method
from resprout.methods.method import SIDES, Allowance, RowsFor, Stage, first_left, stage_name
from resprout.tables import planes

Precision = Literal["float16", "int8", "bits6", "bits5", "bits4", "bits3", "bits2", "bits1", "planes"]
PLANES = "planes"


def _plane_bytes(bits: int, width: int) -> int:
    return bits * -(-width // 8) + 1


DEPLOYED: Mapping[str, RowBytes] = {
    "float16": lambda width: 2 * width,
    "int8": lambda width: width + 1,
    **{f"bits{bits}": partial(_plane_bytes, bits) for bits in range(6, 0, -1)},
}
"""What a row takes; of planes, as much as there is."""


class Options(method.Options):
    """Options of `quantised`."""

    precision: Precision = Field(
        default="int8",
        description="int8: a byte a weight, one a row; float16: 2 bytes a weight; bits4: 4 bits, a byte a row; planes: "
        "all columns, turned so that the first ones tell most, which get most bits (mf, lightgcn, ultragcn)",
    )
    rows_for: RowsFor = Field(
        default="both", description="items, or users: the graph makes the others of them (lightgcn)"
    )


class Quantised(method.Method):
    """Two stages: a dense table, and the same rounded. A budget is one of bytes: where it asks for less, columns go."""

    Options = Options
    summary = "a dense table, deployed with 16 to less than one bit a weight; narrow too, where the budget asks for it"
    cost = "1"
    stages_at_some_budgets = SIDES

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        precision, rows_for = self.options.precision, self.options.rows_for
        allowance = allowance.for_rows(rows_for)
        storage, widths = precision, allowance.widths
        if precision == PLANES:
            storage = planes_within(allowance)
        elif allowance.budget is not None:
            row_bytes = DEPLOYED[precision] if allowance.budget.of == "deployed" else None
            widths = tuple(allowance.budget.narrow_widths(allowance.shapes, row_bytes))
        name = stage_name(rows_for)
        dense = Stage(name, "dense", widths, deployed=False, rows_for=rows_for)
        rounded = Stage("rounded", storage, widths, values_from=name, epochs=0, rows_for=rows_for)
        return first_left(finished, dense, rounded)


def planes_within(allowance: Allowance) -> str:
    """The storage of planes that a budget, which is needed, has room for; all columns stay."""
    if not allowance.rotation_invariant:
        raise SettingsError(
            'method.precision = "planes": scores of this backbone are not products of rows, which stay the same when '
            "tables are turned; those of mf, lightgcn and ultragcn are"
        )
    if allowance.budget is None or allowance.budget.of != "deployed":
        raise SettingsError('method.precision = "planes" needs a budget of deployed bytes, like --budget 5%')
    width = allowance.shapes[0].width
    besides = len(allowance.shapes) * planes.table_bytes(width)
    rows = sum(shape.rows for shape in allowance.shapes)
    size = (allowance.budget.bytes_of(allowance.shapes) - besides) // rows - planes.CODE_BYTES
    if size < 1:
        raise BudgetExceeded(
            f"budget {allowance.budget} is too small: planes would have no byte a row left; "
            f"{allowance.budget.way_out(besides + rows * (1 + planes.CODE_BYTES), allowance.shapes)}"
        )
    return f"{PLANES}{min(size, width)}"
