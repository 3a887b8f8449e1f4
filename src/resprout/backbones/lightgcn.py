"""LightGCN (He et al., SIGIR 2020): one table, smoothed over the graph of users and items."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from resprout.backbones import backbone, losses
from resprout.backbones.losses import ranking_loss
from resprout.backbones.scorers import DotScorer, directions
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, TripletBatches, Triplets
from resprout.data.graph import links_of_users, normalised_graph
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer
from resprout.kernels.contract import F32, I32, Links, bfloat16_words
from resprout.tables import autograd
from resprout.tables.smoothing import Between, InBfloat16, InFloat32, NodeSmoothing, SideSmoothing, Smoothing
from resprout.tables.table import Table


class Options(losses.Options):
    """Options of `lightgcn`."""

    l2: float = backbone.l2_field(1e-3)
    hops: int = Field(default=3, ge=0, le=16, description="graph smoothings, the layers of the paper")


class LightGCN(backbone.Backbone):
    """Score = product of a user's and an item's smoothed row.

    Its table is "node"; or "item", and the graph makes users of their items, or "user", and it makes items of their
    users (the idea of INMO, Wu et al., SIGIR 2022, whose users are sums of template items and items of template users).
    """

    Options = Options
    summary = "one table, smoothed over the graph of users and items"
    training: ClassVar[Mapping[str, Any]] = losses.TRAINING
    # rows that others are averages of have to be longer to tell those apart
    stages: ClassVar[Mapping[str, Any]] = {"items": {"backbone": {"l2": 1e-4}}, "users": {"backbone": {"l2": 3e-4}}}
    rotation_invariant = True
    sparse_operands = 1
    between: ClassVar[type[Between]] = InBfloat16
    """What hops read and leave in training, if it is shorter than float32."""

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        (self.table,) = tables.values()
        graph, n_users = normalised_graph(histories), histories.n_users
        width = self.table.shape.width
        between = self.between() if bfloat16_words(width) < width else InFloat32()
        self.smoothing: Smoothing
        if "node" in tables:
            self.smoothing = NodeSmoothing(options.hops, Links(graph.starts, graph.neighbours, graph.weights), between)
        else:
            half = len(graph.neighbours) // 2
            of_users = Links(
                graph.starts[: n_users + 1], graph.neighbours[:half] - np.int32(n_users), graph.weights[:half]
            )
            of_items = Links(graph.starts[n_users:] - half, graph.neighbours[half:], graph.weights[half:])
            if "item" in tables:
                self.smoothing = SideSmoothing(options.hops, of_users, of_items, own_first=False, between=between)
            else:
                self.smoothing = SideSmoothing(options.hops, of_items, of_users, own_first=True, between=between)

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`."""
        return (Shape("node", n_users + n_items, options.width),)

    @staticmethod
    def one_sided_shapes(options: Any, n_users: int, n_items: int) -> Mapping[str, Sequence[Shape]]:
        """See `Backbone.one_sided_shapes`; none without hops."""
        if not options.hops:
            return {}
        return {"items": (Shape("item", n_items, options.width),), "users": (Shape("user", n_users, options.width),)}

    @property
    def ranks_new_users(self) -> bool:
        """See `Backbone.ranks_new_users`."""
        return "item" in self.tables

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`."""
        return TripletBatches(self.histories, batch_size, seed, sampling, self.options.draw)

    def loss(self, batch: Triplets) -> torch.Tensor:
        """See `Backbone.loss`."""
        table, first_item = self.table, np.int32(self.histories.n_users)
        nodes = np.concatenate([batch.users, batch.positives + first_item, batch.negatives + first_item])
        smoothed = autograd.smoothed_rows(table, self.smoothing, nodes)
        sizes = [len(batch.users), len(batch.positives), len(batch.negatives)]
        loss = ranking_loss(self.options, *torch.split(smoothed, sizes))
        if l2 := self.options.l2_at(self.done):
            loss = loss + l2 / len(batch.users) * autograd.half_squares_of(table, self._stored(nodes))
        return loss

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: smoothed rows."""
        nodes = np.concatenate([users, items + np.int32(self.histories.n_users)])
        smoothed = autograd.smoothed_rows(self.table, self.smoothing, nodes)
        of_users, of_items = torch.split(smoothed, [len(users), len(items)])
        return of_users, self.options.ranked(of_items)

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: whole hops, and products with a positive and the negatives."""
        hops = int(self.options.hops) * self.smoothing.links_of_hop
        return (hops + int(self.options.products) * batch_size) * self.table.shape.width

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`.

        The paper's figures equal `2|E| (N + M) d L`, a hop for every node apart; one sparse product has `2|E| d L`.
        """
        hops = int(self.options.hops) * self.smoothing.links_of_hop
        return hops * self.smoothing.nodes * self.table.shape.width

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: the products, and two gradients of each."""
        return int(3 * self.options.executed_products * batch_size * self.table.shape.width)

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: products of smoothed rows."""
        return self.histories.n_users * self.histories.n_items * self.table.shape.width

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`; `known` counts for users whom training knows nothing of, if no user has a row."""
        table, n_users = self.table, self.histories.n_users
        smoothed = self.smoothing.all_rows(table.stored, table.shape.width, table.backend)
        users, items = smoothed[:n_users], smoothed[n_users:]
        if isinstance(self.smoothing, SideSmoothing) and self.ranks_new_users and known is not None:
            users = self._with_new(users, known, self.smoothing)
        return DotScorer(users, directions(items) if self.options.cosine else items)

    def _with_new(self, users: F32, known: Histories, smoothing: SideSmoothing) -> F32:
        """Users' rows, and those of users with a history that training has not seen."""
        n_users, table = self.histories.n_users, self.table
        is_new = known.counts > 0
        is_new[:n_users] &= self.histories.counts == 0
        new = np.flatnonzero(is_new)
        if known.n_users == n_users and not len(new):
            return users
        users = np.concatenate([users, np.zeros((known.n_users - n_users, table.shape.width), np.float32)])
        links = Links(*links_of_users(known, new, self.histories))
        users[new] = smoothing.others_by(links, table.stored, table.shape.width, table.backend)
        return users

    def _stored(self, nodes: I32) -> I32:
        """The rows of these nodes that the table has."""
        first = self.histories.n_users if "item" in self.tables else 0
        return nodes[(nodes >= first) & (nodes < first + self.table.shape.rows)] - np.int32(first)
