"""TKD: topology distillation (Kang et al., KDD 2021), a dense teacher's angles between vectors taught to a student."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from resprout.backbones.backbone import Backbone
from resprout.backbones.noise import generator, start_layers
from resprout.budget import MemoryUse
from resprout.data.batches import Triplets
from resprout.kernels.contract import I32
from resprout.methods import method, topology
from resprout.methods.method import Allowance, Hooks, Moment, Stage
from resprout.methods.rkd import TeacherOptions, teacher_or_student
from resprout.rng import stream
from resprout.tables.table import Table

_SIDES = ("user", "item")


class Options(TeacherOptions):
    """Options of `tkd`."""

    topology: Literal["full", "hierarchical"] = Field(
        default="full",
        description="angles of all pairs (FTD), or inside of groups that are learnt (HTD), for small students",
    )
    weight: float = Field(default=2.0, ge=0, description="weight of the distillation loss, a mean over pairs (lambda)")
    entities: int = Field(
        default=1024, ge=2, description="users and items of a batch that are compared, drawn if there are more"
    )
    groups: int = Field(default=30, ge=1, description="hierarchical: groups of users, and of items (K)")
    angles: float = Field(
        default=0.5, ge=0, le=1, description="hierarchical: share of angles, the rest is of groups (alpha)"
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
    """Adds the distillation loss of `topology`, over users and items of a batch.

    The authors sum over pairs and over the batch, with a weight of 1e-3: for B entities that is about `1e-3 B` times
    these means.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options
        self._teachers: dict[str, torch.Tensor] = {}

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """See `Hooks.prepare`: reads the teacher's vectors, and makes groups if they are to be learnt."""
        self._teachers = dict(zip(_SIDES, all_vectors(earlier("teacher")), strict=True))
        if self._options.topology == "hierarchical":
            nobody = np.zeros(0, np.int32)
            widths = zip(_SIDES, model.vectors(nobody, nobody), strict=True)
            groups = {
                side: topology.Groups(self._teachers[side].shape[1], own.shape[1], self._options.groups)
                for side, own in widths
            }
            self.network = torch.nn.ModuleDict(groups)
            start_layers(self.network, generator(seed, "groups"))

    def extra_loss(self, moment: Moment, batch: Any) -> torch.Tensor | None:
        """See `Hooks.extra_loss`."""
        drawn = self._drawn(moment, batch)
        students = dict(zip(_SIDES, moment.model.vectors(*drawn), strict=True))
        teachers = {side: self._teachers[side][torch.from_numpy(ids)] for side, ids in zip(_SIDES, drawn, strict=True)}
        if self._options.topology == "full":
            loss = topology.full(*(torch.cat(list(vectors.values())) for vectors in (teachers, students)))
        else:
            loss = self._hierarchical(moment, teachers, students)
        return self._options.weight * loss

    def _hierarchical(
        self, moment: Moment, teachers: Mapping[str, torch.Tensor], students: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """HTD: of angles inside of groups and to groups, and of how well groups explain the teacher."""
        random = generator(moment.seed, "groups", moment.step)
        temperature = topology.temperature_at(moment.step / moment.total_steps)
        losses = []
        for side in _SIDES:
            groups: Any = self.network.get_submodule(side)
            teacher, student = teachers[side], students[side]
            if len(teacher):
                angles = topology.hierarchical(teacher, student, groups.members(teacher))
                distances = groups.distances(teacher, student, temperature, random)
                losses.append(self._options.angles * angles + (1 - self._options.angles) * distances)
        return torch.stack(losses).sum()

    def _drawn(self, moment: Moment, batch: Any) -> tuple[I32, I32]:
        """Users and items of the batch, each once, and no more of them than are asked for."""
        users, items = entities_of(moment.model, batch)
        count = len(users) + len(items)
        if count <= self._options.entities:
            return users, items
        kept = stream(moment.seed, "tkd", moment.step).choice(count, self._options.entities, replace=False)
        return users[kept[kept < len(users)]], items[kept[kept >= len(users)] - len(users)]

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """See `Hooks.executed_outside_tables`: cosines, two gradients of the student's, groups and their sums.

        Where entities are drawn, users and items are taken to be drawn in proportion; no group is taken to be empty.
        """
        sizes = [len(ids) for ids in entities_of(model, batch)]
        share = min(1.0, self._options.entities / sum(sizes))
        sizes = [round(share * size) for size in sizes]
        widths = [vectors.shape[1] for vectors in model.vectors(*np.zeros((2, 0), np.int32))]
        taught = [self._teachers[side].shape[1] for side in _SIDES]
        vectors = 3 * model.executed_vectors(sizes[0])
        if self._options.topology == "full":
            return vectors + sum(sizes) ** 2 * (taught[0] + 3 * widths[0])
        layers = [weights.numel() for name, weights in self.network.named_parameters() if name.endswith("weight")]
        groups = self._options.groups
        cosines = (
            n * n * (t + 3 * s) + n * groups * (4 * t + 2 * s) for n, t, s in zip(sizes, taught, widths, strict=True)
        )
        return vectors + sum(cosines) + 3 * sum(sizes) * sum(layers) // len(_SIDES)

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`: the teacher's vectors, and the groups with their moments."""
        weights = sum(weights.numel() for weights in self.network.parameters())
        teachers = sum(vectors.numel() for vectors in self._teachers.values())
        return MemoryUse({"teacher_vectors": 4 * teachers, "groups": 12 * weights})


def all_vectors(teacher: Backbone) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of all users and of all items."""
    known = teacher.histories
    users, items = np.arange(known.n_users, dtype=np.int32), np.arange(known.n_items, dtype=np.int32)
    with torch.no_grad():
        return teacher.vectors(users, items[:0])[0], teacher.vectors(users[:0], items)[1]


def entities_of(model: Backbone, batch: Any) -> tuple[I32, I32]:
    """Users and items of a batch, each once: of triplets, or of users with their histories."""
    users: I32 = np.unique(batch.users)
    if isinstance(batch, Triplets):
        return users, np.unique(np.concatenate([batch.positives, batch.negatives.reshape(-1)]))
    return users, np.unique(np.concatenate([model.histories.of(int(user)) for user in users]))
