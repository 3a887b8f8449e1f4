"""A run folder: the interface to everything that comes after a training.

run.toml (all settings, resolved), environment.json, split.safetensors, metrics.jsonl, checkpoint/, model/,
users.safetensors (test metrics of single users, where all items are ranked), result.json.
.lock is there while it is trained, and may stay.
"""

import hashlib
import os
import platform
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from filelock import FileLock, Timeout

from resprout import __version__
from resprout.artifact.files import making_output, read_json, read_tensors, write_json, write_tensors, write_text
from resprout.errors import RunError
from resprout.evaluation.evaluate import UserMetrics
from resprout.kernels import select
from resprout.training.observers import records_in
from resprout.training.settings import Settings, resolve

_USER, _SETTINGS = "user", "run.toml"
# what readers of result.json need, and below what of its sections
_RESULT: dict[str, type] = {
    **dict.fromkeys(("dataset", "backbone", "method"), str),
    **{"seed": int, "refit": bool},
    **dict.fromkeys(("epochs", "budget", "validation", "test", "cost"), dict),
}
_IN_RESULT = {
    "epochs": ("trained", "chosen"),
    "budget": ("limit", "slots", "dense_weights", "deployed_bytes", "dense_bytes"),
    "cost": (
        *("stages", "train_seconds", "peak_table_bytes"),
        *("macs_nominal_training", "macs_executed_training", "macs_executed_inference"),
    ),
}
_LIBRARIES = ("numpy", "numba", "torch", "pyarrow", "safetensors", "pydantic")


class RunFolder:
    """The paths of a run, and what is written to them once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings_file = path / "run.toml"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint"
        self.model = path / "model"
        self.users = path / "users.safetensors"
        self.result = path / "result.json"

    def claim(self, settings: Settings) -> None:
        """Makes the folder and writes the settings; RunError if it holds anything or cannot be written to."""
        with making_output(self.path):
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                held = "another run" if self.settings_file.exists() else "other files"
                raise RunError(
                    f"output folder {self.path} holds {held}: name a new folder with --out"
                    + (", or go on with it by --resume" if held == "another run" else "")
                )
            self.path.mkdir(parents=True, exist_ok=True)
            text = tomli_w.dumps(settings.sections)
            write_json(self.environment, environment(settings) | {_SETTINGS: _digest(text)})
            write_text(self.settings_file, text)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from training here meanwhile, until the process ends at the latest; RunError if one does."""
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(f"run {self.path} is being trained by another process: wait for it, or stop it") from error
        except OSError as error:
            raise RunError(f"run folder {self.path} cannot be written to: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()

    def settings(self) -> Settings:
        """The settings that the run was started with; RunError if this is no run folder."""
        try:
            return resolve(tomllib.loads(self.settings_file.read_text("utf-8")))
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run folder: it has no run.toml") from None
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{self.settings_file} cannot be read: {error}") from error

    def check_settings(self) -> None:
        """RunError if the settings are not those that the run was started with."""
        begun = read_json(self.environment).get(_SETTINGS)  # older runs do not say
        if begun is not None and begun != _digest(self.settings_file.read_text("utf-8")):
            raise RunError(
                f"{self.settings_file} was changed since the run began: change it back, or begin anew with "
                f"`resprout train --config {self.settings_file} --no-recipe --out` and a new folder"
            )

    def records(self) -> list[dict[str, Any]]:
        """What was written down of each epoch, in order, nothing if that is gone; RunError if a line is broken."""
        return records_in(self.metrics) if self.metrics.exists() else []

    def write_users(self, metrics: UserMetrics) -> None:
        """Writes the test metrics of single users, rounded to float32."""
        values = {name: values.astype(np.float32) for name, values in metrics.values.items()}
        write_tensors(self.users, {_USER: metrics.users, **values}, {})

    def read_users(self) -> UserMetrics:
        """The test metrics of single users; RunError if the run has none."""
        arrays, _ = read_tensors(self.users)
        return UserMetrics(arrays.pop(_USER), {name: values.astype(np.float64) for name, values in arrays.items()})

    def deployed(self) -> Path:
        """The folder of its model; RunError if the run has not ended, or has been kept without it."""
        self.read_result()
        if not self.checkpoint.exists() and not self.model.exists():
            raise RunError(
                f"run {self.path} was kept without its model: train it again with `resprout train --config "
                f"{self.settings_file} --no-recipe --out` and a new folder"
            )
        return self.model

    def read_result(self) -> dict[str, Any]:
        """The content of result.json; RunError if the run has not ended, or the file is broken."""
        if not self.settings_file.exists():
            raise RunError(f"{self.path} is not a run folder: it has no run.toml")
        if not self.result.exists():
            raise RunError(f"run {self.path} has not ended: go on with `resprout train --resume {self.path}`")
        again = f"delete it, and `resprout train --resume {self.path}` writes it again"
        try:
            content: dict[str, Any] = read_json(self.result)
        except RunError as error:
            raise RunError(f"{error}; {again}") from error
        if faults := _faults(content):
            raise RunError(f"{self.result} is broken, it has no valid {', '.join(faults)}; {again}")
        return content


def _faults(content: Any) -> list[str]:
    """The keys that are missing in the content of a result.json, or have something else than they should."""
    content = content if isinstance(content, dict) else {}
    faults = [key for key, kind in _RESULT.items() if not isinstance(content.get(key), kind)]
    for section, keys in _IN_RESULT.items():
        faults += [f"{section}.{key}" for key in keys if section not in faults and key not in content[section]]
    return faults


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def environment(settings: Settings) -> dict[str, Any]:
    """What the numbers of a run depend on besides its settings."""
    choice = select.choose(settings.training.backend)
    return {
        "resprout": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "backend": choice.name,
        "backend_reason": choice.reason,
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
