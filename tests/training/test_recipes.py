"""Recipes: every file resolves for every method, and what the caller gives wins."""

import pytest

from resprout import catalog
from resprout.data import KNOWN
from resprout.training.recipes import recipe_names, with_recipe
from resprout.training.settings import assignments, merged, resolve


@pytest.mark.parametrize("method", catalog.method_names())
@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_for_known_data_and_resolve(name, method):
    data, backbone = name.split("/")
    assert data in KNOWN
    given = assignments([f"data.source={data}", f"backbone.name={backbone}", "budget.limit=20%"])
    values, found = with_recipe(merged(given, {"method": {"name": method}}))
    assert found == name
    assert resolve(values).training != resolve(given).training


def test_methods_have_settings_of_their_own_and_the_caller_wins():
    given = assignments(["data.source=gowalla", "backbone.name=lightgcn"])
    dense = resolve(with_recipe(given)[0])
    assert (dense.training.epochs, dense.backbone.l2, dense.backbone.start_scale) == (300, 3e-4, 0.3)
    more = merged(given, assignments(["method.name=dsl", "budget.limit=50%"]), {"training": {"epochs": 7}})
    dsl = resolve(with_recipe(more)[0])
    assert (dsl.training.epochs, dsl.backbone.l2, dsl.backbone.start_scale) == (7, 5e-4, 0.1)
    assert dsl.method.freeze_at == 0.8


@pytest.mark.parametrize(
    "given", [[], ["data.source=gowalla"], ["data.source=some/gowalla", "backbone.name=lightgcn"], ["data.source=demo"]]
)
def test_without_a_recipe_values_stay(given):
    values = assignments(given)
    assert with_recipe(values) == (values, None)
