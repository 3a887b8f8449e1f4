"""What MF and UltraGCN share: a table of users and one of items, whose rows' product is the score."""

from collections.abc import Sequence
from typing import Any

import torch

from resprout.backbones import backbone
from resprout.backbones.scorers import TableScorer
from resprout.budget import Shape
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer
from resprout.kernels.contract import I32
from resprout.tables import autograd


class TwoTables(backbone.Backbone):
    """Score = product of a user's and an item's row, for options that are `losses.Options`; the loss is the model's."""

    rotation_invariant = True
    sparse_operands = 2

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`."""
        return Shape("user", n_users, options.width), Shape("item", n_items, options.width)

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: rows."""
        of_items = autograd.rows(self.tables["item"], items)
        return autograd.rows(self.tables["user"], users), self.options.ranked(of_items)

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`."""
        return self.histories.n_users * self.histories.n_items * self.tables["item"].shape.width

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: products of whole rows."""
        return self.inference_multiply_adds()

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        return TableScorer(self.tables["user"], self.tables["item"], cosine=self.options.cosine)
