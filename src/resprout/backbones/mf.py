"""Matrix factorisation, trained with BPR (Rendle et al., UAI 2009) unless asked otherwise: the plain baseline."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from resprout.backbones import losses
from resprout.backbones.backbone import l2_field
from resprout.backbones.losses import half_squares, ranking_loss
from resprout.backbones.two_tables import TwoTables
from resprout.data.batches import Batches, Sampling, TripletBatches, Triplets
from resprout.tables import autograd


class Options(losses.Options):
    """Options of `mf`."""

    l2: float = l2_field(1e-2)


class MF(TwoTables):
    """Score = product of a user's and an item's row."""

    Options = Options
    summary = "matrix factorisation with BPR, the plain baseline"
    training: ClassVar[Mapping[str, Any]] = losses.TRAINING

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
            batch_size = len(batch.users)
            loss = loss + l2 * (half_squares(users, batch_size) + half_squares(items, batch_size))
        return loss

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: products with a positive and the negatives."""
        return int(self.options.products * batch_size * self.tables["item"].shape.width)

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: the products, and two gradients of each."""
        return int(3 * self.options.executed_products * batch_size * self.tables["item"].shape.width)
