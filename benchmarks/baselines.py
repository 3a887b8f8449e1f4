"""What needs no training, on the split of a run: popularity, item neighbours in as many bytes, and implicit's ALS.

    python -m benchmarks.baselines RUN

All see what the run saw, and are measured by the same code on the same held-out items. Settings are chosen on the
validation part by the run's own `training.monitor`; then the model is fitted once more to train and validation data, as
with `--refit`, and the test part is read once. Users are what their known items make of them, also held-out ones.

Item neighbours get the bytes that the run deploys: row starts, and for each neighbour its number (2 bytes below 65,536
items, else 4) and a float16 weight. ALS is dense, of width 64, whatever the run.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmarks.common import PEERS, Peer, peer, peer_python
from resprout.data import Split
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import DotScorer, Scorer
from resprout.training.folder import RunFolder
from resprout.training.prepare import load_dataset, measure
from resprout.training.settings import Settings

WIDTH, ITERATIONS, THREADS = 64, 15, 2
ALS = [
    ("als", {"factors": WIDTH, "iterations": ITERATIONS, "regularization": regularization, "alpha": alpha})
    for regularization, alpha in product((0.1, 1.0, 10.0), (1.0, 5.0, 25.0, 100.0))
]
WEIGHTINGS: list[tuple[str, dict[str, float]]] = [
    ("cosine", {}),
    ("tfidf", {}),
    *(("bm25", {"K1": k1, "B": b}) for k1, b in product((10.0, 100.0), (0.2, 0.6))),
]
SHARES = (1.0, 0.5, 0.25)

Candidate = tuple[str, dict[str, Any]]


def main(run: Path) -> None:
    folder = RunFolder(run)
    settings, deployed = folder.settings(), folder.read_result()["budget"]["deployed_bytes"]
    split = Split.load(folder.path, load_dataset(settings).interactions)
    print(f"{settings.data.source}, split {split.kind}, as in {run}")
    counted = measure(popularity(split.refit().train.histories()), split, "test", settings.evaluation)
    show(f"popularity, {4 * split.train.n_items:,} bytes", counted)
    most = neighbours_in(deployed, split.train.n_items)
    counts = sorted({max(1, int(share * most)) for share in SHARES})
    neighbours = [(kind, {"K": count, **own}) for kind, own in WEIGHTINGS for count in counts]
    with tempfile.TemporaryDirectory() as name:
        command: list[str | Path] = [
            peer_python(PEERS / "implicit"),
            PEERS / "implicit" / "baselines.py",
            name,
            str(THREADS),
        ]
        with peer(command, {"OPENBLAS_NUM_THREADS": "1"}) as implicit:
            fitting = Fitting(implicit, Path(name), split)
            print(f"  item neighbours, up to {most} an item in {deployed:,} bytes")
            best_of(neighbours if most else [], fitting, settings)
            best_of(ALS, fitting, settings)


@dataclass(frozen=True)
class Baseline:
    """Makes scores of what is known of users, if they depend on it."""

    make: Callable[[Histories | None], Scorer[Any]]

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        return self.make(known)


def popularity(train: Histories) -> Baseline:
    """The same score for all users: how many users of the train part have the item."""
    counts = np.bincount(train.items, minlength=train.n_items).astype(np.float32)
    scorer = DotScorer(np.ones((train.n_users, 1), np.float32), counts[:, None])
    return Baseline(lambda _: scorer)


def neighbours_in(deployed: int, n_items: int) -> int:
    """How many neighbours an item may have in so many bytes."""
    each = (2 if n_items < 2**16 else 4) + 2
    return max(0, deployed - 4 * (n_items + 1)) // (each * n_items)


class NeighbourScorer:
    """An item's score is the sum of its weights as a neighbour of what the user has."""

    def __init__(self, known: csr_array[np.float32], neighbours: csr_array[np.float32]) -> None:
        self._known, self._neighbours = known, neighbours.tocsc()
        self.n_items = neighbours.shape[1]

    def queries(self, users: NDArray[np.int32]) -> csr_array[np.float32]:
        return self._known[users]

    def scores(self, queries: csr_array[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        return np.ascontiguousarray((queries @ self._neighbours[:, begin:end]).toarray(), np.float32)


@dataclass(frozen=True)
class Fitting:
    """Fits models of implicit's to the parts of a split."""

    implicit: Peer
    folder: Path
    split: Split

    def fitted(self, model: str, arguments: Mapping[str, Any], of: str) -> tuple[Baseline, float]:
        """The model that is to be measured on "validation" or "test", and the seconds that it took."""
        split = self.split if of == "validation" else self.split.refit()
        train, known = split.train.histories(), split.known(of).histories()
        for name, lists in (("fit", train), ("known", known)):
            np.save(self.folder / f"{name}_starts.npy", lists.starts)
            np.save(self.folder / f"{name}_items.npy", lists.items)
        request = {"model": model, "fit": "fit", "known": "known", "n_items": train.n_items, "arguments": arguments}
        seconds = float(self.implicit.ask(json.dumps(request)))
        scorer = self._als() if model == "als" else self._neighbours(known)
        return Baseline(lambda _: scorer), seconds

    def _als(self) -> Scorer[Any]:
        return DotScorer(np.load(self.folder / "als_users.npy"), np.load(self.folder / "als_items.npy"))

    def _neighbours(self, known: Histories) -> Scorer[Any]:
        data, *places = (np.load(self.folder / f"knn_{part}.npy") for part in ("data", "indices", "indptr"))
        # what float16 keeps of weights at most 1
        weights = (data / max(data.max(), 1e-30)).astype(np.float16).astype(np.float32)
        ones = np.ones(len(known.items), np.float32)
        shape = known.n_users, known.n_items
        return NeighbourScorer(
            csr_array((ones, known.items, known.starts), shape=shape),
            csr_array((weights, *places), shape=(known.n_items, known.n_items)),
        )


def best_of(candidates: Iterable[Candidate], fitting: Fitting, settings: Settings) -> None:
    """Measures all of them on validation data, and the best one on test data."""
    monitor, values, chosen = settings.training.monitor, [], list(candidates)
    for model, arguments in chosen:
        scorer, _ = fitting.fitted(model, arguments, "validation")
        values.append(measure(scorer, fitting.split, "validation", settings.evaluation)[monitor])
        print(f"    {described(model, arguments)}: {monitor} {values[-1]:.4f}", flush=True)
    if chosen:
        model, arguments = chosen[int(np.argmax(values))]
        scorer, seconds = fitting.fitted(model, arguments, "test")
        name = f"{fitting.implicit.version}, {described(model, arguments)}, {seconds:.1f} s"
        show(name, measure(scorer, fitting.split, "test", settings.evaluation))


def described(model: str, arguments: Mapping[str, Any]) -> str:
    return ", ".join([model, *(f"{name} {value:g}" for name, value in arguments.items())])


def show(name: str, metrics: Mapping[str, float]) -> None:
    print(f"  {name}: test " + ", ".join(f"{key} {value:.4f}" for key, value in metrics.items() if key.endswith("@20")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
