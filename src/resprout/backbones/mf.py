"""Matrix factorisation, trained with BPR (Rendle et al., UAI 2009) unless asked otherwise: the plain baseline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from resprout.backbones import backbone, losses
from resprout.backbones.losses import half_squares, ranking_loss
from resprout.backbones.scorers import TableScorer
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, TripletBatches, Triplets
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer
from resprout.kernels.contract import I32
from resprout.tables import autograd


class MF(backbone.Backbone):
    """Score = product of a user's and an item's row."""

    Options = losses.Options
    summary = "matrix factorisation with BPR, the plain baseline"
    sparse_operands = 2

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`."""
        return Shape("user", n_users, options.width), Shape("item", n_items, options.width)

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`."""
        return TripletBatches(self.histories, batch_size, seed, sampling, self.options.draw)

    def loss(self, batch: Triplets) -> torch.Tensor:
        """See `Backbone.loss`."""
        users = autograd.rows(self.tables["user"], batch.users)
        # one lookup, so that the table has one gradient to sort and sum
        items = autograd.rows(self.tables["item"], np.concatenate([batch.positives, batch.negatives]))
        positives, negatives = torch.split(items, [len(batch.positives), len(batch.negatives)])
        loss = ranking_loss(self.options, users, positives, negatives)
        if l2 := self.options.l2_at(self.done):
            loss = loss + l2 * half_squares(torch.cat([users, positives, negatives]), len(batch.users))
        return loss

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: rows."""
        of_items = autograd.rows(self.tables["item"], items)
        return autograd.rows(self.tables["user"], users), self.options.ranked(of_items)

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: products with a positive and the negatives."""
        negatives = 1 if self.options.loss == "bpr" else self.options.negatives
        return (1 + negatives) * batch_size * self.tables["item"].shape.width

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`."""
        return self.histories.n_users * self.histories.n_items * self.tables["item"].shape.width

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: the products, and two gradients of each."""
        return 3 * self.forward_multiply_adds(batch_size)

    def executed_pair_scores(self, users: int, each: int) -> int:
        """See `Backbone.executed_pair_scores`."""
        return users * each * self.tables["item"].shape.width

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: products of whole rows."""
        return self.inference_multiply_adds()

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        return TableScorer(self.tables["user"], self.tables["item"], cosine=self.options.cosine)
