"""ConvNCF (He et al., IJCAI 2018): convolutions over the outer product of a user's and an item's row.

For parity with the DSL paper: "Critically examining the claimed value of convolutions over user-item embedding maps"
(CIKM 2020) disputes their use, and a score costs a thousand times that of a product.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from resprout.backbones import backbone
from resprout.backbones.losses import bpr, bpr_of_products, half_squares
from resprout.backbones.noise import start_layers
from resprout.budget import Shape
from resprout.data.batches import Triplets
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import Scorer
from resprout.kernels.contract import F32, I32
from resprout.tables import autograd
from resprout.tables.table import Table

_PAIRS_AT_ONCE = 2048


class Options(backbone.L2Options):
    """Options of `convncf`."""

    l2: float = backbone.l2_field(1e-4)
    channels: int = Field(default=32, ge=1, description="feature maps of each convolution")
    factor_share: float = Field(
        default=0.3, ge=0, le=1, description="share of training in which the tables learn plain products first (MF-BPR)"
    )
    network_l2: float = Field(default=1e-4, ge=0, description="weight of 1/2 |weights of the network|^2")


class ConvNCF(backbone.Backbone):
    """Score = linear map of 2x2 convolutions, stride 2, over the outer product of the two rows, halved until 1x1.

    Widths that are no power of two are filled up with zeros. The authors start from rows of a trained MF-BPR; here the
    first `factor_share` of training is that, on the same tables, within the same budget. Ranking is by the network from
    the start; no epoch before its turn is chosen.

    BPR is a mean where the authors sum, as with the other backbones. They start filters and top with truncated normals
    and biases at 0.1, here Xavier's rule and zeros as in other networks; they weigh the squares of the last layer by
    10 and of filters by 1, to that sum, here one `network_l2` weighs all of the network, biases too.
    """

    Options = Options
    summary = "convolutions over outer products of rows, started as MF; for parity with the paper"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "batch_size": 512}
    sparse_operands = 2

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        width = tables["user"].shape.width
        self.levels = max(1, (width - 1).bit_length())
        channels = [1] + [options.channels] * self.levels
        self.convolutions = nn.ModuleList(nn.Conv2d(below, above, 2, 2) for below, above in pairwise(channels))
        self.top = nn.Linear(options.channels, 1)
        self._map_rows, self._map_columns = (_z_order(self.levels, first) for first in (1, 0))
        self.network = nn.ModuleDict({"convolutions": self.convolutions, "top": self.top})
        start_layers(self.network, self.random("network"))

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`."""
        return Shape("user", n_users, options.width), Shape("item", n_items, options.width)

    def loss(self, batch: Triplets) -> torch.Tensor:
        """See `Backbone.loss`: BPR on products at first, on scores of the network afterwards."""
        users = autograd.rows(self.tables["user"], batch.users)
        positives = autograd.rows(self.tables["item"], batch.positives)
        negatives = autograd.rows(self.tables["item"], batch.negatives)
        if self.learns_products:
            loss = bpr_of_products(users, positives, negatives)
        else:
            loss = bpr(self.scores_of(users, positives), self.scores_of(users, negatives))
            for weights in self.network.parameters():
                loss = loss + self.options.network_l2 / 2 * weights.square().sum()
        if l2 := self.options.l2_at(self.done):
            for its in (users, positives, negatives):
                loss = loss + l2 * half_squares(its, len(batch.users))
        return loss

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: rows."""
        return autograd.rows(self.tables["user"], users), autograd.rows(self.tables["item"], items)

    def pair_scores(self, users: I32, items: I32) -> torch.Tensor:
        """See `Backbone.pair_scores`: by the network, or by products while these are what is learnt."""
        if self.learns_products:
            return super().pair_scores(users, items)
        of_users, of_items = self.vectors(users, items.reshape(-1))
        return self.scores_of(of_users.repeat_interleave(items.shape[1], 0), of_items).view(items.shape)

    @property
    def learns_products(self) -> bool:
        """Whether the tables learn plain products at this moment, and the network nothing."""
        return bool(self.step and self.done < self.options.factor_share)

    @property
    def turns(self) -> tuple[float, ...]:
        """See `Backbone.turns`: from plain products to the network."""
        return (self.options.factor_share,)

    def scores_of(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Scores `[pairs]` of rows `[pairs, width]`."""
        missing = 2**self.levels - users.shape[1]
        users, items = (functional.pad(rows, (0, missing)) if missing else rows for rows in (users, items))
        maps = users.index_select(1, self._map_rows) * items.index_select(1, self._map_columns)
        for convolution in self.convolutions:
            weights = convolution.weight.permute(0, 2, 3, 1).flatten(1)  # type: ignore[operator]
            squares = maps.view(len(maps), -1, weights.shape[1])
            maps = functional.relu(functional.linear(squares, weights, convolution.bias))  # type: ignore[arg-type]
        scores: torch.Tensor = self.top(maps[:, 0])[:, 0]
        return scores

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`: two pairs a triplet."""
        pair = self.tables["user"].shape.width if self.learns_products else self.pair_multiply_adds()
        return 2 * batch_size * pair

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`."""
        return self.histories.n_users * self.histories.n_items * self.pair_multiply_adds()

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: forward, and a gradient of inputs and of weights.

        At first one product a triplet, of a user and the difference of two items.
        """
        forward = self.forward_multiply_adds(batch_size)
        return 3 * (forward // 2 if self.learns_products else forward)

    def executed_pair_scores(self, users: int, each: int) -> int:
        """See `Backbone.executed_pair_scores`."""
        return 0 if self.learns_products else users * each * self.pair_multiply_adds()

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: no part of a score is shared by pairs."""
        return self.inference_multiply_adds()

    def pair_multiply_adds(self) -> int:
        """Multiply-adds of the score of one pair: outer product, filled up with zeros, convolutions, top."""
        maps: int = 4**self.levels
        for level, convolution in enumerate(self.convolutions):
            maps += 4 ** (self.levels - 1 - level) * convolution.weight.numel()  # type: ignore[operator]
        return maps + int(self.options.channels)

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        return _ConvNCFScorer(self)


def _z_order(levels: int, first: int) -> torch.Tensor:
    """Rows (`first` is 1) or columns (0) of the places of a map in Z-order.

    Squares of 2x2 lie side by side in it on every level: a convolution is one matrix product without a copy, and takes
    half the time of torch's.
    """
    places = torch.arange(4**levels)
    return torch.stack([(places >> 2 * level + first & 1) << level for level in range(levels)]).sum(0)


class _ConvNCFScorer:
    def __init__(self, model: ConvNCF) -> None:
        self._model = model
        self.n_items = model.tables["item"].shape.rows

    def queries(self, users: I32) -> torch.Tensor:
        """The users' rows, `[users, width]`."""
        return torch.from_numpy(self._model.tables["user"].read(np.ascontiguousarray(users)))

    def scores_of(self, queries: torch.Tensor, items: I32) -> F32:
        """See `evaluation.sampled.ScoresPairs`."""
        rows = torch.from_numpy(self._model.tables["item"].read(np.ascontiguousarray(items.reshape(-1))))
        users = queries.repeat_interleave(items.shape[1], 0)
        with torch.no_grad():
            blocks = zip(torch.split(users, _PAIRS_AT_ONCE), torch.split(rows, _PAIRS_AT_ONCE), strict=True)
            scores = torch.cat([self._model.scores_of(*block) for block in blocks])
        return scores.view(items.shape).numpy()

    def scores(self, queries: torch.Tensor, begin: int, end: int) -> F32:
        """See `Scorer.scores`."""
        items = torch.from_numpy(self._model.tables["item"].read_range(begin, end))
        out = torch.empty(len(queries), len(items))
        with torch.no_grad():
            for row, user in zip(out, queries, strict=True):
                for first in range(0, len(items), _PAIRS_AT_ONCE):
                    block = items[first : first + _PAIRS_AT_ONCE]
                    row[first : first + len(block)] = self._model.scores_of(user.expand_as(block), block)
        return out.numpy()
