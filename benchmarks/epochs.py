"""One training epoch of each backbone on ML-1M against RecBole's trainer: seconds, and peak memory beside them.

    RESPROUT_DATA=... python -m benchmarks.epochs [BACKBONE ...]

Both sides have the same interactions, batches of the same size, the same number of negatives, the same architecture and
width, Adam, and two threads, each in a process of its own. RecBole's trainer goes over RecBole's loader, resprout's
loop over resprout's batches, so that shuffling and drawing negatives count on both sides. A turn is some batches, not
an epoch, where an epoch takes long; its time is multiplied up to the batches of an epoch.

Before anything is timed, both get the same weights: scores of some pairs must agree, and the losses of four steps on
the same batch, and with them gradients and Adam. Weights of L2 terms are 0 except in LightGCN, where both sides have
the same term. What is random is off in this check alone: dropout, and the noise of z, of which RecBole's MultiVAE has a
hundredth. ConvNCF is timed without its first epochs as plain MF, which RecBole's has not.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import PEERS, Peer, alternate, floor, gate, largest, peer, peer_python
from resprout.data import load
from resprout.data.split import TRAIN

DATA, WIDTH, THREADS, ROUNDS, AIM = "ml-1m", 64, 2, 5, 2


@dataclass(frozen=True)
class Pair:
    """A backbone and RecBole's model, with the settings that make them the same.

    steps: batches of a turn, None for all of an epoch; noise: settings of both that are for the timed models only;
    summed: RecBole's loss is the sum over the batch, ours the mean; probability: RecBole's scores are sigmoids of ours.
    """

    model: str
    floor: float
    batch: int
    steps: int | None
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)
    noise: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    summed: bool = False
    probability: bool = False


NEGATIVES = 4
PAIRS = {
    "lightgcn": Pair(
        "LightGCN", 8, 2048, 5,
        {"width": WIDTH, "hops": 3, "l2": 1e-4},
        {"embedding_size": WIDTH, "n_layers": 3, "reg_weight": 1e-4, "require_pow": True},
    ),
    "mf": Pair("BPR", 1, 2048, 100, {"width": WIDTH, "l2": 0.0}, {"embedding_size": WIDTH}),
    "neumf": Pair(
        "NeuMF", 1, 2048, 40,
        {"width": WIDTH, "layers": [64, 32, 16], "negatives": NEGATIVES, "l2": 0.0},
        {
            "mf_embedding_size": WIDTH, "mlp_embedding_size": WIDTH, "mlp_hidden_size": [64, 32, 16],
            "dropout_prob": 0.0,
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": NEGATIVES},
            # RecBole counts positives and negatives
            "train_batch_size": 2048 * (1 + NEGATIVES),
        },
        probability=True,
    ),
    "convncf": Pair(
        "ConvNCF", 1, 512, 5,
        {"width": WIDTH, "channels": 32, "factor_share": 0.0, "network_l2": 0.0, "l2": 0.0},
        {
            "embedding_size": WIDTH, "cnn_channels": [1] + [32] * 6, "cnn_kernels": [2] * 6, "cnn_strides": [2] * 6,
            "dropout_prob": 0.0, "reg_weights": [0.0, 0.0],
        },
        summed=True,
    ),
    "cdae": Pair(
        "CDAE", 1, 256, None,
        {"width": WIDTH, "negatives": 0, "dropout": 0.0, "l2": 0.0},
        {"embedding_size": WIDTH, "hid_activation": "sigmoid", "corruption_ratio": 0.0, "reg_weight_2": 0.0},
        ({"dropout": 0.5}, {"corruption_ratio": 0.5}),
        summed=True, probability=True,
    ),
    "multvae": Pair(
        "MultiVAE", 1, 256, None,
        {"width": 600, "latent": 200, "dropout": 0.0},
        # RecBole's latent_dimension is that of mean and variance together
        {"mlp_hidden_size": [600], "latent_dimension": 400, "dropout_prob": 0.0, "anneal_cap": 0.0},
        ({"dropout": 0.5}, {"dropout_prob": 0.5, "anneal_cap": 0.2}),
    ),
}  # fmt: skip


def main(names: Sequence[str] = tuple(PAIRS)) -> bool:
    python = peer_python(PEERS / "recbole")
    print(f"one training epoch on {DATA}, {THREADS} threads, against RecBole; from parts of an epoch where it says so")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "given")
        results = [compare(backbone, PAIRS[backbone], folder, python) for backbone in names]
    return all(results)


def write_data(folder: Path) -> None:
    """The data set as RecBole's atomic files, train and test."""
    folder.mkdir()
    dataset = load(DATA)
    assert dataset.parts is not None
    for name, chosen in (("train", dataset.parts == TRAIN), ("test", dataset.parts != TRAIN)):
        part = dataset.interactions.select(chosen)
        lines = [f"{user}\t{item}\n" for user, item in zip(part.users, part.items, strict=True)]
        (folder / f"given.{name}.inter").write_text("user_id:token\titem_id:token\n" + "".join(lines))


