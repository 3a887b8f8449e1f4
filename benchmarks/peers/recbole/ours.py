"""resprout's training of one backbone, timed inside: a process of its own, as its peers are, so that its memory shows.

    python ours.py SETTINGS THREADS

SETTINGS is JSON, nested as in a settings file. Answers as answers.py says.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answers import CHECKED_STEPS, answer

from resprout import __version__, catalog
from resprout.backbones.backbone import Backbone
from resprout.data import load
from resprout.data.batches import Batches, Triplets, Users
from resprout.data.split import TRAIN
from resprout.kernels.select import choose
from resprout.methods.method import Hooks
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.training.loop import Progress, Task, train
from resprout.training.memory import peak_bytes
from resprout.training.observers import EpochRecord, Observer
from resprout.training.optimizer import Optimizer
from resprout.training.settings import Settings, resolve

CHECKED_PAIRS, HORIZON = 256, 10**6


@dataclass(frozen=True)
class Part:
    """So many batches from a stream of them: what the loop takes for an epoch."""

    stream: Iterator[Any]
    per_epoch: int

    def batch(self, epoch: int, index: int) -> Any:
        return next(self.stream)

    def fresh(self, step: int, factor: int) -> Any:
        raise NotImplementedError


class Side(Observer):
    """A model as a run makes it, trained by the loop of a run."""

    def __init__(self, settings: Settings) -> None:
        self.settings, options = settings, settings.backbone
        dataset = load(settings.data)
        assert dataset.parts is not None
        histories = dataset.interactions.select(dataset.parts == TRAIN).histories()
        backbone = catalog.load_backbone(settings.backbone_name)
        shapes = backbone.shapes(options, histories.n_users, histories.n_items)
        tables = build_tables(
            shapes, "dense", [], Start(options.start, options.start_scale, 0), False, choose().backend
        )
        self.model: Backbone = backbone(options, tables, histories)
        self.batches = self.model.batches(settings.training.batch_size, 0, settings.training.sampling)
        self._optimizer, self._progress, self._loss = Optimizer(self.model, settings.training), Progress(), 0.0
        self._endless = (self.batches.batch(epoch, index) for epoch in itertools.count() for index in range(len(self)))

    def __len__(self) -> int:
        return self.batches.per_epoch

    def epoch(self, record: EpochRecord) -> None:
        self._loss = record.loss

    def train(self, batches: Batches) -> float:
        task = Task(
            phase="train",
            stage="train",
            model=self.model,
            optimizer=self._optimizer,
            batches=batches,
            hooks=Hooks(),
            settings=self.settings.training,
            epochs=self._progress.epochs + 1,
            horizon=HORIZON,
            evaluate=None,
            save=lambda *_: None,
        )
        self._progress = train(task, self._progress, self)
        return self._loss

    def steps(self, count: int) -> str:
        begin = time.perf_counter()
        loss = self.train(Part(self._endless, count))
        return f"{time.perf_counter() - begin} {loss}"

    def check(self, folder: Path) -> str:
        model, histories = self.model, self.model.histories
        if self.settings.backbone_name == "multvae":
            # Its two sides draw z's noise from different distributions: here there is none.
            model.network_arrays()["encoder.bias"][model.options.latent :] = -40
        tables = {name: table.read_range(0, table.shape.rows) for name, table in model.tables.items()}
        np.savez(folder / "weights.npz", n_users=histories.n_users, **tables, **model.network_arrays())
        random = np.random.default_rng(0)
        users = random.choice(histories.n_users, CHECKED_PAIRS, replace=False).astype(np.int32)
        items = random.integers(histories.n_items, size=CHECKED_PAIRS, dtype=np.int32)
        np.savez(folder / "pairs.npz", users=users, items=items)
        np.save(folder / "scores.npy", self._scores(users, items))
        batch = next(self._endless)
        np.savez(folder / "batch.npz", **columns(batch))
        return json.dumps([self.train(Part(iter([batch]), 1)) for _ in range(CHECKED_STEPS)])

    def _scores(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        scorer: Any = self.model.scorer()
        queries = scorer.queries(users)
        if hasattr(scorer, "scores_of"):
            return np.asarray(scorer.scores_of(queries, items[:, None])[:, 0])
        return np.asarray(scorer.scores(queries, 0, scorer.n_items)[np.arange(len(users)), items])


def columns(batch: Triplets | Users) -> dict[str, np.ndarray]:
    """A batch as a table of pairs: with a negative each, with labels if there are several, or users alone."""
    if isinstance(batch, Users):
        return {"users": batch.users}
    if batch.negatives.ndim == 1:
        return {"users": batch.users, "items": batch.positives, "negatives": batch.negatives}
    times = 1 + batch.negatives.shape[1]
    labels = np.zeros((times, len(batch.users)), np.float32)
    labels[0] = 1
    items = np.concatenate([batch.positives, batch.negatives.T.reshape(-1)])
    return {"users": np.tile(batch.users, times), "items": items, "labels": labels.reshape(-1)}


def main(settings: dict[str, Any], threads: int) -> None:
    torch.set_num_threads(threads)
    side = Side(resolve(settings))
    answer(side, f"resprout {__version__}, torch {torch.__version__}", peak_bytes, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
