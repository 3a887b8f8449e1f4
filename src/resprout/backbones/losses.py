"""Losses shared by backbones whose score is a product of two vectors."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch.autograd.function import once_differentiable
from torch.nn import functional

from resprout.backbones import backbone
from resprout.data.batches import Draw
from resprout.data.negatives import draw_negatives, draw_shared

TRAINING: Mapping[str, Any] = {"batch_size": 8192, "sampling": "user", "learning_rate": 5e-2}
"""Defaults of the section `training` that suit BPR, on sets of 10,000 to 700,000 interactions (decision 0018)."""
_EPSILON = 1e-8


class Options(backbone.L2Options):
    """Options of a backbone that may be trained with any of these losses."""

    loss: str = Field(
        default="bpr",
        pattern="^(bpr|softmax|cosine_contrastive)$",
        description="bpr: one negative a positive; softmax and cosine_contrastive: many, shared by the batch",
    )
    negatives: int = Field(default=1024, ge=1, description="softmax, cosine_contrastive: negatives of a batch")
    temperature: float = Field(default=0.1, gt=0, description="softmax: what cosines are divided by")
    margin: float = Field(
        default=0.4, ge=-1, le=1, description="cosine_contrastive: cosine below which a negative is let be"
    )
    negative_weight: float = Field(
        default=150.0, gt=0, description="cosine_contrastive: weight of the mean over negatives"
    )

    @property
    def cosine(self) -> bool:
        """Whether the loss is of cosines instead of products, so that ranking is too."""
        return self.loss in ("softmax", "cosine_contrastive")

    @property
    def products(self) -> int:
        """Products of two vectors that the loss of a positive has."""
        return 2 if self.loss == "bpr" else 1 + self.negatives

    @property
    def executed_products(self) -> int:
        """How many of these are made: one by bpr, of a user and the difference of two items."""
        return 1 if self.loss == "bpr" else self.products

    def ranked(self, items: torch.Tensor) -> torch.Tensor:
        """Vectors of items `[any, width]` as rankings take them: at length 1 for cosines."""
        return functional.normalize(items, eps=_EPSILON) if self.cosine else items

    @property
    def draw(self) -> Draw:
        """How the negatives of a batch are drawn."""
        return draw_negatives if self.loss == "bpr" else partial(draw_shared, count=self.negatives)


def ranking_loss(
    options: Options, users: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """The loss that `options.loss` names, from vectors of users and positives `[batch, width]`.

    negatives: `[batch, width]` for bpr, `[n, width]` shared by the batch for the others.
    """
    if options.loss == "bpr":
        return bpr_of_products(users, positives, negatives)
    users, positives, negatives = (functional.normalize(rows, eps=_EPSILON) for rows in (users, positives, negatives))
    if options.loss == "softmax":
        users = users / options.temperature  # fewer numbers than there are scores
        return sampled_softmax((users * positives).sum(1), users @ negatives.T)
    return cosine_contrastive((users * positives).sum(1), users @ negatives.T, options.margin, options.negative_weight)


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Mean of `softplus(s- - s+)` over `[batch]` scores (BPR, Rendle et al., UAI 2009, section 4)."""
    return functional.softplus(negative - positive).mean()


def bpr_of_products(users: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """`bpr` of scores that are products of vectors `[batch, width]`."""
    gaps: torch.Tensor = _Gaps.apply(users, positives, negatives)
    return functional.softplus(gaps).mean()


def sampled_softmax(positive: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Mean of `-log softmax` of the positive among itself and the negatives; `[batch]` and `[batch, n]` scores.

    (Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", TOIS 2024, eq. 5.)
    """
    return functional.softplus(torch.logsumexp(negatives, 1) - positive).mean()


def cosine_contrastive(
    positive: torch.Tensor, negatives: torch.Tensor, margin: float, negative_weight: float
) -> torch.Tensor:
    """Mean of `1 - cos+ + weight * mean(max(0, cos- - margin))` (SimpleX, Mao et al., CIKM 2021, eq. 1)."""
    return (1 - positive + negative_weight * functional.relu(negatives - margin).mean(1)).mean()


def half_squares(rows: torch.Tensor, batch: int) -> torch.Tensor:
    """`1/2 ||rows||^2 / batch`, the L2 term of LightGCN's code for the rows `[any, width]` that a batch touches."""
    out: torch.Tensor = _HalfSquares.apply(rows, batch)
    return out


# What torch would derive from products and squares takes three times as many passes over memory, which is most of a
# step of matrix factorisation.


class _Gaps(torch.autograd.Function):
    """`users . (negatives - positives)`, `[batch]`."""

    @staticmethod
    def forward(ctx: Any, users: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        differences = negatives - positives
        ctx.users, ctx.differences = users, differences
        return (users * differences).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        each = gradient[:, None]
        of_negatives = ctx.users * each
        return ctx.differences * each, -of_negatives, of_negatives


class _HalfSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, batch: int) -> torch.Tensor:
        ctx.rows, ctx.batch = rows, batch
        return rows.square().sum() / (2 * batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.rows * (gradient / ctx.batch), None
