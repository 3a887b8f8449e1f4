"""Popularity and implicit's ALS on the split of a run: figures that a model must be above to be worth its training.

    python -m benchmarks.baselines RUN

Both see what the run saw, and are measured by the same code on the same held-out items. ALS's regularization and alpha
are chosen on the validation part by the run's own `training.monitor`; then it is fitted once more to train and
validation data, as with `--refit`, and the test part is read once. Users are what their known items make of them, so
that held-out users are served too.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.common import PEERS, Peer, peer, peer_python
from resprout.data import Split
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import DotScorer
from resprout.training.folder import RunFolder
from resprout.training.prepare import load_dataset, measure
from resprout.training.settings import Settings

WIDTH, ITERATIONS, THREADS = 64, 15, 2
REGULARIZATIONS, ALPHAS = (0.1, 1.0, 10.0), (1.0, 5.0, 25.0, 100.0)


def main(run: Path) -> None:
    folder = RunFolder(run)
    settings = folder.settings()
    split = Split.load(folder.path, load_dataset(settings).interactions)
    print(f"{settings.data.source}, split {split.kind}, as in {run}")
    show("popularity", measure(popularity(split.refit().train.histories()), split, "test", settings.evaluation))
    with tempfile.TemporaryDirectory() as name:
        command: list[str | Path] = [peer_python(PEERS / "implicit"), PEERS / "implicit" / "als.py", name, str(THREADS)]
        with peer(command, {"OPENBLAS_NUM_THREADS": "1"}) as als:
            best_of_als(als, Path(name), settings, split)


@dataclass(frozen=True)
class Baseline:
    """Scores that are what they are, whatever is known of a user."""

    own: DotScorer

    def scorer(self, known: Histories | None = None) -> DotScorer:
        return self.own


def popularity(train: Histories) -> Baseline:
    """The same score for all users: how many users of the train part have the item."""
    counts = np.bincount(train.items, minlength=train.n_items).astype(np.float32)
    return Baseline(DotScorer(np.ones((train.n_users, 1), np.float32), counts[:, None]))


def best_of_als(als: Peer, folder: Path, settings: Settings, split: Split) -> None:
    monitor, values = settings.training.monitor, {}
    for regularization, alpha in product(REGULARIZATIONS, ALPHAS):
        scorer, _ = fitted(als, folder, split, "validation", regularization, alpha)
        values[regularization, alpha] = measure(scorer, split, "validation", settings.evaluation)[monitor]
        print(
            f"  ALS, regularization {regularization:g}, alpha {alpha:g}: {monitor} {values[regularization, alpha]:.4f}"
        )
    regularization, alpha = max(values, key=lambda chosen: values[chosen])
    scorer, seconds = fitted(als, folder, split.refit(), "test", regularization, alpha)
    name = f"{als.version} ALS, width {WIDTH}, regularization {regularization:g}, alpha {alpha:g}, {seconds:.0f} s"
    show(name, measure(scorer, split, "test", settings.evaluation))


def fitted(
    als: Peer, folder: Path, split: Split, of: str, regularization: float, alpha: float
) -> tuple[Baseline, float]:
    train = split.train.histories()
    for name, lists in (("fit", train), ("known", split.known(of).histories())):
        np.save(folder / f"{name}_starts.npy", lists.starts)
        np.save(folder / f"{name}_items.npy", lists.items)
    arguments = {"factors": WIDTH, "iterations": ITERATIONS, "regularization": regularization, "alpha": alpha}
    request = {"fit": "fit", "known": "known", "n_items": train.n_items, "arguments": arguments}
    seconds = float(als.ask(json.dumps(request)))
    return Baseline(DotScorer(np.load(folder / "als_users.npy"), np.load(folder / "als_items.npy"))), seconds


def show(name: str, metrics: Mapping[str, float]) -> None:
    print(f"  {name}: test " + ", ".join(f"{key} {value:.4f}" for key, value in metrics.items() if key.endswith("@20")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
