"""Train, evaluate and recommend through the command, and go on after a kill."""

import csv
import io
import json
import re
import signal
import subprocess
import sys

import pytest

from resprout.artifact.files import read_tensors
from resprout.errors import SettingsError

LONG = ("--backbone", "mf", "--method", "dsl", "--budget", "50%", "--epochs", "120", "--set", "backbone.width=8")
LONG += ("--set", "training.batch_size=64", "--set", "training.patience=0", "--set", "method.regrow_every=7")
LONG += ("--set", "training.learning_rate=0.02", "--set", "training.evaluate_every=10", "--refit", "--seed", "3")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def result_of(run):
    return json.loads((run / "result.json").read_text())


def epochs_of(run):
    """The lines of metrics.jsonl without the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def arrays_of(path):
    arrays, _ = read_tensors(path)
    return {name: (array.shape, array.tobytes()) for name, array in arrays.items()}


def test_train_ends_with_its_figures_and_the_next_commands(resprout, books_csv, tmp_path):
    run = tmp_path / "run"
    ended = resprout("train", "--data", books_csv, "--epochs", 2, "--set", "backbone.width=8", "--out", run)
    assert ended.exit_code == 0, ended.output
    assert re.search(
        r"^tables +user: [0-9]+ x 8, 32 bits a weight *\n +item: [0-9]+ x 8, 32 bits", ended.stdout, re.MULTILINE
    )
    result = result_of(run)
    assert f"test recall@20    {result['test']['recall@20']:.4f}" in ended.stdout
    assert "100.0 % of dense" in ended.stdout
    assert "of tables" in ended.stdout
    assert f"resprout recommend {run} --user ID" in ended.stdout
    assert f"resprout evaluate {run}" in ended.stdout


def test_tables_of_slots_say_how_many_there_are(resprout, books_csv, tmp_path):
    more = ("--budget", "50%", "--method", "random", "--set", "backbone.width=8", "--epochs", 1)
    ended = resprout("train", "--data", books_csv, *more, "--out", tmp_path / "run")
    assert re.search(
        r"^tables +user: [0-9]+ x 8, 50 % of the weights, [0-9.]+ bits a weight with", ended.stdout, re.MULTILINE
    )


def test_what_suits_the_data_is_said_and_is_what_it_would_be_if_given(resprout, books_csv, tmp_path):
    more = ("--backbone", "ultragcn", "--set", "backbone.width=8", "--epochs", 2)  # each a batch of all interactions
    ended = resprout("train", "--data", books_csv, *more, "--out", tmp_path / "suited")
    result = result_of(tmp_path / "suited")
    l2 = result["suited"]["l2"]
    assert re.search(rf"^l2 +{l2:.3g}, as suits the data *$", ended.stdout, re.MULTILINE)
    ended = resprout("train", "--data", books_csv, *more, "--set", f"backbone.l2={l2!r}", "--out", tmp_path / "given")
    given = result_of(tmp_path / "given")
    assert given["suited"] == {}
    assert "suits the data" not in ended.stdout
    assert (given["validation"], given["test"]) == (result["validation"], result["test"])
    page = resprout("report", tmp_path / "suited", "--out", tmp_path / "page")
    assert page.exit_code == 0, page.output
    assert f"{l2:.3g}, as suits the data" in (tmp_path / "page" / "index.html").read_text()


def test_progress_off_a_terminal_is_plain_lines_a_first_one_and_one_an_evaluated_epoch(resprout, books_csv, tmp_path):
    options = ("--epochs", 5, "--set", "training.evaluate_every=2", "--set", "backbone.width=8")
    ended = resprout("train", "--data", books_csv, *options, "--out", tmp_path / "run")
    data, *lines = ended.stderr.splitlines()
    assert data.startswith("books: 60 users, 40 items; interactions: ")
    assert [line.split()[:2] for line in lines] == [["train", f"{epoch}/5"] for epoch in (0, 2, 4, 5)]
    assert all(
        re.search(r"loss \d\.\d{4}  recall@20 \d\.\d{4}.*  800 weights  \d+ s left$", line) for line in lines[1:]
    )
    assert not CONTROL.search(ended.output)


def test_settings_are_defaults_then_file_then_named_options_then_set(resprout, books_csv, tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text("[training]\nepochs = 9\nseed = 5\nbatch_size = 50\n[backbone]\nname = 'mf'\nwidth = 4\n")
    run = tmp_path / "run"
    options = ("--config", config, "--epochs", 2, "--set", "training.batch_size=70", "--out", run)
    assert resprout("train", "--data", books_csv, *options).exit_code == 0
    text = (run / "run.toml").read_text()
    for expected in (
        "epochs = 2",
        "seed = 5",
        "batch_size = 70",
        "width = 4",
        f'source = "{books_csv}"',
        "beta_1 = 0.9",
    ):
        assert expected in text.splitlines()


def test_the_default_folder_is_named_after_the_settings(resprout, books_csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--method", "narrow", "--budget", "25%", "--epochs", 1, "--set", "backbone.width=8", "--seed", 4)
    assert resprout("train", "--data", books_csv, *options).exit_code == 0
    assert resprout("train", "--data", books_csv, *options, "--budget-of", "training").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["books-mf-narrow-25pct-4", "books-mf-narrow-25pct-training-4"]


def test_data_given_relative_to_here_is_found_from_elsewhere(resprout, books_csv, tmp_path, monkeypatch):
    monkeypatch.chdir(books_csv.parent)
    options = ("--epochs", 1, "--set", "backbone.width=8", "--out", tmp_path / "run")
    assert resprout("train", "--data", books_csv.name, *options).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert resprout("evaluate", "run").exit_code == 0


def test_evaluate_measures_what_was_recorded(resprout, trained):
    for part in ("test", "validation"):
        shown = resprout("evaluate", trained, "--part", part, "--json")
        assert shown.exit_code == 0
        report = json.loads(shown.stdout)
        assert report["metrics"] == pytest.approx(result_of(trained)[part], rel=1e-9)
        assert report["agree"]
    shown = resprout("evaluate", trained)
    assert shown.exit_code == 0
    assert "measured and recorded metrics agree" in shown.stdout


def test_evaluate_says_if_they_differ(resprout, trained, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    result = result_of(run)
    result["test"]["recall@20"] += 1e-4
    (run / "result.json").write_text(json.dumps(result))
    shown = resprout("evaluate", run)
    assert shown.exit_code == 1
    assert "measured and recorded metrics DIFFER" in shown.stdout


def test_evaluate_refuses_a_part_that_the_run_does_not_have(resprout, books_csv, tmp_path):
    options = ("--epochs", 1, "--set", "backbone.width=4", "--set", "split.validation_share=0")
    assert resprout("train", "--data", books_csv, *options, "--out", tmp_path / "run").exit_code == 0
    refused = resprout("evaluate", tmp_path / "run", "--part", "validation")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "has recorded nothing on validation data" in refused.stderr
    assert resprout("evaluate", tmp_path / "run").exit_code == 0


def test_evaluate_refuses_validation_data_that_was_trained_on(resprout, books_csv, tmp_path):
    options = ("--epochs", 1, "--set", "backbone.width=4", "--refit", "--out", tmp_path / "run")
    assert resprout("train", "--data", books_csv, *options).exit_code == 0
    assert resprout("evaluate", tmp_path / "run").exit_code == 0
    refused = resprout("evaluate", tmp_path / "run", "--part", "validation")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "was trained again on train and validation data" in refused.stderr


def test_evaluate_refuses_a_model_that_was_trained_on_all_data(resprout, books_csv, tmp_path):
    options = ("--epochs", 1, "--set", "backbone.width=4", "--final", "--out", tmp_path / "run")
    shown = resprout("train", "--data", books_csv, *options)
    assert shown.exit_code == 0
    assert "1 of 1, deployed after one more training on all data" in shown.stdout
    assert "resprout recommend" in shown.stdout
    assert "resprout evaluate" not in shown.stdout
    for part in ("test", "validation"):
        refused = resprout("evaluate", tmp_path / "run", "--part", part)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"measured on {part} data, it would be measured on what it has learnt" in refused.stderr


def test_recommend_gives_unread_books_of_the_readers_group(resprout, trained, pairs):
    shown = resprout("recommend", trained, "--user", "user 2", "--user", "user 7", "--k", 5)
    assert shown.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [(row["user_id"], row["rank"]) for row in rows] == [
        (user, str(rank)) for user in ("user 2", "user 7") for rank in range(1, 6)
    ]
    scores = [float(row["score"]) for row in rows[:5]]
    assert scores == sorted(scores, reverse=True)
    assert {row["item_id"] for row in rows} <= {item for _, item in pairs}


def test_resume_of_an_ended_run_shows_its_result_again(resprout, trained):
    before = (trained / "result.json").read_bytes()
    shown = resprout("train", "--resume", trained)
    assert shown.exit_code == 0
    assert "test recall@20" in shown.stdout
    assert (trained / "result.json").read_bytes() == before


def test_killed_and_resumed_equals_undisturbed(resprout, books_csv, tmp_path, wait_for_lines):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert resprout("train", "--data", books_csv, *LONG, "--out", undisturbed).exit_code == 0
    command = [sys.executable, "-m", "resprout.cli.main", "train", "--data", books_csv, *LONG, "--out", killed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_lines(killed / "metrics.jsonl", 2, process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "result.json").exists()
    assert len(epochs_of(killed)) < len(epochs_of(undisturbed))
    resumed = resprout("train", "--resume", killed)
    assert resumed.exit_code == 0, resumed.output

    assert epochs_of(killed) == epochs_of(undisturbed)
    for part in ("validation", "test", "budget", "epochs"):
        assert result_of(killed)[part] == result_of(undisturbed)[part]
    for name in ("model/tables.safetensors", "model/interactions.safetensors", "checkpoint/last.safetensors"):
        assert arrays_of(killed / name) == arrays_of(undisturbed / name)


@pytest.mark.parametrize(("more", "epochs", "says"), [((), 60, True), (("--no-recipe",), 100, False)])
def test_a_known_data_set_brings_its_recipe_unless_it_is_left_out(resprout, monkeypatch, more, epochs, says):
    def start(settings, folder, observer, shared):
        assert shared is None
        assert settings.training.epochs == epochs
        raise SettingsError("seen")

    monkeypatch.setattr("resprout.training.run.start", start)
    shown = resprout("train", "--data", "ml-1m", "--backbone", "mf", *more)
    assert "seen" in shown.stderr
    assert ("recipe ml-1m/mf" in shown.stderr) == says


def test_a_recipe_of_ones_own_says_so_and_its_errors_name_it(resprout, books_csv, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("training.epochs = 2\n[methods.narrow.training]\nepochs = 1\n")
    command = ("train", "--data", books_csv, "--method", "narrow", "--budget", "50%", "--recipe", file)
    done = resprout(*command, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert f"settings: recipe {file}, where you gave none\n" in done.stderr
    assert len(epochs_of(tmp_path / "run")) == 1
    both = resprout(*command, "--no-recipe")
    assert (both.exit_code, both.stderr) == (
        2, "resprout: error: --recipe and --no-recipe exclude each other: leave one out\n"
    )  # fmt: skip
    file.write_text("training.epoch = 2\n")
    wrong = resprout(*command, "--out", tmp_path / "other")
    assert wrong.exit_code == 2
    assert "training: unknown 'epoch'" in wrong.stderr
    assert f"(in {file}, or in an option that wins over it)" in wrong.stderr
    assert not (tmp_path / "other").exists()
