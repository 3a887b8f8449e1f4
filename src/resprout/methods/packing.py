"""What methods with packed tables share: how many slots a budget is, and how many bits a deployed one has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from resprout.budget import TRAINED_BYTES, Layout
from resprout.methods import method
from resprout.methods.method import Allowance, Stage, needed

TRAINED = Layout(TRAINED_BYTES)
"""A packed table in training whose slots stay where they are."""
LAYOUTS: Mapping[str, Layout] = {"float32": Layout(), "float16": Layout(2), "int8": Layout(1, 1)}


class PackedOptions(method.Options):
    """Options of a method that deploys packed tables."""

    precision: Literal["float32", "float16", "int8"] = Field(
        default="float32",
        description="of the deployed slots, which are trained in float32: 4, 2 or 1 bytes, and for int8 one a row; "
        "a budget in bytes then has more slots",
    )


def slots_within(
    allowance: Allowance, method_name: str, options: PackedOptions, trained: Layout = TRAINED
) -> tuple[int, ...]:
    """Slots of each table within the budget. trained: how tables lie in training."""
    budget = needed(allowance, method_name)
    return tuple(budget.slots(allowance.shapes, LAYOUTS[options.precision] if budget.of == "deployed" else trained))


def deployed(packed: Stage, options: PackedOptions) -> tuple[Stage, ...]:
    """The stage of the packed tables that are the result, and one that rounds them, if they are to have fewer bits."""
    if options.precision == "float32":
        return (packed,)
    rounded = replace(
        packed,
        name="rounded",
        storage=f"packed_{options.precision}",
        scale_start=False,
        mask_from=packed.name,
        values_from=packed.name,
        draw=0,
        epochs=0,
    )
    return replace(packed, deployed=False), rounded
