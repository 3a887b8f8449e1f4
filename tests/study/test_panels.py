"""Which runs stand side by side, on hand-made run folders."""

import pytest

from resprout.study.panels import panels_of
from resprout.study.results import groups_of, outcomes_of


@pytest.fixture
def outcomes(write_result, tmp_path):
    """Outcomes of runs (data, backbone, width, method, budget, learning rate), and more lines of their settings."""

    def make(*runs):
        folders = []
        for data, backbone, width, method, budget, rate, *more in runs:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            limit = f'[budget]\nlimit = "{budget}"\n' if budget else ""
            (folder / "run.toml").write_text(
                f'[data]\nsource = "{data}"\n[backbone]\nname = "{backbone}"\nwidth = {width}\n'
                f'[method]\nname = "{method}"\n{limit}[training]\nseed = 0\nlearning_rate = {rate}\n' + "\n".join(more)
            )
            write_result(folder, dataset=data, backbone=backbone, method=method, limit=budget)
            folders.append(folder)
        return outcomes_of(folders)

    return make


def told(panel):
    return panel.title, [panel.label(group) for group in panel.groups]


def test_runs_of_other_data_and_backbones_are_apart(outcomes):
    runs = [(data, name, 8, "dense", None, 0.1) for data in ("one", "two") for name in ("mf", "lightgcn")]
    panels = panels_of(outcomes(*runs, ("two", "mf", 8, "dsl", "20%", 0.2)))
    assert [told(panel) for panel in panels] == [
        ("one, mf", ["dense"]), ("one, lightgcn", ["dense"]), ("two, mf", ["dense", "dsl, 20%"]),
        ("two, lightgcn", ["dense"]),
    ]  # fmt: skip
    assert [panel.slug for panel in panels[:2]] == ["one-mf", "one-lightgcn"]


def test_widths_are_apart_where_each_has_a_dense_table(outcomes):
    common = [("one", "mf", 8, "dense", None, 0.1), ("one", "mf", 8, "dsl", "50%", 0.1)]
    wide = ("one", "mf", 16, "dsl", "25%", 0.1)
    (panel,) = panels_of(outcomes(*common, wide))
    assert panel.dense is panel.groups[0]
    assert [panel.label(group) for group in panel.groups] == ["dense", "dsl, 50%", "dsl, 25%"]


def test_widths_with_dense_tables_of_their_own(outcomes):
    runs = [("one", "mf", width, *rest) for width in (8, 16) for rest in (("dense", None, 0.1), ("dsl", "50%", 0.1))]
    panels = panels_of(outcomes(*runs))
    assert [told(panel) for panel in panels] == [
        ("one, mf, width 8", ["dense", "dsl, 50%"]),
        ("one, mf, width 16", ["dense", "dsl, 50%"]),
    ]


def test_what_else_tells_groups_apart_is_in_their_labels(outcomes):
    runs = [("one", "mf", 8, "dsl", "50%", rate) for rate in (0.1, 0.2)]
    (panel,) = panels_of(outcomes(*runs))
    assert panel.dense is None
    assert panel.reference is panel.groups[0]
    assert [panel.label(group) for group in panel.groups] == [
        "dsl, 50%, learning_rate 0.1",
        "dsl, 50%, learning_rate 0.2",
    ]
    assert panel.label(panel.groups[1], budget=False, without="training.learning_rate") == "dsl"


def test_groups_are_in_the_order_of_their_budgets_and_compete_within_one(outcomes):
    """Of 4,000 bytes of dense tables."""
    walked = [
        ("dsl", "100%"), ("dsl", "2%"), ("dsl", "14.1%"), ("dense", None), ("dsl", "9000B"), ("dsl", "500B"),
        ("narrow", "2%"),
    ]  # fmt: skip
    (panel,) = panels_of(outcomes(*(("one", "mf", 8, method, budget, 0.1) for method, budget in walked)))
    labels = [panel.label(group) for group in panel.groups]
    assert labels == ["dense", "dsl, 9000B", "dsl, 100%", "dsl, 14.1%", "dsl, 500B", "dsl, 2%", "narrow, 2%"]
    assert [list(block) for block in panel.blocks] == [[0], [1], [2], [3], [4], [5, 6]]


def test_groups_of_one_budget_stay_as_they_come(outcomes):
    runs = [("one", "mf", 8, "dsl", budget, rate) for rate in (0.2, 0.1) for budget in ("20%", "50%")]
    (panel,) = panels_of(outcomes(*runs))
    values = [(group.point["budget.limit"], group.point["training.learning_rate"]) for group in panel.groups]
    assert values == [("50%", 0.2), ("50%", 0.1), ("20%", 0.2), ("20%", 0.1)]


def test_a_label_leaves_out_what_all_groups_of_its_method_have(outcomes):
    runs = [("one", "mf", 8, "dsl", "50%", rate) for rate in (0.1, 0.2)]
    (panel,) = panels_of(
        outcomes(*runs, ("one", "mf", 8, "random", "50%", 0.1), ("one", "mf", 8, "random", "20%", 0.1))
    )
    labels = [panel.label(group) for group in panel.groups]
    assert labels == ["dsl, 50%, learning_rate 0.1", "dsl, 50%, learning_rate 0.2", "random, 50%", "random, 20%"]


def test_a_label_leaves_out_what_goes_with_the_budget(outcomes):
    runs = [
        ("dsl", "90%", 0.1),
        ("dsl", "50%", 0.1),
        ("dsl", "20%", 0.2),
        ("random", "50%", 0.1),
        ("random", "50%", 0.2),
    ]
    (panel,) = panels_of(outcomes(*(("one", "mf", 8, *run) for run in runs)))
    labels = [panel.label(group, budget=False) for group in panel.groups]
    assert labels == ["dsl", "dsl", "random, learning_rate 0.1", "random, learning_rate 0.2", "dsl"]


def test_a_setting_that_one_of_two_runs_has_tells_them_apart(outcomes):
    dense, resprout = ("one", "mf", 8, "dense", None, 0.1), ("one", "mf", 8, "dsl", "20%", 0.1)
    for run, more, key in (
        (dense, "[filter]\nmin_rating = 4.0", "filter.min_rating"),
        (dense, "network_rate = 0.1", "training.network_rate"),
        (resprout, "[stages.train.training]\nlearning_rate = 0.2", "stages.train.training.learning_rate"),
    ):
        found = outcomes(run, (*run, more))
        assert list(found[0].point) == [key]
        assert len(groups_of(found)) == 2


def test_what_only_another_method_could_have_does_not(outcomes):
    found = outcomes(("one", "mf", 8, "dense", None, 0.1), ("one", "mf", 8, "dsl", "20%", 0.1))
    assert list(found[0].point) == ["method.name", "budget.limit"]


def test_settings_that_go_with_method_or_budget_are_named(outcomes):
    (panel,) = panels_of(outcomes(("one", "mf", 8, "dense", None, 0.1), ("one", "mf", 8, "dsl", "20%", 0.2)))
    assert (panel.settings, panel.unsaid) == ([], ["training.learning_rate"])
