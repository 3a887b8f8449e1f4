"""What a backbone is: a model that talks to its tables only through the operations of `tables.autograd`.

To add one, write one file here with one subclass of `Backbone`; `catalog.py` finds it by its file name.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from resprout.budget import Shape
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer
from resprout.tables.table import Table


class Options(BaseModel):
    """Options that every backbone has; a backbone adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(64, ge=1, le=1024, description="columns of the embedding tables before any compression")
    start: str = Field("normal", pattern="^(normal|uniform|xavier)$", description="distribution of starting values")
    start_scale: float = Field(0.1, gt=0, description="its deviation, its bound, or a factor to Xavier's bound")


class L2Options(Options):
    """Options of a backbone whose loss has an L2 term."""

    l2: float = Field(1e-4, ge=0, description="weight of 1/2 |rows of the batch, as stored|^2 / batch size")
    l2_end: float | None = Field(
        None, ge=0, description="that weight at the end of training, reached along a cosine; l2 if not given"
    )

    def l2_at(self, done: float) -> float:
        """The weight when the share `done` of training is over."""
        if self.l2_end is None:
            return self.l2
        return self.l2_end + (self.l2 - self.l2_end) * (1 + math.cos(math.pi * done)) / 2


class Backbone(ABC):
    """A model over embedding tables."""

    Options: ClassVar[type[Options]] = Options
    summary: ClassVar[str]
    """One line for listings."""
    folds_in: ClassVar[bool] = False
    """Whether it can rank users that training has not seen."""
    sparse_operands: ClassVar[int]
    """How many of the two factors of a score are rows of a table: inference shrinks with density to this power."""

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories) -> None:
        self.options, self.tables, self.histories = options, tables, histories
        self.done = 0.0
        """Share of the training steps that are over, for losses that change with it; the loop keeps it."""

    @staticmethod
    @abstractmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """The tables that the model needs, all of them inside the budget."""

    @abstractmethod
    def loss(self, batch: Any) -> torch.Tensor:
        """The loss of a batch, a scalar; its backward pass leaves gradients in the tables."""

    @abstractmethod
    def forward_multiply_adds(self, batch_size: int) -> int:
        """Multiply-adds of the forward pass of one training step, were all tables dense."""

    @abstractmethod
    def inference_multiply_adds(self) -> int:
        """Multiply-adds of scoring all items for all users, were all tables dense, as the DSL paper counts them."""

    @abstractmethod
    def executed_outside_tables(self, batch_size: int) -> int:
        """Multiply-adds of one training step that are not operations on tables."""

    @abstractmethod
    def scorer(self) -> Scorer[Any]:
        """Scores by the model as it is now."""
