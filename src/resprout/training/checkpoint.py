"""Where a training stands, on disk after every epoch: one file, replaced in one piece.

`checkpoint/last.safetensors` has tables and network with their moments and, as metadata, progress and the method's
state; `checkpoint/best.safetensors` the deployed parts of the best epoch so far. The best one is written first: a kill
between the two costs one epoch, which is then trained again and writes the same file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resprout.artifact.files import Arrays, read_tensors, write_tensors
from resprout.backbones.backbone import Backbone
from resprout.errors import RunError
from resprout.methods.method import Hooks, Stage
from resprout.tables.table import Table
from resprout.training.loop import Progress
from resprout.training.optimizer import Optimizer

FORMAT = "resprout-checkpoint-1"
# no table's name has a slash
_NETWORK, _MOMENTS = "network/", "moments/"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands. finished: stages that are done; phase: "train" or "refit" of the stage after them."""

    finished: tuple[Stage, ...]
    phase: str
    progress: Progress
    hooks: dict[str, int]
    chosen: Progress | None
    """How the phase "train" ended, once "refit" has begun."""


class Checkpoints:
    """The checkpoint folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.last, self.best = folder / "last.safetensors", folder / "best.safetensors"

    def save(self, about: Checkpoint, model: Backbone, optimizer: Optimizer, is_best: bool) -> None:
        """Writes the state after an epoch."""
        network = _prefixed(_NETWORK, model.network_arrays())
        if is_best:
            write_tensors(self.best, _arrays(model.tables, training=False) | network, {"format": FORMAT})
        state = {"format": FORMAT, "state": json.dumps(asdict(about))}
        moments = _prefixed(_MOMENTS, optimizer.arrays())
        write_tensors(self.last, _arrays(model.tables, training=True) | network | moments, state)

    def load(self) -> Checkpoint | None:
        """Where the run stands; None if it has no checkpoint yet."""
        if not self.last.exists():
            return None
        _, about = read_tensors(self.last)
        if about.get("format") != FORMAT:
            raise RunError(f"{self.last}: format {about.get('format')!r}, expected {FORMAT!r}; train again elsewhere")
        state = json.loads(about["state"])
        return Checkpoint(
            finished=tuple(_stage(stage) for stage in state["finished"]),
            phase=state["phase"],
            progress=Progress(**state["progress"]),
            hooks=state["hooks"],
            chosen=None if state["chosen"] is None else Progress(**state["chosen"]),
        )

    def restore(self, checkpoint: Checkpoint, model: Backbone, optimizer: Optimizer, hooks: Hooks) -> None:
        """Puts model, optimizer and hooks where the checkpoint left them."""
        arrays = _load(self.last, model)
        optimizer.load_arrays(_part(_MOMENTS, arrays))
        hooks.load_state(checkpoint.hooks)

    def restore_best(self, model: Backbone) -> None:
        """Puts the model where it was after the best epoch."""
        _load(self.best, model)


def _arrays(tables: Mapping[str, Table], training: bool) -> Arrays:
    return {f"{name}.{kind}": array for name, table in tables.items() for kind, array in table.arrays(training).items()}


def _load(path: Path, model: Backbone) -> Arrays:
    arrays, _ = read_tensors(path)
    for name, table in model.tables.items():
        table.load_arrays(_part(f"{name}.", arrays))
    model.load_network(_part(_NETWORK, arrays))
    return arrays


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _part(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _stage(values: dict[str, Any]) -> Stage:
    return Stage(**{**values, "widths": tuple(values["widths"]), "slots": tuple(values["slots"])})
