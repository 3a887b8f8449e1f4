"""What topology distillation compares (Kang et al., KDD 2021): the angles between vectors, all or group by group."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

_EPSILON = 1e-8
_COLDEST = 1e-10


def directions(vectors: torch.Tensor) -> torch.Tensor:
    """The vectors `[any, width]` at length 1; zeros stay."""
    return functional.normalize(vectors, eps=_EPSILON)


def full(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """FTD: the mean of `(cos(t_i, t_j) - cos(s_i, s_j))^2` over all pairs, from vectors `[entities, any]`."""
    teacher, student = directions(teacher), directions(student)
    return (teacher @ teacher.T - student @ student.T).square().mean()


class Groups(nn.Module):
    """Groups of users, or of items: who belongs where, and how a group's student becomes its teacher."""

    def __init__(self, teacher_width: int, student_width: int, count: int) -> None:
        super().__init__()
        between = (teacher_width + student_width) // 2
        self.assign = nn.Linear(teacher_width, count)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(student_width, between), nn.ReLU(), nn.Linear(between, teacher_width))
            for _ in range(count)
        )

    def distances(
        self, teacher: torch.Tensor, student: torch.Tensor, temperature: float, random: torch.Generator
    ) -> torch.Tensor:
        """Sum over entities of `|t - sum_k z_k f_k(s)|^2`, by that of `|t|^2`: what of the teacher is not explained.

        z is a soft choice among groups (Gumbel softmax).
        """
        logits = self.assign(teacher).log_softmax(1)
        noise = -torch.empty_like(logits).exponential_(generator=random).log()
        share = ((logits + noise) / temperature).softmax(1)
        told: torch.Tensor = sum(share[:, k : k + 1] * expert(student) for k, expert in enumerate(self.experts))
        unexplained = functional.mse_loss(told, teacher, reduction="sum")
        distances: torch.Tensor = unexplained / teacher.square().sum().clamp_min(_EPSILON)
        return distances

    def members(self, teacher: torch.Tensor) -> torch.Tensor:
        """The group of each entity, `[entities]`."""
        groups: torch.Tensor = self.assign(teacher).argmax(1)
        return groups


def hierarchical(teacher: torch.Tensor, student: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """TD: `full` inside of groups, for pairs whose teachers point the same way, and between entities and groups.

    A group is its members' mean, through which no gradient goes; both parts are means over their pairs.
    """
    parts = [_inside(teacher, student, groups), _between(teacher, student, groups)]
    return torch.stack(parts).sum()


def temperature_at(done: float) -> float:
    """That of the choice among groups when the share `done` of training is over: from 1, exponentially, to 1e-10."""
    return float(_COLDEST**done)


def _inside(teacher: torch.Tensor, student: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    of_teacher, of_student = (directions(vectors) @ directions(vectors).T for vectors in (teacher, student))
    compared = (groups[:, None] == groups) & (of_teacher > 0)
    return (of_teacher - of_student)[compared].square().mean()


def _between(teacher: torch.Tensor, student: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    cosines = [
        directions(vectors) @ directions(torch.stack(list(_means(vectors.detach(), groups)))).T
        for vectors in (teacher, student)
    ]
    return (cosines[0] - cosines[1]).square().mean()


def _means(vectors: torch.Tensor, groups: torch.Tensor) -> Iterator[torch.Tensor]:
    """The mean of each group that has members."""
    for group in sorted(set(groups.tolist())):
        yield vectors[groups == group].mean(0)
