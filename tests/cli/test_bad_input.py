"""Bad input ends in one clear line and exit code 2, and nothing is written."""

import json
import shutil
import subprocess
import sys

import pytest

HEADER = "user_id,item_id\n"
GOOD = HEADER + "".join(f"u{user},i{item}\n" for user in range(6) for item in range(5))


@pytest.fixture
def refused(resprout, tmp_path):
    """The one line of a refusal, without its beginning; also checks that the folder of the run is not there."""

    def run(*arguments):
        result = resprout(*arguments, *(["--out", tmp_path / "run"] if "--out" not in arguments else []))
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("resprout: error: ")
        assert not (tmp_path / "run").exists()
        return line.removeprefix("resprout: error: ")

    return run


@pytest.fixture
def file(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def test_missing_file(refused):
    line = refused("train", "--data", "nowhere.csv")
    assert line.startswith("'nowhere.csv' is neither a known data set nor an existing path; known sets: ml-100k")


def test_misspelt_known_set(refused):
    assert "did you mean ml-1m" in refused("train", "--data", "ml1m")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        (HEADER, "only a header line"),
        ("user_id,colour\nu1,red\n", "no item column; the columns are: user_id, colour"),
        (HEADER + "u1,i1\nu2\nu3,i3\n", "data.csv, line 3: 1 fields, expected 2"),
        (HEADER + "u1,i1\nu2,\n", "data.csv, line 3"),
        (HEADER + "u1,i1\nu1,i2\nu1,i3\n", "1 user in 3 interactions"),
        (HEADER + "".join(f"u{user},i{user}\n" for user in range(5)), "leaves no"),
        ("user_id,item_id,rating\nu1,i1,5\nu2,i2,many\n", "data.csv, line 3: rating is 'many'"),
    ],
    ids=[
        "empty",
        "header only",
        "wrong columns",
        "malformed line",
        "empty id",
        "one user",
        "nothing to test on",
        "rating not a number",
    ],
)
def test_bad_file(refused, file, content, expected):
    line = refused("train", "--data", file(content))
    assert expected in line
    assert "data" in line


def test_ids_that_are_no_integers_where_integers_were_asked_for(refused, file):
    path = file(HEADER + "1,1\n2,2\nthree,3\n")
    line = refused("train", "--data", path, "--set", "data.id_type=int")
    assert "three" in line
    assert "line 4" in line


def test_ids_of_mixed_type_in_a_list():
    import resprout

    with pytest.raises(resprout.DataError, match="different types"):
        resprout.train([(1, "a"), ("two", "b"), (2.5, "c")], epochs=1)


def test_users_without_train_items(refused, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("0\n1\n")
    (tmp_path / "lists" / "test.txt").write_text("0 1 2\n1 0 3\n")
    assert "train" in refused("train", "--data", tmp_path / "lists")


@pytest.mark.parametrize(
    ("budget", "method", "expected"),
    [
        ("0%", "dsl", "leaves nothing"),
        ("0MB", "dsl", "leaves nothing"),
        ("101%", "dsl", "above 100 %"),
        ("-5%", "dsl", "neither a share"),
        ("much", "dsl", "neither a share"),
        ("20", "dsl", "neither a share"),
        ("10B", "dsl", "too small: the index of 11 rows alone takes 104 bytes"),
        ("1GB", "dsl", "above the 2,816 bytes of the dense tables"),
        ("1%", "narrow", "would have no column left"),
        ("20%", "dense", "method 'dense' uses every weight"),
    ],
)
def test_bad_budget(refused, file, budget, method, expected):
    assert expected in refused("train", "--data", file(GOOD), "--method", method, "--budget", budget)


def test_a_method_that_needs_a_budget(refused, file):
    assert "needs a budget, like --budget 20%" in refused("train", "--data", file(GOOD), "--method", "dsl")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--backbone", "lightgnc"], "backbone.name: unknown 'lightgnc' (did you mean 'lightgcn'?); valid are: "),
        (["--method", "dls"], "method.name: unknown 'dls' (did you mean 'dsl'?); valid are: autoemb, dense, dsl"),
        (["--set", "training.epoch=3"], "training: unknown 'epoch' (did you mean 'epochs'?)"),
        (["--set", "trainign.epochs=3"], "settings: unknown 'trainign'"),
        (
            ["--set", "method.share=0.5"],
            "method 'dense': unknown 'share' (there is method.share of dsl); valid are: none",
        ),
        (
            ["--set", "backbone.hops=2"],
            "backbone 'mf': unknown 'hops' (there is backbone.hops of lightgcn); valid are: ",
        ),
        (["--set", "backbone.epochs=2"], "backbone 'mf': unknown 'epochs' (there is training.epochs); valid are: "),
        (["--set", "epochs=3"], "expected section.key=value, like training.epochs=3"),
        (["--set", "training.epochs"], "expected section.key=value"),
        (["--set", "backbone.width=0"], "backbone.width = 0: input should be greater than or equal to 1"),
        (["--set", "backbone.width=-8"], "backbone.width = -8: input should be"),
        (["--set", "backbone.width=wide"], "backbone.width = 'wide'"),
        (["--epochs", "0"], "training.epochs = 0"),
        (["--seed", "-1"], "training.seed = -1"),
        (["--set", "training.backend=gpu"], "unknown kernel backend 'gpu'"),
        (["--set", "training.monitor=recall@7"], "7 is not one of evaluation.cutoffs"),
        (["--config", "nowhere.toml"], "settings file nowhere.toml: No such file"),
    ],
)
def test_bad_setting(refused, file, options, expected):
    assert expected in refused("train", "--data", file(GOOD), *options)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("epochs = [", "is not TOML"), ("epochs = 3", "epochs"), ("[training]\nepochs = 'three'", "training.epochs")],
)
def test_bad_settings_file(refused, file, content, expected):
    assert expected in refused("train", "--data", file(GOOD), "--config", file(content, "settings.toml"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[data]\nsorce = 'x'", "data: unknown 'sorce'"),
        ("[sorce]\n", "settings: unknown 'sorce'"),
        ("[backbone]\nname = 'lightgnc'", "backbone.name: unknown 'lightgnc'"),
        ("[method]\nname = 'dsl'\nregrow_every = 0", "method.regrow_every = 0"),
    ],
)
def test_a_settings_file_is_named_beside_what_is_wrong(refused, file, content, expected):
    path = file(content, "settings.toml")
    line = refused("train", "--data", file(GOOD), "--config", path)
    assert line.startswith(expected)
    assert line.rstrip().endswith(f"(in {path}, or in an option that wins over it)")


