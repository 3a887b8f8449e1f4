"""Where a training stands, on disk after every epoch, but for short ones of a large model: one file, replaced in one
piece.

`checkpoint/last.safetensors` has tables and network with their moments and, as metadata, what is done, progress and the
method's state; `checkpoint/PHASE.STAGE.safetensors` the deployed parts of a stage's best epoch so far, and of what it
ended with once it is done. Both are written after a best epoch, that one first: a kill between the two costs the epochs
since the last checkpoint, which are then trained again and write the same file.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resprout.artifact.files import Arrays, read_tensors, write_tensors
from resprout.backbones.backbone import Backbone, load_weights, weights_of
from resprout.errors import RunError
from resprout.methods.method import Hooks, Stage
from resprout.tables.table import Table
from resprout.training.cost import Spent, spent_from
from resprout.training.loop import Progress
from resprout.training.optimizer import Optimizer

FORMAT = "resprout-checkpoint-5"
# no table's name has a slash
_NETWORK, _METHOD, _MOMENTS = "network/", "method/", "moments/"
# of the time, at most; but 0.1 s are always there
_SHARE, _CHEAP = 1 / 20, 0.1


@dataclass(frozen=True)
class Part:
    """One stage of the method in one phase of the run, see `Prepared.learnt`."""

    phase: str
    stage: Stage


@dataclass(frozen=True)
class Done:
    """A part that is over, and what it took."""

    part: Part
    spent: Spent


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands: the parts that are done, and progress and hooks of the one after them."""

    done: tuple[Done, ...] = ()
    progress: Progress = field(default_factory=Progress)
    hooks: Mapping[str, int] = field(default_factory=dict)


class Checkpoints:
    """The checkpoint folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._last = folder, folder / "last.safetensors"
        self._cost = self._written_at = 0.0

    def is_due(self) -> bool:
        """Whether so much was trained since the last one that another takes a twentieth of the time at most.

        Several hundred megabytes take longer to write than some epochs take to train, a tenth of the time. A kill costs
        the epochs since the last one, which are trained again to the same bits.
        """
        return self._cost <= max(_CHEAP, _SHARE * (time.perf_counter() - self._written_at))

    def save(self, about: Checkpoint, model: Backbone, optimizer: Optimizer, hooks: Hooks) -> None:
        """Writes the state after an epoch."""
        begun = time.perf_counter()
        tables, network = _arrays(model.tables, training=True), _prefixed(_NETWORK, model.network_arrays())
        moments, own = _prefixed(_MOMENTS, optimizer.arrays()), _prefixed(_METHOD, weights_of(hooks.network))
        self._write_last(about, tables | network | own | moments)
        self._written_at = time.perf_counter()
        self._cost = self._written_at - begun

    def begin_next(self, about: Checkpoint) -> None:
        """Writes that a part is done, and nothing of the next begun."""
        self._write_last(about, {})

    def save_model(self, part: Part, model: Backbone) -> None:
        """Writes what a part has come to: its best epoch so far, or its end."""
        arrays = _arrays(model.tables, training=False) | _prefixed(_NETWORK, model.network_arrays())
        write_tensors(self.model_file(part), arrays, {"format": FORMAT})

    def model_file(self, part: Part) -> Path:
        """Where `save_model` writes what the part has come to."""
        return self._folder / f"{part.phase}.{part.stage.name}.safetensors"

    def load(self) -> Checkpoint:
        """Where the run stands; at its beginning if nothing is written yet."""
        if not self._last.exists():
            return Checkpoint()
        _, about = read_tensors(self._last)
        if about.get("format") != FORMAT:
            raise RunError(f"{self._last}: format {about.get('format')!r}, expected {FORMAT!r}; train again elsewhere")
        state = json.loads(about["state"])
        return Checkpoint(tuple(map(_done, state["done"])), Progress(**state["progress"]), state["hooks"])

    def restore(self, checkpoint: Checkpoint, model: Backbone, optimizer: Optimizer, hooks: Hooks) -> None:
        """Puts model, optimizer and hooks where the checkpoint left them."""
        arrays = _load(self._last, model)
        optimizer.load_arrays(_part_of(_MOMENTS, arrays))
        load_weights(hooks.network, _part_of(_METHOD, arrays))
        hooks.load_state(checkpoint.hooks)

    def load_model(self, part: Part, model: Backbone) -> None:
        """Puts the model where `save_model` left it."""
        _load(self.model_file(part), model)

    def load_tables(self, part: Part, tables: Mapping[str, Table]) -> None:
        """Puts tables where `save_model` left them."""
        _load_tables(read_tensors(self.model_file(part))[0], tables)

    def load_network(self, part: Part, model: Backbone) -> None:
        """Puts all but the tables where `save_model` left it."""
        model.load_network(_part_of(_NETWORK, read_tensors(self.model_file(part))[0]))

    def keep_only(self, parts: Sequence[Part]) -> None:
        """Deletes the models of all parts but these."""
        kept = {self._last, *map(self.model_file, parts)}
        for path in self._folder.glob("*.safetensors"):
            if path not in kept:
                path.unlink()

    def _write_last(self, about: Checkpoint, arrays: Arrays) -> None:
        write_tensors(self._last, arrays, {"format": FORMAT, "state": json.dumps(asdict(about))})


def _arrays(tables: Mapping[str, Table], training: bool) -> Arrays:
    return {f"{name}.{kind}": array for name, table in tables.items() for kind, array in table.arrays(training).items()}


def _load(path: Path, model: Backbone) -> Arrays:
    arrays, _ = read_tensors(path)
    _load_tables(arrays, model.tables)
    model.load_network(_part_of(_NETWORK, arrays))
    return arrays


def _load_tables(arrays: Arrays, tables: Mapping[str, Table]) -> None:
    for name, table in tables.items():
        table.load_arrays(_part_of(f"{name}.", arrays))


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _part_of(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _done(values: Mapping[str, Any]) -> Done:
    phase, stage = values["part"]["phase"], values["part"]["stage"]
    part = Part(phase, Stage(**{**stage, "widths": tuple(stage["widths"]), "slots": tuple(stage["slots"])}))
    return Done(part, spent_from(values["spent"]))
