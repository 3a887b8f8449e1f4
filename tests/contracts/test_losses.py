"""Losses of two vectors, against sums written out."""

import math

import numpy as np
import pytest
import torch

from resprout.backbones.losses import ranking_loss
from resprout.backbones.mf import Options

USERS = np.random.default_rng(0).normal(size=(3, 4))
POSITIVES = np.random.default_rng(1).normal(size=(3, 4))
NEGATIVES = np.random.default_rng(2).normal(size=(5, 4))


def cosine(a, b):
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


def of_softmax(user, positive):
    """Temperature 0.2."""
    scores = [math.exp(cosine(user, item) / 0.2) for item in (positive, *NEGATIVES)]
    return -math.log(scores[0] / sum(scores))


def of_cosines(user, positive):
    """Margin 0.1, weight 7."""
    missed = [max(0.0, cosine(user, item) - 0.1) for item in NEGATIVES]
    return 1 - cosine(user, positive) + 7 * sum(missed) / len(missed)


@pytest.mark.parametrize(
    ("options", "of_pair"),
    [
        ({"loss": "softmax", "temperature": 0.2}, of_softmax),
        ({"loss": "cosine_contrastive", "margin": 0.1, "negative_weight": 7.0}, of_cosines),
    ],
)
def test_losses_of_cosines(options, of_pair):
    expected = np.mean([of_pair(user, positive) for user, positive in zip(USERS, POSITIVES, strict=True)])
    loss = ranking_loss(Options(**options), *(torch.from_numpy(rows) for rows in (USERS, POSITIVES, NEGATIVES)))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_bpr():
    negatives = NEGATIVES[:3]
    expected = np.mean(
        [math.log1p(math.exp(u @ n - u @ p)) for u, p, n in zip(USERS, POSITIVES, negatives, strict=True)]
    )
    loss = ranking_loss(Options(), *(torch.from_numpy(rows) for rows in (USERS, POSITIVES, negatives)))
    assert loss.item() == pytest.approx(expected, rel=1e-12)