def test_output_folder_below_a_file(refused, file, tmp_path):
    path = file(GOOD)
    line = refused("train", "--data", path, "--out", path / "run")
    assert line.startswith(f"output folder {path / 'run'} cannot be written to")


def test_output_folder_where_nothing_can_be_made(refused, file):
    assert "/proc/run cannot be written to" in refused("train", "--data", file(GOOD), "--out", "/proc/run")


def test_output_folder_with_another_run(resprout, trained, books_csv):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in trained.rglob("*"))
    result = resprout("train", "--data", books_csv, "--out", trained)
    assert result.exit_code == 2
    assert f"output folder {trained} holds another run" in result.stderr
    assert sorted((path.name, path.stat().st_mtime_ns) for path in trained.rglob("*")) == before


def test_output_folder_with_other_files(resprout, file, tmp_path):
    file("precious", "notes.txt")
    result = resprout("train", "--data", file(GOOD), "--out", tmp_path)
    assert result.exit_code == 2
    assert "holds other files" in result.stderr


@pytest.mark.parametrize("command", [["train", "--resume"], ["evaluate"], ["recommend", "--user", "1"]])
def test_no_run(resprout, tmp_path, command):
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = resprout(*command, folder)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"resprout: error: {folder} is not a run folder: it has no run.toml\n"
    assert not (tmp_path / "nowhere").exists()


def test_resume_with_other_options(resprout, trained):
    result = resprout("train", "--resume", trained, "--epochs", 3, "--set", "backbone.width=4")
    assert result.exit_code == 2
    assert "leave --epochs, --set out" in result.stderr


def test_a_run_that_has_not_ended(resprout, trained, tmp_path):
    (tmp_path / "run.toml").write_bytes((trained / "run.toml").read_bytes())
    for command in (["evaluate"], ["recommend", "--user", "user 1"]):
        result = resprout(*command, tmp_path)
        assert result.exit_code == 2
        assert f"has not ended: go on with `resprout train --resume {tmp_path}`" in result.stderr


def test_resume_after_the_settings_were_changed(resprout, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "result.json").unlink()
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace("seed = 0", "seed = 1"))
    result = resprout("train", "--resume", run)
    assert result.exit_code == 2
    assert f"{run / 'run.toml'} was changed since the run began" in result.stderr
    assert not (run / "result.json").exists()
    (run / "run.toml").write_text(text)
    assert resprout("train", "--resume", run).exit_code == 0


def test_a_broken_result_is_refused_and_can_be_made_again(resprout, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    before = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text((run / "result.json").read_text()[:100])
    for command in (
        ["evaluate"],
        ["report"],
        ["compare", trained],
        ["train", "--resume"],
        ["recommend", "--user", "x"],
    ):
        result = resprout(*command, run)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "result.json is not a JSON file: " in result.stderr
        assert f"delete it, and `resprout train --resume {run}` writes it again" in result.stderr
    (run / "result.json").unlink()
    assert resprout("train", "--resume", run).exit_code == 0
    after = json.loads((run / "result.json").read_text())
    assert {**after, "cost": None} == {**before, "cost": None}
    assert resprout("evaluate", run).exit_code == 0


def test_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "resprout.cli.main", "train", "--data", "nowhere.csv", "--out", tmp_path / "run"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("resprout: error: 'nowhere.csv'")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
