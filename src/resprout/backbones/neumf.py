"""NeuMF (He et al., WWW 2017): a product of two rows beside a network over two others."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from resprout.backbones import backbone
from resprout.backbones.losses import half_squares
from resprout.backbones.noise import dropout, start_layers
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, TripletBatches, Triplets
from resprout.data.histories import Histories
from resprout.data.negatives import draw_several
from resprout.evaluation.evaluate import USERS_PER_BLOCK, Scorer
from resprout.kernels.contract import F32, I32
from resprout.tables import autograd
from resprout.tables.table import Table


class Options(backbone.L2Options):
    """Options of `neumf`."""

    l2: float = backbone.l2_field(0.0)
    deep_width: int | None = Field(
        default=None, ge=1, le=1024, description="columns of the network's tables; width if not given"
    )
    layers: tuple[int, ...] = Field(default=(64, 32, 16), min_length=1, description="outputs of the network's layers")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of each layer's inputs that is dropped in training"
    )
    negatives: int = Field(default=4, ge=1, description="negatives a positive, drawn anew each epoch")


class NeuMF(backbone.Backbone):
    """Score = a weighted sum over [product of the product rows, top of the network over the deep rows].

    The paper's equation 12, with its sigmoid left to the loss. The first layer is kept as its two halves, W_u u and
    W_i i, so that ranking computes each half once a user and once an item. For the same reason a positive and its
    negatives share the dropout mask of the user's half. The last layer starts by Xavier's rule, like all networks here,
    where the authors have LeCun's.
    """

    Options = Options
    summary = "a product of rows beside a network over others, with cross-entropy (NCF)"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}
    sparse_operands = 1

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        super().__init__(options, tables, histories, seed)
        widths = {name: table.shape.width for name, table in tables.items()}
        self.user_half = nn.Linear(widths["user_deep"], options.layers[0])
        self.item_half = nn.Linear(widths["item_deep"], options.layers[0], bias=False)
        self.layers = nn.ModuleList(nn.Linear(below, above) for below, above in pairwise(options.layers))
        self.top = nn.Linear(widths["user_product"] + options.layers[-1], 1)
        self.network = nn.ModuleDict(
            {"user_half": self.user_half, "item_half": self.item_half, "layers": self.layers, "top": self.top}
        )
        start_layers(self.network, self.random("network"))

    @staticmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """See `Backbone.shapes`: all four, not only the two of the product."""
        deep = options.deep_width or options.width
        return (
            Shape("user_product", n_users, options.width),
            Shape("item_product", n_items, options.width),
            Shape("user_deep", n_users, deep),
            Shape("item_deep", n_items, deep),
        )

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """See `Backbone.batches`: `negatives` of each positive, `[batch, negatives]`."""
        draw = partial(draw_several, count=self.options.negatives)
        return TripletBatches(self.histories, batch_size, seed, sampling, draw)

    def loss(self, batch: Triplets) -> torch.Tensor:
        """See `Backbone.loss`: mean cross-entropy over positives and negatives."""
        items = np.concatenate([batch.positives[:, None], batch.negatives], 1)
        rows = self._rows(batch.users, items.reshape(-1))
        logits = self._logits(rows, items.shape, self.options.dropout)
        labels = torch.zeros_like(logits)
        labels[:, 0] = 1
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        if l2 := self.options.l2_at(self.done):
            for its in rows:
                loss = loss + l2 * half_squares(its, len(batch.users))
        return loss

    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Backbone.vectors`: rows of both kinds side by side."""
        users_product, users_deep, items_product, items_deep = self._rows(users, items)
        return torch.cat([users_product, users_deep], 1), torch.cat([items_product, items_deep], 1)

    def pair_scores(self, users: I32, items: I32) -> torch.Tensor:
        """See `Backbone.pair_scores`: by product and network."""
        return self._logits(self._rows(users, items.reshape(-1)), items.shape, 0.0)

    def forward_multiply_adds(self, batch_size: int) -> int:
        """See `Backbone.forward_multiply_adds`."""
        pairs = batch_size * (1 + self.options.negatives)
        return int(batch_size * self.user_half.weight.numel() + pairs * (self.item_half.weight.numel() + self._above()))

    def inference_multiply_adds(self) -> int:
        """See `Backbone.inference_multiply_adds`: the whole network for each pair."""
        halves = self.user_half.weight.numel() + self.item_half.weight.numel()
        return self.histories.n_users * self.histories.n_items * (halves + self._above())

    def executed_outside_tables(self, batch_size: int) -> int:
        """See `Backbone.executed_outside_tables`: forward, and a gradient of inputs and of weights."""
        return 3 * self.forward_multiply_adds(batch_size)

    def executed_pair_scores(self, users: int, each: int) -> int:
        """See `Backbone.executed_pair_scores`."""
        return int(
            users * self.user_half.weight.numel() + users * each * (self.item_half.weight.numel() + self._above())
        )

    def executed_ranking(self) -> int:
        """See `Backbone.executed_ranking`: what is of a user once a user, of an item once a block of users."""
        n_users, n_items = self.histories.n_users, self.histories.n_items
        of_user = self.tables["user_product"].shape.width + self.user_half.weight.numel()
        of_item = -(-n_users // USERS_PER_BLOCK) * self.item_half.weight.numel()
        return n_users * of_user + n_items * of_item + n_users * n_items * (self._layers() + self.top.weight.numel())

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        return _NeuMFScorer(self)

    def _rows(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Users' rows for the product and for the network, and items'."""
        kinds = (f"{of}_{kind}" for of in ("user", "item") for kind in ("product", "deep"))
        first, second, third, fourth = (
            autograd.rows(self.tables[kind], ids) for kind, ids in zip(kinds, (users, users, items, items), strict=True)
        )
        return first, second, third, fourth

    def _logits(self, rows: Sequence[torch.Tensor], shape: tuple[int, ...], share: float) -> torch.Tensor:
        """Logits `[users, n]` from the `_rows` of users and of `n` items each; `share` of the inputs are dropped."""
        users_product, users_deep, items_product, items_deep = rows
        product, random = users_product[:, None] * items_product.view(*shape, -1), self.random("dropout")
        first = self.user_half(dropout(users_deep, share, random))[:, None]
        hidden = functional.relu(first + self.item_half(dropout(items_deep, share, random)).view(*shape, -1))
        for layer in self.layers:
            hidden = functional.relu(layer(dropout(hidden, share, random)))
        logits: torch.Tensor = self.top(torch.cat([product, hidden], 2))[:, :, 0]
        return logits

    def _above(self) -> int:
        """Multiply-adds of a pair above the first layer: product, further layers, top."""
        return self.tables["user_product"].shape.width + self._layers() + self.top.weight.numel()

    def _layers(self) -> int:
        """Multiply-adds of a pair in the layers after the first."""
        return sum(weights.numel() for name, weights in self.layers.named_parameters() if name.endswith("weight"))


class _NeuMFScorer:
    """One user at a time over a block of items, so that memory is that of one layer of the block."""

    def __init__(self, model: NeuMF) -> None:
        self._model = model
        self.n_items = model.tables["item_product"].shape.rows

    def queries(self, users: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """For each user: product row times the top's weights `[users, width]`, and half of the first layer."""
        model, users = self._model, np.ascontiguousarray(users)
        product, deep = (torch.from_numpy(model.tables[f"user_{k}"].read(users)) for k in ("product", "deep"))
        with torch.no_grad():
            return product * model.top.weight[0, : product.shape[1]], model.user_half(deep)

    def scores(self, queries: tuple[torch.Tensor, torch.Tensor], begin: int, end: int) -> F32:
        """See `Scorer.scores`."""
        model = self._model
        product, deep = (
            torch.from_numpy(model.tables[f"item_{k}"].read_range(begin, end)) for k in ("product", "deep")
        )
        with torch.no_grad():
            of_top = model.top.weight[0, product.shape[1] :]
            out = torch.addmm(model.top.bias, queries[0], product.T)
            half = model.item_half(deep)
            for scores, user_half in zip(out, queries[1], strict=True):
                hidden = functional.relu(half + user_half)
                for layer in model.layers:
                    hidden = functional.relu(layer(hidden))
                scores.addmv_(hidden, of_top)
        return out.numpy()
