"""Settings chosen on validation data for a backbone on a known data set: `recipes/DATA/BACKBONE.toml`.

They are for the loss that the backbone has by default, its paper's; those for another are in `BACKBONE-LOSS.toml`. A
recipe has sections like any settings file, and `[methods.METHOD.SECTION]` for what a method needs otherwise: settings
made for a dense table starve a sparse one. Methods that train both have `[methods.METHOD.stages.packed.SECTION]`.
For other data, or in place of a bundled one, a file of this form can be given.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from resprout import catalog
from resprout.training.settings import SECTIONS, chosen_names, given, left_open, merged, read_toml, sections_of

FOLDER = Path(__file__).parent.parent / "recipes"


def with_recipe(values: Mapping[str, Any], file: Path | None = None) -> tuple[dict[str, Any], str | None]:
    """The values over those of the recipe for their data set, backbone, loss and method, and its name; or as given.

    file: a recipe that stands for all data sets and backbones. SettingsError where it is malformed.
    """
    if file is not None:
        return _over(read_recipe(file), values), str(file)
    known = recipe_names()
    source, loss = given(values, "data", "source"), given(values, "backbone", "loss")
    name = f"{source}/{chosen_names(values)['backbone']}"
    if f"{name}-{loss}" in known:
        name = f"{name}-{loss}"
    if name not in known:
        return dict(values), None
    return _over(_bundled(FOLDER / f"{name}.toml"), values), name


def read_recipe(file: Path) -> dict[str, Any]:
    """The content of a recipe; SettingsError that names the file for sections and methods that there are not."""
    content = read_toml(file)
    methods = sections_of(f"recipe {file}", content, (*SECTIONS, "methods")).get("methods", {})
    for name, own in sections_of(f"recipe {file}: methods", methods, catalog.method_names()).items():
        of_stages = sections_of(f"recipe {file}: methods.{name}", own, SECTIONS).get("stages", {})
        for stage, its in sections_of(f"recipe {file}: methods.{name}.stages", of_stages).items():
            sections_of(f"recipe {file}: methods.{name}.stages.{stage}", its)
    return content


@cache
def _bundled(file: Path) -> Mapping[str, Any]:
    """Read once: a study has hundreds of runs with the same recipe."""
    return read_recipe(file)


def _over(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values over those that a recipe has for their method, and these over those it has for all."""
    common = {key: content for key, content in recipe.items() if key != "methods"}
    method = chosen_names(merged(common, values))["method"]
    own = recipe.get("methods", {}).get(method, {})
    stages = {name: left_open(content, values) for name, content in own.get("stages", {}).items()}
    return merged(common, {**own, "stages": stages}, values)


def recipe_names() -> list[str]:
    """Names of all recipes, like "gowalla/lightgcn" and, for another loss, "ml-1m/mf-softmax"."""
    return list(_names(FOLDER))


@cache
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(f"{path.parent.name}/{path.stem}" for path in folder.glob("*/*.toml")))
