"""Recipes: every file resolves for every method, and what the caller gives wins."""

import re

import pytest

from resprout import catalog
from resprout.data import KNOWN
from resprout.errors import SettingsError
from resprout.methods.method import Allowance, all_stages
from resprout.training import recipes
from resprout.training.recipes import recipe_names, with_recipe
from resprout.training.settings import assignments, merged, resolve


@pytest.mark.parametrize("method", catalog.method_names())
@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_for_known_data_and_resolve(name, method):
    data, _, backbone = name.partition("/")
    backbone, _, loss = backbone.partition("-")
    assert data in KNOWN
    given = assignments([f"data.source={data}", f"backbone.name={backbone}", "budget.limit=20%"])
    given = merged(given, {"backbone": {"loss": loss} if loss else {}})
    values, found = with_recipe(merged(given, {"method": {"name": method}}))
    assert found == name
    settings = resolve(values)
    assert settings.training != resolve(given).training
    shapes = catalog.load_backbone(backbone).shapes(settings.backbone, 1000, 1000)
    its = catalog.load_method(method)(settings.method)
    stages = all_stages(its, Allowance(tuple(shapes), None if method == "dense" else settings.budget))
    known = {*its.stages_at_some_budgets, *(name for stage in stages for name in (stage.name, stage.storage))}
    assert settings.stages.keys() <= known


def test_methods_have_settings_of_their_own_and_the_caller_wins():
    given = assignments(["data.source=gowalla", "backbone.name=lightgcn"])
    dense = resolve(with_recipe(given)[0])
    assert (dense.training.epochs, dense.backbone.l2, dense.backbone.start_scale) == (300, 3e-4, 0.3)
    more = merged(given, assignments(["method.name=dsl", "budget.limit=50%"]), {"training": {"epochs": 7}})
    dsl = resolve(with_recipe(more)[0])
    assert (dsl.training.epochs, dsl.backbone.l2, dsl.backbone.start_scale) == (7, 5e-4, 0.1)
    assert dsl.method.freeze_at == 0.7


def test_another_loss_has_a_recipe_of_its_own_or_that_of_the_papers(monkeypatch, tmp_path):
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / "mf.toml").write_text("training.epochs = 30")
    (tmp_path / "ml-1m" / "mf-softmax.toml").write_text("training.epochs = 20")
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    epochs = {"bpr": 30, "softmax": 20, "cosine_contrastive": 30}
    for loss, expected in epochs.items():
        values, _ = with_recipe(assignments(["data.source=ml-1m", f"backbone.loss={loss}"]))
        assert (resolve(values).training.epochs, resolve(values).backbone.loss) == (expected, loss)


@pytest.mark.parametrize(("given", "method"), [
    ([], "dense"), (["budget.limit=20%"], "resprout"), (["budget.of=training"], "dense"),
    (["budget.limit=20%", "method.name=narrow"], "narrow"),
])  # fmt: skip
def test_within_a_budget_the_method_is_resprout_and_so_is_the_recipe(given, method):
    values, _ = with_recipe(assignments(["data.source=ml-1m", "backbone.name=lightgcn", *given]))
    settings = resolve(values)
    assert settings.method_name == method
    assert settings.training.learning_rate == {"dense": 0.02, "resprout": 0.05, "narrow": 0.03}[method]


def test_settings_of_stages_are_of_stages_that_there_are_and_the_caller_wins(monkeypatch, tmp_path):
    (tmp_path / "ml-1m").mkdir()
    recipe = '[methods.one_shot.stages.packed.training]\nlearning_rate = 0.05\ndecay = "linear"\n'
    (tmp_path / "ml-1m" / "mf.toml").write_text(recipe)
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    given = assignments(["data.source=ml-1m", "method.name=one_shot"])
    assert resolve(with_recipe(given)[0]).stages["packed"]["training"] == {"learning_rate": 0.05, "decay": "linear"}
    more = merged(given, assignments(["training.learning_rate=0.3"]))
    chosen = resolve(with_recipe(more)[0]).at("train", "packed").training
    assert (chosen.learning_rate, chosen.decay) == (0.3, "linear")


def test_a_recipe_of_ones_own_is_for_any_data_and_stands_in_place_of_a_bundled_one(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("training.epochs = 7\n[methods.dsl.training]\nlearning_rate = 0.3\n")
    for data in ("ratings.csv", "ml-1m"):
        given = assignments([f"data.source={data}", "method.name=dsl", "budget.limit=20%"])
        values, name = with_recipe(given, file)
        assert name == str(file)
        assert values == merged(given, {"training": {"epochs": 7, "learning_rate": 0.3}, "stages": {}})
        assert with_recipe(merged(given, {"training": {"epochs": 8}}), file)[0]["training"]["epochs"] == 8


@pytest.mark.parametrize(("content", "message"), [
    ("epochs = 3", "unknown 'epochs'; valid are: backbone, "),
    ("training = 3", "training = 3: expected a section of keys"),
    ("methods.dls.training.epochs = 3", "methods: unknown 'dls' (did you mean 'dsl'?)"),
    ("methods.dsl.epochs = 3", "methods.dsl: unknown 'epochs'"),
    ("methods.dsl = 3", "methods: dsl = 3: expected a section of keys"),
    ("methods.dsl.stages.packed = 3", "methods.dsl.stages: packed = 3: expected a section of keys"),
    ("methods.dsl.stages.packed.training = 3", "methods.dsl.stages.packed: training = 3: expected a section of keys"),
])  # fmt: skip
def test_a_malformed_recipe_is_refused_by_its_name(tmp_path, content, message):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=re.escape(f"recipe {file}: {message}")):
        with_recipe({}, file)


@pytest.mark.parametrize(
    "given", [[], ["data.source=gowalla"], ["data.source=some/gowalla", "backbone.name=lightgcn"], ["data.source=demo"]]
)
def test_without_a_recipe_values_stay(given):
    values = assignments(given)
    assert with_recipe(values) == (values, None)
