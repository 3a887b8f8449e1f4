"""PEP (Liu et al., ICLR 2021, arXiv 2101.07577): thresholds that are learnt with the weights decide what is pruned."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from resprout.methods import method, packing
from resprout.methods.method import Allowance, Hooks, Moment, Stage, first_left
from resprout.tables.table import Table
from resprout.tables.thresholded import ThresholdedTable


class Options(packing.PackedOptions):
    """Options of `pep`."""

    thresholds: Literal["table", "row", "column"] = Field(
        default="table", description="what has a threshold of its own"
    )
    threshold_start: float = Field(default=-10.0, description="s at the start; the threshold is sigmoid(s)")
    pull: float = Field(
        default=5e-5,
        ge=0,
        description="weight of s^2 / 2 in a loss that is a mean: it raises the threshold towards a half",
    )
    search_epochs: int | None = Field(
        default=None, ge=1, description="epochs of the search; training.epochs if not given"
    )
    reinit: bool = Field(
        default=False, description="train again from other starting values, not from those of the search"
    )


class PEP(method.Method):
    """Two stages: a search that ends once no more weights than the budget are left, and a training of what is left.

    If it ends too early or too late, slots are those nearest to their thresholds, so that the budget is met exactly.
    """

    Options = Options
    summary = "thresholds are learnt until the budget is met, then what is left is trained again (PEP)"
    cost = "up to 2"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        slots, widths = packing.slots_within(allowance, "pep", self.options), allowance.widths
        epochs = self.options.search_epochs
        search = Stage("search", "thresholded", widths, slots, deployed=False, judged=False, epochs=epochs)
        packed = Stage("train", "packed", widths, slots, mask_from="search", draw=int(self.options.reinit))
        return first_left(finished, search, *packing.deployed(packed, self.options))

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Search(self.options, sum(stage.slots)) if stage.name == "search" else Hooks()


class Search(Hooks):
    """Sets the thresholds up, and ends the search."""

    def __init__(self, options: Options, budget: int) -> None:
        super().__init__()
        self._options, self._budget = options, budget
        self._left = 0

    def begin(self, moment: Moment) -> None:
        """See `Hooks.begin`."""
        for table in _thresholded(moment.tables):
            if moment.step == 0:
                table.start_logits(self._options.thresholds, self._options.threshold_start)
            table.pull = self._options.pull * (moment.batch_size if moment.model.sums_loss else 1)
        self._left = sum(table.slots for table in moment.tables.values())

    def after_epoch(self, moment: Moment) -> None:
        """See `Hooks.after_epoch`."""
        self._left = sum(table.slots for table in moment.tables.values())

    def is_over(self) -> bool:
        """See `Hooks.is_over`."""
        return self._left <= self._budget

    def state(self) -> dict[str, int]:
        """See `Hooks.state`."""
        return {"weights_left": self._left}


def _thresholded(tables: Mapping[str, Table]) -> list[ThresholdedTable]:
    return [table for table in tables.values() if isinstance(table, ThresholdedTable)]
