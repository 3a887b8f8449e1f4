"""Study files: what runs they are, and what is refused."""

import pytest

from resprout.errors import SettingsError
from resprout.study.planned import part_of
from resprout.study.spec import read_study

METHODS = """
[[grid]]
set = { "budget.limit" = "50%" }
axes = { "method.name" = ["random", "narrow"], "training.seed" = [0, 1] }
[[grid]]
axes = { "training.seed" = [0, 1, 2] }
[[grid]]
set = { "training.seed" = 1 }
"""


def test_a_grid_is_every_combination_and_no_run_is_there_twice(study_file):
    study = read_study(study_file(METHODS))
    found = [(run.settings.method_name, str(run.settings.budget), run.settings.training.seed) for run in study.runs]
    halves = [(name, "50%", seed) for name in ("random", "narrow") for seed in (0, 1)]
    assert found == halves + [("dense", "None", seed) for seed in (0, 1, 2)]
    assert study.name == "small"
    assert len({run.key for run in study.runs}) == 7
    assert study.runs[0].label == "checkerboard.csv, mf, random, 50%, seed 0"


PARTS = """
[[grid]]
set = { "backbone.width" = 8 }
axes = { "training.seed" = [0, 1] }
tried = { "training.learning_rate" = [0.1, 0.2] }
parts = [
  {},
  { "method.name" = ["random", "narrow"], "budget.limit" = ["50%"] },
  { "method.name" = ["dsl"], "budget.limit" = ["50%"], "training.seed" = [3] },
]
"""


def test_parts_of_a_grid_are_products_with_its_common_axes(study_file):
    study = read_study(study_file(PARTS))
    found = [
        (choice.trials[0].settings.method_name, [run.setting("training.seed") for run in runs])
        for choice in study.choices
        for runs in list(choice.chosen.values())[:1]
    ]
    assert found == [("dense", [0, 1]), ("random", [0, 1]), ("narrow", [0, 1]), ("dsl", [3])]
    assert [[run.setting("training.learning_rate") for run in choice.trials] for choice in study.choices] == [
        [0.1, 0.2]
    ] * 4
    assert {run.setting("backbone.width") for run in study.possible} == {8}


def test_a_quick_form_holds_for_parts(study_file):
    grids = PARTS + '[quick]\naxes = { "budget.limit" = ["25%"], "training.seed" = [7] }\n'
    study = read_study(study_file(grids), quick=True)
    assert {str(run.settings.budget) for run in study.possible} == {"None", "25%"}
    assert {run.setting("training.seed") for run in study.possible} == {7}


def test_keys_depend_on_what_settings_come_to_alone(study_file):
    written = read_study(study_file('[[grid]]\nset = { "training.epochs" = 3, "training.patience" = 20 }'))
    assert written.runs[0].key == read_study(study_file("[[grid]]")).runs[0].key
    other = read_study(study_file('[[grid]]\nset = { "training.patience" = 11 }'))
    assert written.runs[0].key != other.runs[0].key


def test_the_quick_form_has_other_axes_and_another_name(study_file):
    file = study_file(METHODS + '[quick]\nbase.training.epochs = 1\naxes = { "training.seed" = [5] }')
    study = read_study(file, quick=True)
    assert study.name == "small-quick"
    assert [run.settings.training.seed for run in study.runs] == [5, 5, 5, 1]
    assert {run.settings.training.epochs for run in study.runs} == {1}


