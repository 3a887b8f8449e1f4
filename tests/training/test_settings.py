"""Settings that nobody gave, and sections that are none."""

import re

import pytest

from resprout.errors import SettingsError
from resprout.training.settings import assignments, resolve


def test_stages_of_a_backbone_have_defaults_of_their_own_where_nothing_is_given_for_all():
    def stages(*given):
        settings = resolve(assignments(["backbone.name=lightgcn", "budget.limit=10%", *given]))
        assert resolve(settings.sections) == settings
        return settings.stages, settings.at("items", "bits").backbone.l2, settings.backbone.l2

    users = {"users": {"backbone": {"l2": 3e-4}}}
    assert stages() == ({"items": {"backbone": {"l2": 1e-4}}, **users}, 1e-4, 1e-3)
    assert stages("backbone.l2=5e-4") == ({}, 5e-4, 5e-4)
    assert stages("stages.items.backbone.l2=2e-5") == ({"items": {"backbone": {"l2": 2e-5}}, **users}, 2e-5, 1e-3)
    assert stages("method.name=dsl") == ({}, 1e-3, 1e-3)


@pytest.mark.parametrize(("backbone", "rate"), [("mf", 5e-2), ("lightgcn", 5e-2), ("ultragcn", 2e-2), ("cdae", 1e-3)])
def test_a_backbone_has_defaults_of_its_own_for_training(backbone, rate):
    assert resolve({"backbone": {"name": backbone}}).training.learning_rate == rate
    assert resolve({"backbone": {"name": backbone}, "training": {"learning_rate": 0.3}}).training.learning_rate == 0.3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"training": 3}, "settings: training = 3: expected a section"),
        ({"stages": {"packed": 3}}, "stages: packed = 3: expected a section"),
        (
            {"method": {"name": "one_shot"}, "stages": {"packed": {"training": 3}}},
            "stages.packed: training = 3: expected a",
        ),
        ({"trianing": {}}, "settings: unknown 'trianing' (did you mean 'training'?)"),
    ],
)
def test_what_should_be_a_section_is_named(values, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        resolve(values)
