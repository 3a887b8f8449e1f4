"""RKD: ranking distillation (Tang & Wang, KDD 2018), a dense teacher's best items taught to a narrow student."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from resprout.backbones.backbone import Backbone
from resprout.budget import MemoryUse
from resprout.evaluation.evaluate import rank
from resprout.kernels.contract import I32
from resprout.methods import method
from resprout.methods.method import Allowance, Hooks, Moment, Stage, first_left, needed
from resprout.rng import stream
from resprout.tables.table import Table


class TeacherOptions(method.Options):
    """Options of a method with a teacher."""

    teacher_epochs: int | None = Field(
        default=None, ge=1, description="epochs of the teacher; training.epochs if not given"
    )


class Options(TeacherOptions):
    """Options of `rkd`."""

    weight: float = Field(default=1.0, ge=0, description="weight of the distillation loss (alpha)")
    items: int = Field(
        default=10, ge=1, description="best items of the teacher for each user, those of training left out (K)"
    )
    spread: float = Field(default=1.0, gt=0, description="weights of positions fall as exp(-r / spread) (lambda)")
    sharpness: float = Field(
        default=0.1, gt=0, description="how soon an item that the student ranks too low counts fully (mu)"
    )
    samples: int = Field(default=100, ge=1, description="random items by which the student's rank is estimated")


class RKD(method.Method):
    """Two stages: the dense teacher, then a narrow dense student within the budget."""

    Options = Options
    summary = "a dense teacher's best items are taught to a narrow student (ranking distillation)"
    cost = "1, and the student's"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return teacher_or_student(finished, allowance, self.options, "rkd")

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Distil(self.options) if stage.deployed else Hooks()


def teacher_or_student(
    finished: Sequence[Stage], allowance: Allowance, options: TeacherOptions, name: str
) -> Stage | None:
    """A dense teacher, and then a student of fewer columns."""
    widths = tuple(needed(allowance, name).narrow_widths(allowance.shapes))
    teacher = Stage("teacher", "dense", allowance.widths, deployed=False, epochs=options.teacher_epochs)
    return first_left(finished, teacher, Stage("train", "dense", widths))


class Distil(Hooks):
    """Adds, mean over the users of a batch, `weight * sum_r w_r softplus(-s_r)` over the teacher's best items r.

    `w_r = exp(-r / spread) / sum * max(0, tanh(sharpness * (rank - (r - 1))))`: by position, and by how far below its
    place the student ranks the item.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options
        self._best: I32 = np.zeros((0, 0), np.int32)

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """See `Hooks.prepare`: keeps of the teacher what it recommends."""
        teacher, users = earlier("teacher"), np.arange(model.histories.n_users, dtype=np.int32)
        self._best, _ = rank(teacher.scorer(), users, teacher.histories, self._options.items)

    def extra_loss(self, moment: Moment, batch: Any) -> torch.Tensor | None:
        """See `Hooks.extra_loss`."""
        users = self._taught(batch)
        if not len(users):
            return None
        n_items, count = moment.model.histories.n_items, self._options.samples
        drawn = stream(moment.seed, "rkd", moment.step).integers(0, n_items, (len(users), count), np.int32)
        scores = moment.model.pair_scores(users, np.concatenate([self._best[users], drawn], 1))
        of_best, of_drawn = torch.split(scores, [self._best.shape[1], count], 1)
        weights = position_weights(self._options) * late_weights(of_best, of_drawn, n_items, self._options.sharpness)
        loss: torch.Tensor = self._options.weight * (weights * functional.softplus(-of_best)).sum(1).mean()
        return loss

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """See `Hooks.executed_outside_tables`: forward, and two gradients of each product."""
        return 3 * model.executed_pair_scores(len(self._taught(batch)), self._options.items + self._options.samples)

    def _taught(self, batch: Any) -> I32:
        """The users of a batch, but for those who have seen so much that the teacher's list is not full."""
        users: I32 = np.unique(batch.users)
        return users[(self._best[users] >= 0).all(1)]

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`: the teacher's best items; the teacher itself is read before the training begins."""
        return MemoryUse({"teacher_best": self._best.nbytes})


def position_weights(options: Options) -> torch.Tensor:
    """`exp(-r / spread)` for positions r = 1 to `items`, brought to sum 1."""
    weights = torch.exp(-torch.arange(1, options.items + 1) / options.spread)
    return weights / weights.sum()


def late_weights(best: torch.Tensor, drawn: torch.Tensor, n_items: int, sharpness: float) -> torch.Tensor:
    """How far below its place r (from 1) the student ranks each item, `[users, items]` in 0 to 1.

    Its rank is estimated as `floor((n_items - 1) * share of the drawn items that score above it)`.
    """
    above = (drawn.detach()[:, None] > best.detach()[:, :, None]).float().mean(2)
    ranks = torch.floor((n_items - 1) * above)
    return torch.tanh(sharpness * (ranks - torch.arange(best.shape[1]))).clamp_min(0)
