"""Settings chosen on validation data for a backbone on a known data set: `recipes/DATA/BACKBONE.toml`.

A recipe has sections like any settings file, and `[methods.METHOD.SECTION]` for what a method needs otherwise: settings
made for a dense table starve a sparse one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resprout.training.settings import chosen_names, merged, read_toml

FOLDER = Path(__file__).parent.parent / "recipes"


def with_recipe(values: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The values over those of the recipe for their data set, backbone and method, and its name; or as they are."""
    names = chosen_names(values)
    data = values.get("data", {})
    source = data.get("source", "") if isinstance(data, Mapping) else ""
    name = f"{source}/{names['backbone']}"
    if not isinstance(source, str) or name not in recipe_names():
        return dict(values), None
    content = read_toml(FOLDER / f"{name}.toml")
    methods = content.pop("methods", {})
    return merged(content, methods.get(names["method"], {}), values), name


def recipe_names() -> list[str]:
    """Names of all recipes, like "gowalla/lightgcn"."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.toml"))
