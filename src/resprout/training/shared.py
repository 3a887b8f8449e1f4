"""Stages that several runs have in common, trained once: their models in a folder, by all that they depend on."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resprout import __version__
from resprout.artifact.files import read_json, write_json, writing
from resprout.methods.method import Hooks, Method, Stage
from resprout.training.checkpoint import FORMAT
from resprout.training.cost import Spent, spent_from
from resprout.training.prepare import Prepared
from resprout.training.settings import Settings

# what a stage is called, and what is made of it, do not change it
_NAMES = ("name", "deployed", "mask_from", "values_from")


@dataclass(frozen=True)
class SharedStages:
    """A folder that runs put trained stages into, and take them from."""

    folder: Path

    def take(self, key: str, model: Path) -> tuple[Spent, list[dict[str, Any]]] | None:
        """What the stage of that key took and its records by epoch, once its model lies at `model`; or none."""
        if not self._about(key).exists():
            return None
        about = read_json(self._about(key))
        with writing(model):
            model.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._model(key), model)
        return replace(spent_from(about["spent"]), taken_over=True), about["records"]

    def give(self, key: str, model: Path, spent: Spent, records: Sequence[Mapping[str, Any]]) -> None:
        """Keeps a stage for others, unless it is there already."""
        if self._about(key).exists():
            return
        with writing(self._model(key)):
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self._model(key).with_suffix(f".{os.getpid()}.part")
            shutil.copyfile(model, part)
            part.replace(self._model(key))
        write_json(self._about(key), {"spent": asdict(spent), "records": list(records)})

    def _model(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _about(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def stage_key(
    settings: Settings,
    method: Method,
    data: str,
    stage: Stage,
    earlier: Mapping[str, str],
    chosen_by: tuple[str, str] | None,
) -> str:
    """Equal for stages that come to the same bits.

    settings: those of the stage; data: `digest` of the run's; earlier: keys of the stages before it in its phase, by
    name; chosen_by: where all is trained once more, the phase, and the key of the same stage in training, which has
    chosen its epochs.
    """
    own = type(method.hooks(stage)) is not Hooks
    described = {
        "version": [__version__, FORMAT],
        "data": data,
        "backbone": [settings.backbone_name, settings.backbone.model_dump()],
        "training": settings.training.model_dump(exclude={"refit", "final"}),
        "evaluation": settings.evaluation.model_dump(exclude={"test"}),
        "stage": {key: value for key, value in asdict(stage).items() if key not in _NAMES},
        "sources": [earlier.get(name or "") for name in (stage.mask_from, stage.values_from)],
        "chosen_by": chosen_by,
        # a method that does more than the loop may read all that came before
        "method": [settings.method_name, method.options.model_dump(), dict(earlier)] if own else None,
    }
    return hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=16).hexdigest()


def digest(prepared: Prepared) -> str:
    """Equal for the same interactions in the same parts."""
    found = hashlib.blake2b(digest_size=16)
    split = prepared.split
    for array in (split.assignment, split.interactions.users, split.interactions.items):
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()
