"""UltraGCN (Mao et al., CIKM 2021): the limit of graph smoothing as weights in the loss, without any smoothing."""

import math
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from resprout.backbones import losses
from resprout.backbones.losses import ranking_loss
from resprout.backbones.two_tables import TwoTables
from resprout.data.batches import Batches, Sampling, TripletBatches, Triplets
from resprout.data.graph import ItemNeighbours, item_neighbours
from resprout.data.histories import Histories
from resprout.data.negatives import draw_any, draw_shared
from resprout.tables import autograd
from resprout.tables.table import Table


class Options(losses.Options):
    """Options of `ultragcn`; weights by default as in the authors' configuration for Gowalla."""

    loss: str = Field(
        default="weighted", pattern="^(weighted|bpr|softmax|cosine_contrastive)$", description="weighted: the paper's"
    )
    negatives: int = Field(default=512, ge=1, description="negatives of a positive, or of a batch where it shares them")
    share_negatives: bool = Field(
        default=True, description="all positives of a batch have the same negatives: one matrix product"
    )
    negative_weight: float = Field(default=300.0, gt=0, description="weight of the mean over negatives")
    constant_positive: float = Field(default=1e-6, ge=0, description="w1: weight of every positive")
    graph_positive: float = Field(default=1.0, ge=0, description="w2: weight of a positive by its place in the graph")
    constant_negative: float = Field(default=1e-6, ge=0, description="w3: weight of every negative")
    graph_negative: float = Field(default=1.0, ge=0, description="w4: weight of a negative by its place in the graph")
    log_odds: bool = Field(
        default=True, description="the loss adds to every score the constant that fits best, which rows learn else"
    )
    l2: float | None = Field(
        default=None,
        ge=0,
        description="weight of 1/2 |all tables|^2 in the loss of a batch (gamma); suits the data if not given",
    )
    item_weight: float = Field(
        default=5e-4, ge=0, description="weight of the loss over neighbours of positive items (lambda)"
    )
    neighbours: int = Field(default=10, ge=1, description="neighbours of an item in that loss")


