"""Which kernel backend runs, and why: the user's word, else the fastest one that this machine can run."""

import importlib
import os
from functools import cache
from typing import NamedTuple, cast

from resprout.errors import SettingsError
from resprout.kernels.contract import Backend

VARIABLE = "RESPROUT_BACKEND"
NAMES = ("cpu_numba", "reference")


class Choice(NamedTuple):
    """A backend, its name, and the reason why it was taken."""

    name: str
    reason: str
    backend: Backend


def choose(name: str | None = None) -> Choice:
    """The backend called `name`, or by the environment variable RESPROUT_BACKEND, or else the default.

    Raises SettingsError for a name that is not one of `NAMES`; what was asked for by name never falls back.
    """
    if name:
        return _load(name, "named in the call")
    if asked := os.environ.get(VARIABLE):
        return _load(asked, f"named by the environment variable {VARIABLE}")
    return _load(NAMES[0], "the fastest backend for CPUs")


@cache
def _load(name: str, reason: str) -> Choice:
    if name not in NAMES:
        raise SettingsError(f"unknown kernel backend {name!r} ({reason}); valid are: {', '.join(NAMES)}")
    return Choice(name, reason, cast(Backend, importlib.import_module(f"resprout.kernels.{name}")))
