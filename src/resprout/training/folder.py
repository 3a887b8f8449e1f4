"""A run folder: the interface to everything that comes after a training.

run.toml (all settings, resolved), environment.json, split.safetensors, metrics.jsonl, checkpoint/, model/,
users.safetensors (test metrics of single users, where all items are ranked), result.json.
.lock is there while it is trained, and may stay.
"""

import json
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
from resprout.artifact.files import read_tensors, write_json, write_tensors, write_text
from resprout.errors import RunError
from resprout.evaluation.evaluate import UserMetrics
from resprout.kernels import select
from resprout.training.settings import Settings, resolve

_USER = "user"
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
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                held = "another run" if self.settings_file.exists() else "other files"
                raise RunError(
                    f"output folder {self.path} holds {held}: name a new folder with --out"
                    + (", or go on with it by --resume" if held == "another run" else "")
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.environment, environment(settings))
            write_text(self.settings_file, tomli_w.dumps(settings.sections))
        except OSError as error:
            raise RunError(
                f"output folder {self.path} cannot be written to: {error.strerror or error}; name another with --out"
            ) from error

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

    def records(self) -> list[dict[str, Any]]:
        """What was written down of each epoch, in order."""
        return [json.loads(line) for line in self.metrics.read_text("utf-8").splitlines()]

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
        """The content of result.json; RunError if the run has not ended."""
        if not self.settings_file.exists():
            raise RunError(f"{self.path} is not a run folder: it has no run.toml")
        if not self.result.exists():
            raise RunError(f"run {self.path} has not ended: go on with `resprout train --resume {self.path}`")
        content: dict[str, Any] = json.loads(self.result.read_text("utf-8"))
        return content


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
