"""Losses shared by backbones."""

import torch
from torch.nn import functional


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Mean of `softplus(s- - s+)` over `[batch]` scores (BPR, Rendle et al., UAI 2009, section 4)."""
    return functional.softplus(negative - positive).mean()


def half_squares(rows: torch.Tensor, batch: int) -> torch.Tensor:
    """`1/2 ||rows||^2 / batch`, the L2 term of LightGCN's code for the rows `[any, width]` that a batch touches."""
    return rows.square().sum() / (2 * batch)
