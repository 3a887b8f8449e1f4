"""Settings chosen on validation data for a backbone on a known data set: `recipes/DATA/BACKBONE.toml`.

They are for the loss that the backbone has by default, its paper's; those for another are in `BACKBONE-LOSS.toml`. A
recipe has sections like any settings file, and `[methods.METHOD.SECTION]` for what a method needs otherwise: settings
made for a dense table starve a sparse one. Methods that train both have `[methods.METHOD.stages.packed.SECTION]`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resprout.training.settings import chosen_names, given, merged, read_toml

FOLDER = Path(__file__).parent.parent / "recipes"


def with_recipe(values: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The values over those of the recipe for their data set, backbone, loss and method, and its name; or as given."""
    names, known = chosen_names(values), recipe_names()
    source, loss = given(values, "data", "source"), given(values, "backbone", "loss")
    name = f"{source}/{names['backbone']}"
    if f"{name}-{loss}" in known:
        name = f"{name}-{loss}"
    if name not in known:
        return dict(values), None
    content = read_toml(FOLDER / f"{name}.toml")
    own = content.pop("methods", {}).get(names["method"], {})
    return merged(content, {**own, "stages": _left_open(own.get("stages", {}), values)}, values), name


def _left_open(stages: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe has for stages, without keys that are given for all of them: those who give them mean it."""
    return {
        name: {
            section: {key: value for key, value in content.items() if key not in values.get(section, {})}
            for section, content in sections.items()
        }
        for name, sections in stages.items()
    }


def recipe_names() -> list[str]:
    """Names of all recipes, like "gowalla/lightgcn" and, for another loss, "ml-1m/mf-softmax"."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.toml"))