class UltraGCN(TwoTables):
    """Score = product of a user's and an item's row, with cross-entropy weighted by degrees.

    Loss of a batch, a sum as in the authors' code: `(w1 + w2 b_ui) softplus(-s+)` for positives, `negative_weight`
    times the mean of `(w3 + w4 b_uj) softplus(s-)` over negatives; `b_ui = sqrt(d_u + 1) / d_u / sqrt(d_i + 1)`
    (eq. 10). s is the product plus `offset`, or without `log_odds` the product alone, as in the paper.
    """

    Options = Options
    summary = "matrix factorisation whose loss has the weights of a smoothed graph, and of an item graph"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-2}
    sums_loss = True

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        users, items = (lists.counts.astype(np.float64) for lists in (histories, histories.transposed()))
        self.user_factor = torch.from_numpy((np.sqrt(users + 1) / np.maximum(users, 1)).astype(np.float32))
        self.item_factor = torch.from_numpy((1 / np.sqrt(items + 1)).astype(np.float32))

    @cached_property
    def near(self) -> ItemNeighbours | None:
        """Neighbours of items, if they are in the loss; made when first trained with, for ranking needs none."""
        return item_neighbours(self.histories, self.options.neighbours) if self.options.item_weight else None

    @cached_property
    def offset(self) -> float:
        """What fits the weighted loss best as the score of all pairs: the log odds of positives and negatives.

        Else rows learn it first, in a plateau at the ranking of popularity, and two without a slot in common cannot.
        """
        options, histories = self.options, self.histories
        if options.loss != "weighted" or not options.log_odds:
            return 0.0
        of_users = self.user_factor.numpy().astype(np.float64)[histories.users]  # once for each of their positives
        of_items = self.item_factor.numpy().astype(np.float64)
        positive = options.constant_positive + options.graph_positive * (of_users * of_items[histories.items]).mean()
        negative = options.constant_negative + options.graph_negative * of_users.mean() * of_items.mean()
        if positive == 0 or negative == 0:  # weights of 0 leave nothing to fit
            return 0.0
        return math.log(positive / (options.negative_weight * negative))

    @cached_property
    def suited_l2(self) -> float:
        """What suits as the weight of L2 for each positive of a batch: rows of few interactions want more of it.

        Within a third of the best weight on four sets of 3 to 79 interactions a row (docs/decisions/0020).
        """
        interactions, rows = len(self.histories), self.histories.n_users + self.histories.n_items
        return 0.6 / interactions * math.sqrt(rows / interactions) if interactions else 0.0

    def suited(self, batch_size: int) -> Mapping[str, float]:
        """See `Backbone.suited`."""
        size = min(batch_size, len(self.histories))  # of a batch of all there is
        return {"l2": self.suited_l2 * size} if self.options.l2 is None else {}

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`: negatives `[n]` or `[batch, n]`, drawn from all items, positives not excluded."""
        options = self.options
        if options.loss != "weighted":
            draw = options.draw
        else:
            draw = partial(draw_shared if options.share_negatives else draw_any, count=options.negatives)
        return TripletBatches(self.histories, batch_size, seed, sampling, draw)

    def loss(self, batch: Triplets) -> torch.Tensor:
        """See `Backbone.loss`."""
        users = autograd.rows(self.tables["user"], batch.users)
        if self.options.loss == "weighted":
            loss = self._weighted(batch, users)
        else:
            positives = autograd.rows(self.tables["item"], batch.positives)
            negatives = autograd.rows(self.tables["item"], batch.negatives.reshape(-1))
            loss = ranking_loss(self.options, users, positives, negatives) * len(batch.users)
        if self.near is not None:
            items, weights = self.near.items[batch.positives], torch.from_numpy(self.near.weights[batch.positives])
            scores = autograd.sampled_scores(self.tables["item"], users, items)
            loss = loss + self.options.item_weight * (weights * functional.softplus(-scores - self.offset)).sum()
        if l2 := self.options.l2_at(self.done, self.suited_l2 * len(batch.users)):
            for table in self.tables.values():
                loss = loss + l2 * autograd.half_squares(table)
        return loss

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: products with positives, negatives and neighbours."""
        near = self.options.neighbours if self.options.item_weight else 0
        return int(batch_size * (self.options.products + near) * self.tables["item"].shape.width)

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: products of rows that were read, and two gradients of each."""
        options = self.options
        if options.loss != "weighted":
            made = options.executed_products
        else:
            made = options.negatives if options.share_negatives else 0
        return int(3 * batch_size * made) * self.tables["item"].shape.width

    def _weighted(self, batch: Triplets, users: torch.Tensor) -> torch.Tensor:
        options, item, drawn, offset = self.options, self.tables["item"], batch.negatives, torch.tensor(self.offset)
        of_users, of_items, of_drawn = (
            factor[torch.from_numpy(rows)]
            for factor, rows in (
                (self.user_factor, batch.users), (self.item_factor, batch.positives), (self.item_factor, drawn)
            )
        )  # fmt: skip
        weights = options.constant_positive + options.graph_positive * (of_users * of_items)
        scores = autograd.sampled_scores(item, users, batch.positives[:, None])[:, 0]
        if drawn.ndim == 1:
            losses = functional.softplus(torch.addmm(offset, users, autograd.rows(item, drawn).T))
            by_graph = of_users @ (losses @ of_drawn)  # without a matrix of weights beside that of losses
        else:
            losses = functional.softplus(autograd.sampled_scores(item, users, drawn) + offset)
            by_graph = of_users @ (losses * of_drawn).sum(1)
        of_negatives = options.constant_negative * losses.sum() + options.graph_negative * by_graph
        of_positives = (weights * functional.softplus(-scores - offset)).sum()
        loss: torch.Tensor = of_positives + options.negative_weight / drawn.shape[-1] * of_negatives
        return loss
