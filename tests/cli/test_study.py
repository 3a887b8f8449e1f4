"""Studies and comparisons from the command line."""

import json
import shutil

import pytest
from in_process import InThisProcess

from resprout.study import processes

STUDY = """
name = "books"
[base]
data.source = "{data}"
backbone = {{ name = "mf", width = 8 }}
training = {{ epochs = 2, batch_size = 64 }}
[[grid]]
set = {{ "budget.limit" = "50%" }}
axes = {{ "method.name" = ["random", "narrow"], "training.seed" = [0, 1] }}
"""


@pytest.fixture
def study(books_csv, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(data=books_csv))
    return path


@pytest.fixture
def in_this_process(monkeypatch):
    """Runs of a study are trained without a process of their own."""
    monkeypatch.setattr(processes, "Processes", InThisProcess)


def test_a_study_is_run_shown_and_compared(resprout, study, tmp_path, trained):
    out = tmp_path / "out"
    done = resprout("study", "run", study, "--out", out, "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert "; 4 done, 0 failed, 0 left" in done.stderr
    for text in ("method", "recall@20", "deployed", "random", "narrow", " ± "):
        assert text in done.stdout
    assert resprout("study", "show", out).stdout == done.stdout
    again = resprout("study", "run", study, "--out", out)
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    shutil.rmtree(next(out.glob("*/result.json")).parent)
    last = resprout("study", "run", study, "--out", out, "--threads", "1")
    assert last.stderr.splitlines()[0] == "3 runs were there already"
    assert last.stderr.count("there already") == 1
    assert last.stderr.splitlines()[1].endswith("; 4 done, 0 failed, 0 left")
    both = resprout("compare", out, trained)
    assert both.exit_code == 0
    assert all(text in both.stdout for text in ("random", "narrow", "dsl", "50%"))
    assert "Not all rows have the same training.epochs" in both.stdout  # it goes with the method
    assert " epochs " not in both.stdout


@pytest.mark.usefixtures("in_this_process")
def test_a_study_goes_on_elsewhere_with_what_was_kept_beside_its_file(resprout, study, tmp_path):
    out, kept = tmp_path / "runs" / "out", study.parent / "kept" / "books.jsonl"
    first = resprout("study", "run", study, "--out", out, "--where", "training.seed=0")
    assert resprout("study", "keep", out, kept).stdout == f"2 of 2 runs are new in {kept}\n"
    assert resprout("study", "keep", out, kept).stdout == f"0 of 2 runs are new in {kept}\n"
    shutil.rmtree(tmp_path / "runs")
    again = resprout("study", "run", study, "--out", out, "--where", "training.seed=0")
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    shutil.rmtree(tmp_path / "runs")
    one = next(iter(sorted(json.loads(line)["key"] for line in kept.read_text().splitlines())))
    kept.write_text("".join(line for line in kept.read_text().splitlines(True) if one in line))
    rest = resprout("study", "run", study, "--out", out, "--where", "training.seed=0", "--kept", kept)
    assert rest.stderr.startswith("1 runs were there already\n")
    assert rest.exit_code == 0
    for command in (("recommend", "--user", "u1"), ("evaluate",), ("report",)):
        refused = resprout(command[0], out / one, *command[1:])
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "was kept without its model: train it again with" in refused.stderr


def test_kept_runs_that_are_not_there_are_refused(resprout, study, tmp_path):
    refused = resprout("study", "run", study, "--out", tmp_path / "out", "--kept", tmp_path / "none.jsonl")
    assert refused.exit_code == 2
    assert "none.jsonl: there is no such file; `resprout study keep` makes one" in refused.stderr
    assert not (tmp_path / "out").exists()
    refused = resprout("study", "keep", tmp_path, tmp_path / "kept.jsonl")
    assert refused.exit_code == 2
    assert "is not the folder of a study" in refused.stderr


def test_a_run_that_fails_makes_exit_code_1_and_the_others_go_on(resprout, study, tmp_path):
    rows = '{ "method.name" = "dsl", "method.precision" = "int8", "budget.limit" = "104B" }'  # scales take 100
    grid = f'[[grid]]\nset = {{ "method.name" = "narrow", "budget.limit" = "404B" }}\n[[grid]]\nset = {rows}\n'
    study.write_text(study.read_text().partition("[[grid]]")[0] + grid)
    done = resprout("study", "run", study, "--out", tmp_path / "out", "--jobs", "2")
    assert done.exit_code == 1
    assert "failed: books.csv, mf, dsl, 104B, precision int8: resprout: error: budget 104B is too small" in done.stderr
    assert "narrow" in done.stdout
    assert len(json.loads((tmp_path / "out" / "plan.json").read_text())["runs"]) == 2


@pytest.mark.usefixtures("in_this_process")
def test_fit_budget_walks_a_curve_and_takes_up_what_is_there(resprout, books_csv, tmp_path):
    out, small = tmp_path / "out", ("--epochs", "2", "--set", "backbone.width=8", "--lowest", "80")
    command = ("fit-budget", "--data", books_csv, "--method", "dsl", "--margin", "90%", *small, "--out", out)
    done = resprout(*command)
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith("smallest budget within 90% of dense: 80%")
    assert all(text in done.stdout for text in ("100 %", "80 %", "lost against dense"))
    before = sorted(path.stat().st_mtime_ns for path in out.rglob("result.json"))
    assert len(before) == 3
    assert resprout(*command).stdout == done.stdout
    assert sorted(path.stat().st_mtime_ns for path in out.rglob("result.json")) == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["study", "run", "nothing.toml"], "settings file nothing.toml: No such file or directory"),
        (["study", "show", "nowhere"], "nowhere is not a run folder: it has no run.toml"),
        (["fit-budget", "--margin", "much"], "--margin 'much': expected percent of dense's quality, like 1%"),
        (["fit-budget", "--method", "dls"], "method.name: unknown 'dls'"),
        (["fit-budget", "--cluster", "ray"], "no Ray cluster: start one with `ray start --head`"),
        (["compare", "nowhere"], "nowhere is not a run folder: it has no run.toml"),
    ],
)
def test_bad_input(resprout, command, message, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # no note of an earlier cluster
    done = resprout(*command)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.usefixtures("in_this_process")
def test_what_was_tried_stands_in_the_report(resprout, study, tmp_path):
    out = tmp_path / "out"
    study.write_text(study.read_text() + 'tried = { "training.learning_rate" = [1e-6, 0.05] }\n')
    done = resprout("study", "run", study, "--out", out, "--jobs", "2", "--where", "method.name=narrow")
    assert done.exit_code == 0, done.output
    assert "; 4 done, 0 failed, 0 left" in done.stderr
    assert resprout("report", out).exit_code == 0
    _, *rows = (out / "report" / "trials.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows] == [["narrow", "50%", "0.05"], ["narrow", "50%", "1e-06"]]
    page = (out / "report" / "index.html").read_text()
    assert page.index("<h2>Comparison</h2>") < page.index("<h2>Trials</h2>")
    (trial,) = {run.parent for run in out.glob("*/run.toml") if "test = false" in run.read_text()} - {
        run.parent for run in out.glob("*/run.toml") if "learning_rate = 1e-06" in run.read_text()
    }
    assert "validation recall@20" in (out / f"{trial.name}.log").read_text()
    assert "is a trial" in resprout("compare", trial).stderr
    assert "has no metrics on test data to report" in resprout("report", trial).stderr
