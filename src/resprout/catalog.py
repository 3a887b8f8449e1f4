"""Finds backbones and methods by file name, without importing them."""

import difflib
import importlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from resprout.errors import SettingsError

if TYPE_CHECKING:
    from resprout.backbones.backbone import Backbone
    from resprout.methods.method import Method

_HERE = Path(__file__).parent
_SHARED = {
    "backbones": {"__init__", "backbone", "losses", "scorers", "noise", "autoencoder", "two_tables"},
    "methods": {"__init__", "method", "packing", "sizes", "topology"},
}


def backbone_names() -> list[str]:
    """Names of all backbones, in alphabetical order."""
    return list(_names("backbones"))


def method_names() -> list[str]:
    """Names of all methods, in alphabetical order."""
    return list(_names("methods"))


def load_backbone(name: str) -> "type[Backbone]":
    """The backbone called `name`; SettingsError with the valid names if there is none."""
    from resprout.backbones.backbone import Backbone

    return cast("type[Backbone]", _only_subclass(_module("backbones", "backbone.name", name), Backbone))


def load_method(name: str) -> "type[Method]":
    """The method called `name`; SettingsError with the valid names if there is none."""
    from resprout.methods.method import Method

    return cast("type[Method]", _only_subclass(_module("methods", "method.name", name), Method))


def unknown(key: str, value: str, valid: Iterable[str], elsewhere: Sequence[str] = ()) -> SettingsError:
    """The error for a value that is not one of `valid`; it names the closest, or what has that name elsewhere."""
    valid = sorted(valid)
    close = difflib.get_close_matches(value, valid, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else f" (there is {', '.join(elsewhere)})" if elsewhere else ""
    return SettingsError(f"{key}: unknown {value!r}{hint}; valid are: {', '.join(valid) or 'none'}")


@cache
def _names(folder: str) -> tuple[str, ...]:
    """Looked for once: a study asks for each of its runs."""
    return tuple(sorted(path.stem for path in (_HERE / folder).glob("*.py") if path.stem not in _SHARED[folder]))


def _module(folder: str, key: str, name: str) -> ModuleType:
    if name not in _names(folder):
        raise unknown(key, name, _names(folder))
    return importlib.import_module(f"resprout.{folder}.{name}")


def _only_subclass(module: ModuleType, base: type) -> type:
    (found,) = (
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, base) and member.__module__ == module.__name__
    )
    return found
