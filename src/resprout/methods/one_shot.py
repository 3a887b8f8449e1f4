"""One-shot magnitude pruning: OMP in the DSL paper and in LTH-MRS (Wang et al., arXiv 2108.00944)."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from resprout.methods import method, packing
from resprout.methods.method import Allowance, Stage, first_left


class Options(packing.PackedOptions):
    """Options of `one_shot`."""

    retrain: Literal["rewind", "finetune", "none"] = Field(
        default="rewind",
        description="after the cut: train from the starting values again, train on, or deploy as it is",
    )
    dense_epochs: int | None = Field(
        default=None, ge=1, description="epochs of the dense table; training.epochs if not given"
    )


class OneShot(method.Method):
    """Two stages: the dense table, then the packed one where its largest weights are."""

    Options = Options
    summary = "a dense table is trained, cut to its largest weights, and trained again (OMP)"
    cost = "2, or 1 with retrain = none"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        slots, retrain = packing.slots_within(allowance, "one_shot", self.options), self.options.retrain
        dense = Stage("dense", "dense", allowance.widths, deployed=False, epochs=self.options.dense_epochs)
        packed = Stage(
            "train",
            "packed",
            allowance.widths,
            slots,
            mask_from="dense",
            values_from=None if retrain == "rewind" else "dense",
            epochs=0 if retrain == "none" else None,
        )
        return first_left(finished, dense, *packing.deployed(packed, self.options))
