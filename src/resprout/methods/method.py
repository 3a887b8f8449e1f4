"""What a training method is: a list of stages, and at most one hooks object a stage.

To add one, write one file here with one subclass of `Method`; `catalog.py` finds it by its file name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict

from resprout.backbones.backbone import Backbone
from resprout.budget import Budget, MemoryUse, Shape
from resprout.errors import SettingsError
from resprout.tables.table import Table

RowsFor = Literal["both", "items", "users"]
"""Who has rows in the tables: users and items, or one side, of which the others are made."""
SIDES: tuple[RowsFor, ...] = ("items", "users")
"""Also what a stage is called in which one side alone has rows, for it wants settings of its own."""


class Options(BaseModel):
    """Options of a method that has none; a method adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Stage:
    """One training from start to end: data only, so it can be written down and compared.

    storage: one of `tables.build`, such as "dense", "packed" or "int8"; widths: columns of each table.
    slots: weights of each packed table, or how many of a thresholded one are to be left; empty for others.
    scale_start: see `tables.build`; deployed: whether its tables are the result.
    mask_from: the earlier stage whose most important weights get the slots, table by table.
    mask: where slots are without `mask_from`: "random", "popular", "columns", "mostly_columns" or "uneven":
    see `tables.build`.
    values_from: the earlier stage whose weights, network included, it starts with; if none, with draw number `draw` of
    starting values: 0 is that of the seed, which every first stage has.
    epochs: how many to train; as many as `training.epochs` says if none.
    rows_for: who has rows; if only one side, its tables are among `Backbone.one_sided_shapes`.
    judged: whether its best epoch on validation data is kept, and not its last.
    """

    name: str
    storage: str
    widths: tuple[int, ...]
    slots: tuple[int, ...] = ()
    scale_start: bool = False
    deployed: bool = True
    mask_from: str | None = None
    mask: str = "random"
    values_from: str | None = None
    draw: int = 0
    epochs: int | None = None
    judged: bool = True
    rows_for: RowsFor = "both"


@dataclass(frozen=True)
class Allowance:
    """What a method may plan with: the backbone's tables at full width, and the budget, if one was given.

    one_sided: those of its forms in which one side alone has rows, by side; empty if it has none.
    interactions: how many "users" and "items" have to learn from, in the mean; empty if nobody knows.
    rotation_invariant: see `Backbone.rotation_invariant`.
    """

    shapes: tuple[Shape, ...]
    budget: Budget | None
    one_sided: Mapping[str, tuple[Shape, ...]] = field(default_factory=dict)
    interactions: Mapping[str, float] = field(default_factory=dict)
    rotation_invariant: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """The full widths."""
        return tuple(shape.width for shape in self.shapes)

    def for_rows(self, of: RowsFor) -> "Allowance":
        """The same bytes for the form in which these have rows; SettingsError if there is none."""
        if of == "both":
            return self
        if of not in self.one_sided:
            raise SettingsError(
                f"method.rows_for = {of!r}: this backbone has no form with rows for {of} alone; lightgcn with hops has"
            )
        budget = self.budget and self.budget.moved(self.shapes, self.one_sided[of])
        return Allowance(self.one_sided[of], budget, rotation_invariant=self.rotation_invariant)

    def tables_of(self, stage: Stage) -> list[Shape]:
        """The tables of a stage."""
        shapes = self.shapes if stage.rows_for == "both" else self.one_sided[stage.rows_for]
        return [shape.narrowed(width) for shape, width in zip(shapes, stage.widths, strict=True)]


@dataclass(frozen=True)
class Moment:
    """Where training stands, and what hooks may use.

    step counts updates of this stage from 1; total_steps is where its schedules end. backward(factor) replaces the
    pending gradients by those of one fresh batch, `factor` times as large. batch_size: of whole batches.
    """

    epoch: int
    step: int
    total_steps: int
    seed: int
    model: Backbone
    backward: Callable[[int], None]
    batch_size: int = 1

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables of the model."""
        return self.model.tables


class Hooks:
    """What a method does besides the loop, which calls these where the pseudo-code says.

    prepare
    begin
    for each epoch:
        for each batch:
            before_batch
            loss = backbone.loss(batch) + extra_loss
            backward, update
            after_update            (pending gradients are still there)
        after_epoch
    """

    def __init__(self) -> None:
        self.network = torch.nn.Module()
        """Weights of the method's own, trained by the rule of the model's network and then forgotten."""

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """Before all else, also when a stage is resumed: makes the network, and reads earlier models."""

    def begin(self, moment: Moment) -> None:
        """Before the first batch of a stage, also when it is resumed."""

    def before_batch(self, moment: Moment) -> None:
        """Before the loss of a batch; gradients that it leaves in `network` are part of the update."""

    def extra_loss(self, moment: Moment, batch: Any) -> torch.Tensor | None:
        """A term to add to the loss of a batch, as if that were a mean: see `Backbone.sums_loss`."""
        return None

    def after_update(self, moment: Moment) -> None:
        """After the update of a batch."""

    def after_epoch(self, moment: Moment) -> None:
        """After the last batch of an epoch."""

    def is_over(self) -> bool:
        """Whether the stage has reached what it is for; asked before each epoch."""
        return False

    def fresh_batches(self, steps: range, total_steps: int) -> Sequence[int]:
        """The factor of each fresh batch that it takes the gradient of after these steps; none unless it says so."""
        return ()

    def looks(self, steps: range) -> Sequence[int]:
        """The steps among these at which `before_batch` does something; none unless it says so."""
        return ()

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """Multiply-adds of what it does in a step, in the mean, apart from those of kernels."""
        return 0

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """Bytes of the tables' size that the method needs for itself, at most at once."""
        return MemoryUse()

    def state(self) -> dict[str, int]:
        """What a checkpoint must keep besides tables; also shown in the run's metrics."""
        return {}

    def load_state(self, state: Mapping[str, int]) -> None:
        """Takes back what `state` gave."""


class Method(ABC):
    """A way to train tables within a budget."""

    Options: ClassVar[type[Options]] = Options
    summary: ClassVar[str]
    """One line for listings."""
    cost: ClassVar[str]
    """What it takes from the first step to the last, in trainings of the dense table, for listings."""
    stages_at_some_budgets: ClassVar[tuple[str, ...]] = ()
    """Names of stages that it has or has not by its options and budget: settings may speak of them all the same."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """The stage after those that are finished, or none; the same answer for the same question."""

    def hooks(self, stage: Stage) -> Hooks:
        """What this method does during the stage."""
        return Hooks()


def all_stages(method: Method, allowance: Allowance) -> list[Stage]:
    """All stages of a method within this allowance."""
    stages: list[Stage] = []
    while (stage := method.next_stage(stages, allowance)) is not None:
        stages.append(stage)
    return stages


def stage_name(rows_for: RowsFor) -> str:
    """What the trained stage of a method of one stage is called."""
    return "train" if rows_for == "both" else rows_for


def first_left(finished: Sequence[Stage], *stages: Stage) -> Stage | None:
    """The first of these stages that is not finished."""
    return stages[len(finished)] if len(finished) < len(stages) else None


def needed(allowance: Allowance, method: str) -> Budget:
    """The budget, for a method that cannot do without; raises SettingsError if none was given."""
    if allowance.budget is None:
        raise SettingsError(f"method {method!r} needs a budget, like --budget 20% or --budget 8MB")
    return allowance.budget
