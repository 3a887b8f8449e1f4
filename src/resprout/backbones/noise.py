"""Noise whose every draw comes from a generator that is made for it, so that training can go on from any step."""

import torch

from resprout.rng import stream_key


def generator(seed: int, *names: str | int) -> torch.Generator:
    """As `rng.stream`, for torch: a generator of its own for the purpose called `names`."""
    return torch.Generator().manual_seed(stream_key(seed, *names) % 2**63)


def dropout(values: torch.Tensor, share: float, random: torch.Generator) -> torch.Tensor:
    """`values` of which `share` are set to 0, and the others divided by what is left of 1."""
    if share == 0:
        return values
    kept = torch.empty_like(values).bernoulli_(1 - share, generator=random)
    return values * kept / (1 - share)


def start_layers(network: torch.nn.Module, random: torch.Generator) -> None:
    """Matrices by Xavier's uniform rule, vectors (biases) at 0."""
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim > 1:
                torch.nn.init.xavier_uniform_(weights, generator=random)
            else:
                weights.zero_()