def compare(backbone: str, pair: Pair, folder: Path, python: Path) -> bool:
    print(f"{backbone} and RecBole's {pair.model}, batch {pair.batch:,}")
    check(backbone, pair, folder, python)
    with ExitStack() as stack:
        sides = start(stack, backbone, pair, folder, python, timed=True)
        return time_epochs(pair, sides)


def start(stack: ExitStack, backbone: str, pair: Pair, folder: Path, python: Path, timed: bool) -> tuple[Peer, Peer]:
    """resprout's process and RecBole's."""
    noise = pair.noise if timed else ({}, {})
    ours = {
        "data": {"source": DATA},
        "backbone": {"name": backbone} | pair.ours | noise[0],
        "training": {"batch_size": pair.batch, "learning_rate": 1e-3, "decay": "constant"},
    }
    theirs = {"train_batch_size": pair.batch} | pair.theirs | noise[1]
    commands: list[list[str | Path]] = [
        [sys.executable, PEERS / "recbole" / "ours.py", json.dumps(ours), str(THREADS)],
        [python, PEERS / "recbole" / "theirs.py", folder, pair.model, json.dumps(theirs), str(THREADS)],
    ]
    variables = {"NUMBA_NUM_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS)}
    own, other = (stack.enter_context(peer(command, variables)) for command in commands)
    return own, other


def check(backbone: str, pair: Pair, folder: Path, python: Path) -> None:
    with ExitStack() as stack:
        sides = start(stack, backbone, pair, folder, python, timed=False)
        if backbone == next(iter(PAIRS)):
            print(f"  {sides[0].version}; {sides[1].version}")
        scores, losses = [], []
        for side in sides:
            losses.append(np.array(json.loads(side.ask(f"check {folder}"))))
            scores.append(np.load(folder / "scores.npy"))
    if pair.probability:
        scores[0] = 1 / (1 + np.exp(-scores[0]))
    if pair.summed:
        losses[1] /= pair.batch
    gate("scores of 256 pairs from the same weights", largest(scores[0] - scores[1]) / largest(scores[1]), 1e-5)
    # gradients of a sum are `batch` times those of a mean: the same to Adam, but for its epsilon
    bound = 1e-4 if pair.summed else 1e-5
    gate("losses of four steps on one batch", largest(losses[0] / losses[1] - 1), bound)


def time_epochs(pair: Pair, sides: tuple[Peer, Peer]) -> bool:
    names = "resprout", "RecBole"
    batches = [int(side.ask("batches")) for side in sides]
    steps = pair.steps or batches[0]
    losses: dict[str, list[float]] = {name: [] for name in names}

    def turn(name: str, side: Peer, per_epoch: int) -> float:
        seconds, loss = map(float, side.ask(f"steps {steps}").split())
        losses[name].append(loss)
        return seconds / steps * per_epoch

    gate("batches of an epoch", abs(batches[0] - batches[1]), 0)
    print(f"  an epoch, from {steps} of its {batches[0]} batches" if pair.steps else f"  an epoch of {steps} batches")
    medians = alternate(
        {name: partial(turn, name, side, count) for name, side, count in zip(names, sides, batches, strict=True)},
        ROUNDS,
    )
    for name, side in zip(names, sides, strict=True):
        first, last = losses[name][0], losses[name][-1]
        print(
            f"  {name}: mean loss of the first turn {first:.5g}, of the last {last:.5g}; "
            f"peak memory {int(side.ask('peak')) / 1e6:,.0f} MB"
        )
        if not last < first:
            sys.exit(f"the loss of {name} does not fall: it does not learn, so its time says nothing")
    ratio = medians["RecBole"] / medians["resprout"]
    aim = "" if pair.floor > AIM else f", aim {AIM}"
    return floor(f"epoch of RecBole's {pair.model} by ours{aim}", ratio, pair.floor, at_least=True)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:] or tuple(PAIRS)) else 1)