def test_recipes_hold_and_settings_of_stages_can_be_axes(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("""
[base]
data.source = "ml-1m"
backbone.name = "lightgcn"
method.name = "one_shot"
budget.limit = "10%"
[[grid]]
axes = { "stages.packed.training.learning_rate" = [0.02, 0.3] }
""")
    one, other = read_study(path).runs
    assert one.settings.training.epochs == 40
    assert [run.settings.at("train", "packed").training.learning_rate for run in (one, other)] == [0.02, 0.3]


def test_a_recipe_of_ones_own_holds_and_a_grid_can_have_another(study_file, tmp_path):
    (tmp_path / "few.toml").write_text("training.patience = 2\n[methods.narrow.training]\npatience = 3\n")
    (tmp_path / "many.toml").write_text("training.patience = 9\n")
    grids = """
[[grid]]
axes = { "method.name" = ["random", "narrow"], "budget.limit" = ["50%"] }
tried = { "training.learning_rate" = [0.1] }
[[grid]]
recipe = "many.toml"
"""
    file = study_file(grids, 'recipe = "few.toml"')
    assert [run.settings.training.patience for run in read_study(file).runs] == [2, 3, 9]
    (tmp_path / "few.toml").write_text("[methods.narow.training]\npatience = 3\n")
    with pytest.raises(SettingsError, match=r"grid 1: recipe .*few.toml: methods: unknown 'narow' \(did you mean"):
        read_study(file)


TRIED = """
[[grid]]
set = { "budget.limit" = "50%" }
axes = { "method.name" = ["random", "narrow"], "training.seed" = [4, 5] }
tried = { "training.learning_rate" = [0.1, 0.2], "backbone.l2" = [0, 1e-3] }
"""


def test_what_is_tried_is_tried_with_the_first_seed_and_without_test_data(study_file):
    study = read_study(study_file(TRIED))
    assert len(study.runs) == 8
    assert {run.setting("training.seed") for run in study.runs} == {4}
    assert not any(run.settings.evaluation.test for run in study.runs)
    assert [[run.settings.method_name for run in choice.trials] for choice in study.choices] == [
        ["random"] * 4, ["narrow"] * 4
    ]  # fmt: skip
    trial = study.choices[1].trials[2]
    assert trial.label == "checkerboard.csv, mf, narrow, 50%, seed 4, learning_rate 0.2, l2 0, trial"
    assert (trial.setting("training.learning_rate"), trial.setting("backbone.l2")) == (0.2, 0)
    chosen = study.choices[1].chosen[trial.key]
    assert [run.setting("training.seed") for run in chosen] == [4, 5]
    expected = trial.settings.sections
    expected["evaluation"]["test"] = True
    assert chosen[0].settings.sections == expected
    assert study.tried == ["training.learning_rate", "backbone.l2"]


def test_part_of_what_is_tried(study_file):
    study = read_study(study_file(TRIED))
    part = part_of(study, ["method.name=narrow", "training.seed=5"])
    assert list(part.runs) == list(study.choices[1].trials)
    assert [run.setting("training.seed") for runs in part.choices[0].chosen.values() for run in runs] == [5] * 4
    one = part_of(study, ["training.learning_rate=0.2", "backbone.l2=0"])
    assert [run.settings.method_name for run in one.runs] == ["random", "narrow"]


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ("", "grid: field required"),
        (
            '[[grid]]\nsets = { "training.seed" = 1 }',
            r", grid 1: unknown 'sets' \(did you mean 'set'\?\); valid are: axes, parts, recipe, set, tried",
        ),
        (
            "[[grid]]\n[bases]",
            r": unknown 'bases' \(did you mean 'base'\?\); valid are: base, grid, name, quick, recipe",
        ),
        ("[[grid]]\n[quick]\nseeds = 1", r", quick: unknown 'seeds'; valid are: axes, base"),
        ('[[grid]]\naxes = { "training.seed" = 1 }', r": grid 1 axes training\.seed: input should be a valid list"),
        ("[grid]\nset = 3", r": grid: input should be a valid list"),
        (
            '[[grid]]\n[[grid]]\nset = { "training.sede" = 1 }',
            r"grid 2: training: unknown 'sede' \(did you mean",
        ),
        ('[[grid]]\nset = { "seed" = 1 }', r"grid 1: 'seed': expected section\.key=value"),
        ('[[grid]]\nset = { "method.name" = "dls" }', r"grid 1: method\.name: unknown 'dls'"),
        (
            '[[grid]]\nset = { "split.validation_share" = 0 }\ntried = { "training.learning_rate" = [1, 2] }',
            r"grid 1: trials are judged by validation data: split\.validation_share is 0",
        ),
        ('[[grid]]\ntried = { "training.rate" = [1] }', "grid 1: training: unknown 'rate'"),
        ("[[grid]]\nparts = []", r": grid 1 parts: list should have at least 1 item"),
        (
            '[[grid]]\nparts = [{}, { "training.seed" = 1 }]',
            r": grid 1 parts 2 training\.seed: input should be a valid list",
        ),
        (
            '[[grid]]\nparts = [{}, { "training.sede" = [1] }]',
            r"grid 1, part 2: training: unknown 'sede' \(did you mean",
        ),
    ],
)
def test_what_is_refused(study_file, grids, message):
    with pytest.raises(SettingsError, match=rf"small\.toml.*{message}"):
        read_study(study_file(grids))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.toml: No such file"):
        read_study(tmp_path / "nothing.toml")


def test_part_of_a_study(study_file):
    study = read_study(study_file('[[grid]]\naxes = { "training.seed" = [0, 1, 2], "backbone.width" = [8, 16] }\n'))
    part = part_of(study, ["training.seed=0", "training.seed=2", "backbone.width=16"])
    assert [(run.setting("training.seed"), run.setting("backbone.width")) for run in part.runs] == [(0, 16), (2, 16)]
    assert part_of(study, []).runs == study.runs


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["training.seed=3"], "--where training.seed=3: no run of the study has it; they have 0, 1"),
        (["training.sed=1"], "--where training.sed=1: no run of the study has it; they have no such key"),
        (["width"], "--where 'width': expected section.key=value"),
        (["training.seed=0", "backbone.width=16"], "no run of the study meets all of: training.seed=0, backbone"),
    ],
)
def test_a_part_that_is_not_there(study_file, conditions, message):
    grids = '[[grid]]\naxes = { "training.seed" = [0, 1] }\n'
    grids += '[[grid]]\nset = { "training.seed" = 1, "backbone.width" = 16 }\n'
    with pytest.raises(SettingsError, match=message):
        part_of(read_study(study_file(grids)), conditions)
