"""CDAE (Wu et al., WSDM 2016): a denoising autoencoder of histories with a vector of its own for each user."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from resprout.backbones import backbone
from resprout.backbones.autoencoder import AutoencoderScorer, mean_items, places_of
from resprout.backbones.losses import half_squares
from resprout.backbones.noise import dropout
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, UserBatches, Users
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer, lists_of
from resprout.kernels.contract import I32
from resprout.tables import autograd
from resprout.tables.table import Table


class Options(backbone.L2Options):
    """Options of `cdae`."""

    l2: float = Field(
        default=1e-4,
        ge=0,
        description="weight of 1/2 |users' rows of the batch, as stored|^2 / batch size; item tables have none",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of a history that is dropped in training (q)")
    negatives: int = Field(
        default=5, ge=0, description="items outside the history that count in the loss, a positive; 0 for all of them"
    )


class CDAE(backbone.Backbone):
    """Score = output row times sigmoid(sum of input rows of the history + the user's row + bias), plus an item's bias.

    The matrices of input and output are two tables (the paper's code ties them by default). L2 is of users' rows alone;
    RecBole weighs the input table, too. A user whom training has not seen has no row: the mean of the trained
    rows stands in its place.
    """

    Options = Options
    summary = "a denoising autoencoder of histories with a row for each user; ranks unseen users too"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "batch_size": 256}
    folds_in = True
    sparse_operands = 1

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        biases = {
            "hidden": nn.Parameter(torch.zeros(tables["item_in"].shape.width)),
            "output": nn.Parameter(torch.zeros(tables["item_out"].shape.rows)),
        }
        self.network = self.biases = nn.ParameterDict(biases)

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`."""
        return (
            Shape("item_in", n_items, options.width),
            Shape("item_out", n_items, options.width),
            Shape("user", n_users, options.width),
        )

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`: users."""
        return UserBatches(self.histories, batch_size, seed)

    def loss(self, batch: Users) -> torch.Tensor:
        """See `Backbone.loss`: logistic loss of all positives and the negatives, mean over users (eq. 3)."""
        starts, items = lists_of(self.histories, batch.users)
        random = self.random("noise")
        weights = dropout(torch.ones(len(items)), self.options.dropout, random).numpy()
        sums = autograd.bags(self.tables["item_in"], items, starts, weights)
        users = autograd.rows(self.tables["user"], batch.users)
        hidden = torch.sigmoid(sums + users + self.biases["hidden"])
        logits = autograd.scores(self.tables["item_out"], hidden) + self.biases["output"]
        labels = torch.zeros_like(logits)
        labels[places_of(starts, items)] = 1
        losses = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        if self.options.negatives:
            losses = losses * torch.maximum(labels, self._chosen(starts, labels, random))
        loss = losses.sum() / len(batch.users)
        if l2 := self.options.l2_at(self.done):
            loss = loss + l2 * half_squares(users, len(batch.users))
        return loss

    def hidden_of(self, known: Histories, users: I32) -> torch.Tensor:
        """The hidden layer of users by their known histories, `[users, width]`, without noise."""
        return self._hidden(known, users, self._user_rows(users))

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: hidden layers and output rows."""
        hidden = self._hidden(self.histories, users, autograd.rows(self.tables["user"], users))
        return hidden, autograd.rows(self.tables["item_out"], items)

    def pair_scores(self, users: I32, items: I32) -> torch.Tensor:
        """See `Backbone.pair_scores`."""
        scores: torch.Tensor = super().pair_scores(users, items) + self.biases["output"][torch.from_numpy(items)]
        return scores

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: with histories of mean length."""
        items = mean_items(self.histories, batch_size)
        return items * self.tables["item_in"].shape.width + batch_size * self.tables["item_out"].shape.weights

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`."""
        return len(self.histories) * self.tables["item_in"].shape.width + self.executed_ranking()

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: products with the output rows, forward and backward."""
        return 3 * batch_size * self.tables["item_out"].shape.weights

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: products with the output rows."""
        return self.histories.n_users * self.tables["item_out"].shape.weights

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        known = self.histories if known is None else known
        return AutoencoderScorer(self, self.tables["item_out"], self.biases["output"], known)

    def _hidden(self, known: Histories, users: I32, rows: torch.Tensor) -> torch.Tensor:
        starts, items = lists_of(known, users)
        sums = autograd.bags(self.tables["item_in"], items, starts, np.ones(len(items), np.float32))
        return torch.sigmoid(sums + rows + self.biases["hidden"])

    def _chosen(self, starts: Any, labels: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """1 at random items, `negatives` for each positive on average (those that are positives count once)."""
        shares = np.minimum(1.0, self.options.negatives * np.diff(starts) / labels.shape[1]).astype(np.float32)
        draws = torch.empty_like(labels).uniform_(generator=random)
        return (draws < torch.from_numpy(shares)[:, None]).float()

    def _user_rows(self, users: I32) -> torch.Tensor:
        """Rows of users, `[users, width]`: the mean of the trained ones for those whom training has not seen."""
        table, counts = self.tables["user"], self.histories.counts
        trained = np.zeros(max(len(counts), int(users.max(initial=-1)) + 1), np.bool_)
        trained[: len(counts)] = counts > 0
        known = trained[users]
        rows = np.empty((len(users), table.shape.width), np.float32)
        rows[known] = table.read(users[known])
        if not known.all():
            rows[~known] = self._mean_row()
        return torch.from_numpy(rows)

    def _mean_row(self) -> Any:
        trained = np.flatnonzero(self.histories.counts).astype(np.int32)
        table = self.tables["user"]
        total = np.zeros(table.shape.width, np.float64)
        for block in np.array_split(trained, max(1, len(trained) // 65536)):
            total += table.read(block).sum(0, dtype=np.float64)
        return total / max(1, len(trained))
