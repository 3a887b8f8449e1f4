"""What figures and the overview of studies show, on hand-made groups."""

import json
import math

import numpy as np
import pytest

from resprout.reports import figures, plots
from resprout.reports.comparison import overview
from resprout.reports.plots import Axis
from resprout.study.panels import Panel
from resprout.study.results import Group, Outcome
from resprout.training.folder import RunFolder

DENSE = 1000


def group(folder, method="dense", slots=DENSE, recall=(0.4,), losses=(), **settings):
    point = {"method.share": None, "method.regrow_every": None} | settings
    runs = []
    for seed, value in enumerate(recall):
        result = {
            "method": method,
            "seed": seed,
            "test": {"recall@20": value},
            "budget": {
                "limit": None if method == "dense" else f"{slots / 10:g}%",
                "slots": slots,
                "dense_weights": DENSE,
                "deployed_bytes": 4 * slots,
            },
            "cost": {
                "peak_table_bytes": 12 * slots,
                "macs_executed_training": 100 * slots,
                "macs_executed_inference": 10 * slots,
            },
        }
        runs.append(Outcome(RunFolder(folder), point, result))
    if losses:
        folder.mkdir()
        lines = [
            {"phase": phase, "stage": stage, "epoch": epoch, "loss": loss, "metrics": {}, "slots": 1}
            for phase, stage, values in losses
            for epoch, loss in enumerate(values, 1)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Group(point, runs)


def drawn(plot):
    """By panel and label: the points of each line."""
    return {
        axes.get_title(): {
            line.get_label(): list(zip(*(np.asarray(v, float).tolist() for v in line.get_data()), strict=True))
            for line in axes.get_lines()
        }
        for axes in plot.figure.axes
    }


@pytest.fixture
def panel(tmp_path):
    groups = [group(tmp_path, recall=(0.4, 0.6))]
    groups += [group(tmp_path, "dsl", slots, (recall,)) for slots, recall in ((100, 0.2), (500, 0.45))]
    return Panel("books, mf", "recall@20", groups)


def test_quality_against_bytes_and_sparsity(panel):
    lines = drawn(figures.frontier(panel))[""]
    assert lines["dsl"] == [(400, 0.2), (2000, 0.45)]
    assert {y for _, y in lines["dense"]} == {0.5}
    (plot,) = figures.quality_sparsity(panel)
    assert drawn(plot)[""]["dsl"] == [(50, 0.45), (90, 0.2)]


def test_quality_against_a_setting_has_a_panel_for_each_budget(tmp_path):
    groups = [
        group(tmp_path, "dsl", slots, (share + every / 1000 + slots / 10000,),
              **{"method.share": share, "method.regrow_every": every})
        for slots in (100, 500) for share in (0.1, 0.3) for every in (10, 100)
    ]  # fmt: skip
    by_share, by_every = figures.by_setting(Panel("", "recall@20", [group(tmp_path), *groups]))
    assert (by_share.name, by_every.name) == ("by-share", "by-regrow-every")
    shown = drawn(by_every)
    assert list(shown) == ["10%", "50%"]
    assert np.array(shown["50%"]["dsl, share 0.3"]) == pytest.approx(np.array([(10, 0.36), (100, 0.45)]))
    assert list(drawn(by_share)["10%"]) == ["dense", "dsl, regrow_every 10", "dsl, regrow_every 100"]


def test_losses_are_of_the_last_stage_before_any_refit(tmp_path):
    losses = [("train", "dense", (9, 8)), ("train", "packed", (3, 2, 1)), ("refit", "packed", (7,))]
    groups = [
        group(tmp_path / "a", "one_shot", 500, losses=losses),
        group(tmp_path / "b", losses=[("train", "train", (5, 4))]),
    ]
    (plot,) = figures.losses(Panel("", "recall@20", groups))
    assert drawn(plot)[""] == {"one_shot, 50%": [(1, 3), (2, 2), (3, 1)], "dense": [(1, 5), (2, 4)]}


def test_losses_are_means_over_the_epochs_that_all_runs_have(tmp_path):
    runs = [
        group(tmp_path / name, "dsl", 500, losses=[("train", "train", values)]).runs[0]
        for name, values in (("a", (4, 3, 2)), ("b", (6, 4)))
    ]
    groups = [Group(runs[0].point, runs), group(tmp_path / "dense", losses=[("train", "train", (1,))])]
    (plot,) = figures.losses(Panel("", "recall@20", groups))
    assert drawn(plot)[""]["dsl, 50%"] == [(1, 5), (2, 3.5)]


def test_losses_of_many_groups_have_a_panel_for_each_setting(tmp_path):
    settings = [(share, 50) for share in (0.1, 0.3, 0.5, 0.7)] + [(0.5, every) for every in (10, 250, 500, 1000)]
    groups = [
        group(tmp_path / f"{k}", "dsl", 200, losses=[("train", "train", (2, 1))],
              **{"method.share": share, "method.regrow_every": every})
        for k, (share, every) in enumerate(settings)
    ]  # fmt: skip
    dense = group(tmp_path / "dense", losses=[("train", "train", (2, 1))])
    (plot,) = figures.losses(Panel("", "recall@20", [dense, *groups]))
    shown = drawn(plot)
    assert list(shown) == ["share", "regrow_every"]
    assert len(shown["share"]) == len(shown["regrow_every"]) - 1 == 5
    assert "dsl, 20%, share 0.5, regrow_every 50" in shown["share"].keys() & shown["regrow_every"].keys()


def test_the_overview_is_in_parts_of_dense(panel, tmp_path):
    alone = Panel("books, lightgcn", "recall@20", [group(tmp_path, "dsl", 200)])
    rows = [[cell.text for cell in row] for row in overview([panel, alone]).rows]
    assert rows[1] == ["books, mf", "dsl, 10%", "recall@20", "0.2000", "40.0 %", *["10.0 %"] * 5]
    assert rows[0][4:] == ["100.0 %"] * 6
    assert rows[3][4:] == [""] * 6


def test_a_picture_of_rows_is_white_where_nothing_is():
    block = np.array([[0.5, math.nan], [math.nan, -2.0]], np.float32)
    plot = plots.picture("p", "P", {"1-5": block, "6-9": np.full((1, 2), math.nan, np.float32)}, "magnitude")
    image = plot.figure.axes[0].get_images()[0]
    assert image.get_array().mask.tolist() == [[False, True], [True, False]]
    assert image.get_array().compressed().tolist() == [0.5, 2.0]


def test_a_label_looks_the_same_in_all_panels():
    series = {"one": ([1.0], [1.0]), "two": ([1.0], [2.0])}
    plot = plots.multiples("m", "M", {"a": series, "b": {"two": series["two"]}}, Axis("x"), Axis("y"))
    first, second = plot.figure.axes
    assert first.get_lines()[1].get_color() == second.get_lines()[0].get_color()
