"""TKD: topology distillation (Kang et al., KDD 2021), a dense teacher's angles between vectors taught to a student."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from resprout.backbones.backbone import Backbone
from resprout.budget import MemoryUse
from resprout.data.batches import Triplets
from resprout.kernels.contract import I32
from resprout.methods import method
from resprout.methods.method import Allowance, Hooks, Moment, Stage
from resprout.methods.rkd import TeacherOptions, teacher_or_student
from resprout.rng import stream
from resprout.tables.table import Table

_EPSILON = 1e-8


class Options(TeacherOptions):
    """Options of `tkd`."""

    weight: float = Field(2.0, ge=0, description="weight of the mean over pairs of (teacher's cosine - student's)^2")
    entities: int = Field(
        1024, ge=2, description="users and items of a batch that are compared, drawn if there are more"
    )


class TKD(method.Method):
    """Two stages: the dense teacher, then a narrow dense student within the budget."""

    Options = Options
    summary = "angles between a dense teacher's vectors are taught to a narrow student (topology distillation)"
    cost = "1, and the student's"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return teacher_or_student(finished, allowance, self.options, "tkd")

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Distil(self.options) if stage.deployed else Hooks()


class Distil(Hooks):
    """Adds full topology distillation (FTD): the mean over pairs of entities of `(cos(t, t') - cos(s, s'))^2`.

    The authors sum over pairs and over the batch, with a weight of 1e-3: for B entities that is about `1e-3 B` times
    these means.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._users = self._items = torch.zeros(0, 0)

    def begin(self, moment: Moment) -> None:
        """See `Hooks.begin`: reads the teacher's vectors once, at length 1."""
        teacher = moment.earlier("teacher")
        n_users, n_items = teacher.histories.n_users, teacher.histories.n_items
        self._users, self._items = all_vectors(teacher, n_users, n_items)

    def extra_loss(self, moment: Moment, batch: Any) -> torch.Tensor | None:
        """See `Hooks.extra_loss`."""
        users, items = self._drawn(moment, batch)
        student = _directions(torch.cat(moment.model.vectors(users, items)))
        teacher = torch.cat([self._users[torch.from_numpy(users)], self._items[torch.from_numpy(items)]])
        return self._options.weight * topology_loss(teacher, student)

    def _drawn(self, moment: Moment, batch: Any) -> tuple[I32, I32]:
        """Users and items of the batch, each once, and no more of them than are asked for."""
        users = np.unique(batch.users)
        if isinstance(batch, Triplets):
            items = np.unique(np.concatenate([batch.positives, batch.negatives.reshape(-1)]))
        else:
            items = np.unique(np.concatenate([moment.model.histories.of(int(user)) for user in users]))
        count = len(users) + len(items)
        if count <= self._options.entities:
            return users, items
        kept = stream(moment.seed, "tkd", moment.step).choice(count, self._options.entities, replace=False)
        return users[kept[kept < len(users)]], items[kept[kept >= len(users)] - len(users)]

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """See `Hooks.executed_outside_tables`: cosines of teacher and student, and two gradients of the student's."""
        own = sum(vectors.shape[1] for vectors in model.vectors(np.zeros(1, np.int32), np.zeros(1, np.int32))) // 2
        return self._options.entities**2 * (3 * own + self._users.shape[1])

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`: the teacher's vectors."""
        return MemoryUse({"teacher_vectors": 4 * (self._users.numel() + self._items.numel())})


def all_vectors(teacher: Backbone, n_users: int, n_items: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of all users and all items, at length 1."""
    users, items = np.arange(n_users, dtype=np.int32), np.arange(n_items, dtype=np.int32)
    nobody, nothing = users[:0], items[:0]
    with torch.no_grad():
        return _directions(teacher.vectors(users, nothing)[0]), _directions(teacher.vectors(nobody, items)[1])


def topology_loss(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean of `(cos(t_i, t_j) - cos(s_i, s_j))^2` over all pairs, from vectors of length 1, `[entities, any]`."""
    return (teacher @ teacher.T - student @ student.T).square().mean()


def _directions(vectors: torch.Tensor) -> torch.Tensor:
    return functional.normalize(vectors, eps=_EPSILON)
