"""Recommenders whose embedding tables never leave a fixed memory budget."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resprout.api import Run, resume, train
    from resprout.budget import Budget
    from resprout.data import load as load_data
    from resprout.errors import DataError, ResproutError, SettingsError
    from resprout.serving.recommender import Recommender
    from resprout.training.settings import resolve as resolve_settings

__version__ = "0.1.0"

# Numba and PyTorch each bring an OpenMP pool whose idle threads spin for milliseconds and take the cores from one
# another, and from everybody else: with another process on the machine a step took 20 times as long. GNU OpenMP reads
# this when it is loaded, so it stands here, before either. docs/decisions/0004-threads.md has the figures.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "train",
    "resume",
    "Run",
    "Recommender",
    "Budget",
    "load_data",
    "resolve_settings",
    "ResproutError",
    "DataError",
    "SettingsError",
]

# Read from their modules at first use: `import resprout` loads neither PyTorch nor Numba.
_HOMES = {
    "train": ("resprout.api", "train"),
    "resume": ("resprout.api", "resume"),
    "Run": ("resprout.api", "Run"),
    "Recommender": ("resprout.serving.recommender", "Recommender"),
    "Budget": ("resprout.budget", "Budget"),
    "load_data": ("resprout.data", "load"),
    "resolve_settings": ("resprout.training.settings", "resolve"),
    "ResproutError": ("resprout.errors", "ResproutError"),
    "DataError": ("resprout.errors", "DataError"),
    "SettingsError": ("resprout.errors", "SettingsError"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resprout' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
