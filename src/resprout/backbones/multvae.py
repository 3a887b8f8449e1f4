"""MultVAE (Liang et al., WWW 2018): a variational autoencoder of histories with a multinomial likelihood."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from resprout.backbones import backbone
from resprout.backbones.autoencoder import AutoencoderScorer, mean_items, places_of, unit_weights
from resprout.backbones.noise import dropout, start_layers
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, UserBatches, Users
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer, lists_of
from resprout.kernels.contract import I32
from resprout.tables import autograd
from resprout.tables.table import Table


class Options(backbone.Options):
    """Options of `multvae`."""

    width: int = Field(
        default=600, ge=1, le=1024, description="columns of the two item tables: the hidden layers next to them"
    )
    start: str = Field(
        default="xavier", pattern="^(normal|uniform|xavier)$", description="distribution of starting values"
    )
    start_scale: float = Field(default=1.0, gt=0, description="its deviation, its bound, or a factor to Xavier's bound")
    latent: int = Field(default=200, ge=1, description="size of the latent vector z")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of a history that is dropped in training")
    kl_weight: float = Field(default=0.2, ge=0, description="weight of the KL term at its largest (beta)")
    kl_share: float = Field(default=0.5, gt=0, le=1, description="share of training in which that weight rises from 0")


class MultVAE(backbone.Backbone):
    """Encoder n-width-2*latent, decoder latent-width-n, both with tanh; the two outermost matrices are the tables.

    Users are their histories: those that training has not seen are ranked like any others. The weight of the KL term
    rises over half of training instead of the authors' 200,000 updates, for that is more than most trainings have.
    Matrices start by Xavier's uniform rule and biases at zero, as in other networks here; theirs by normals.
    """

    Options = Options
    summary = "a variational autoencoder of whole histories; ranks users unseen in training"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "batch_size": 256}
    folds_in = True
    sparse_operands = 1

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        below, above = tables["item_in"].shape.width, tables["item_out"].shape.width
        self.encoder = nn.Linear(below, 2 * options.latent)
        self.decoder = nn.Linear(options.latent, above)
        biases = {
            "input": nn.Parameter(torch.zeros(below)),
            "output": nn.Parameter(torch.zeros(tables["item_out"].shape.rows)),
        }
        self.biases = nn.ParameterDict(biases)
        self.network = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder, "biases": self.biases})
        start_layers(self.network, self.random("network"))

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`; nothing in it grows with users."""
        return Shape("item_in", n_items, options.width), Shape("item_out", n_items, options.width)

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`: users."""
        return UserBatches(self.histories, batch_size, seed)

    def loss(self, batch: Users) -> torch.Tensor:
        """See `Backbone.loss`: multinomial negative log-likelihood plus beta KL, mean over users (eq. 3 and 5)."""
        starts, items = lists_of(self.histories, batch.users)
        random = self.random("noise")
        weights = dropout(torch.from_numpy(unit_weights(starts)), self.options.dropout, random).numpy()
        mean, log_variance = self._encoded(autograd.bags(self.tables["item_in"], items, starts, weights))
        noise = torch.empty_like(mean).normal_(generator=random)
        hidden = torch.tanh(self.decoder(mean + noise * torch.exp(log_variance / 2)))
        logits = autograd.scores(self.tables["item_out"], hidden) + self.biases["output"]
        likelihood = logits.log_softmax(1)[places_of(starts, items)].sum() / len(batch.users)
        divergence = (log_variance.exp() + mean.square() - 1 - log_variance).sum(1).mean() / 2
        loss: torch.Tensor = self.kl_weight * divergence - likelihood
        return loss

    @property
    def kl_weight(self) -> float:
        """Beta at this moment: it rises along a line and then stays."""
        return float(self.options.kl_weight * min(1.0, self.done / self.options.kl_share))

    def hidden_of(self, known: Histories, users: I32) -> torch.Tensor:
        """The last hidden layer of users by their known histories, `[users, width]`, without noise."""
        starts, items = lists_of(known, users)
        mean, _ = self._encoded(autograd.bags(self.tables["item_in"], items, starts, unit_weights(starts)))
        return torch.tanh(self.decoder(mean))

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: last hidden layers and output rows."""
        return self.hidden_of(self.histories, users), autograd.rows(self.tables["item_out"], items)

    def pair_scores(self, users: I32, items: I32) -> torch.Tensor:
        """See `Backbone.pair_scores`."""
        scores: torch.Tensor = super().pair_scores(users, items) + self.biases["output"][torch.from_numpy(items)]
        return scores

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: with histories of mean length."""
        items = mean_items(self.histories, batch_size)
        return items * self.tables["item_in"].shape.width + batch_size * self._above()

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`."""
        return len(self.histories) * self.tables["item_in"].shape.width + self.executed_ranking()

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: all but the sums of input rows, forward and backward."""
        return 3 * batch_size * self._above()

    def executed_vectors(self, users: int) -> int:
        """See `Backbone.executed_vectors`: encoder and decoder."""
        return users * (self.encoder.weight.numel() + self.decoder.weight.numel())

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: encoder (the variances too, which go unused), decoder, output rows."""
        return self.histories.n_users * self._above()

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        known = self.histories if known is None else known
        return AutoencoderScorer(self, self.tables["item_out"], self.biases["output"], known)

    def _encoded(self, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and logarithm of the variance of z, `[users, latent]` each."""
        mean, log_variance = self.encoder(torch.tanh(sums + self.biases["input"])).chunk(2, 1)
        return mean, log_variance

    def _above(self) -> int:
        return self.encoder.weight.numel() + self.decoder.weight.numel() + self.tables["item_out"].shape.weights
