"""The Python face: frames and lists, resuming, and the examples."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import resprout
from resprout.training.observers import Observer

EXAMPLES = Path(__file__).parent.parent / "examples"
PAIRS = [(f"u{user}", f"i{item}") for user in range(12) for item in range(10) if (user + item) % 3]
OPTIONS = {"backbone": {"name": "mf", "width": 4}, "epochs": 3, "seed": 1}


class StopAfterOneEpoch(Observer):
    def epoch(self, record):
        raise KeyboardInterrupt


def write(path):
    path.write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in PAIRS))
    return path


def test_at_most_ten_public_names_each_of_which_is_there():
    assert len(resprout.__all__) <= 10
    for name in resprout.__all__:
        assert getattr(resprout, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        resprout.nonsense  # noqa: B018


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, lambda columns: pa.table(columns)])
def test_a_frame_gives_what_the_same_file_gives(tmp_path, make):
    columns = {"user_id": [user for user, _ in PAIRS], "item_id": [item for _, item in PAIRS]}
    of_frame = resprout.train(make(columns), out=tmp_path / "frame", **OPTIONS)
    of_file = resprout.train(write(tmp_path / "pairs.csv"), out=tmp_path / "file", **OPTIONS)
    assert of_frame.test == of_file.test
    assert of_frame.folder == tmp_path / "frame"
    source = tomllib.loads((tmp_path / "frame" / "run.toml").read_text())["data"]["source"]
    assert source == "frame of 12 users, 10 items, 80 interactions"
    first = of_frame.recommender().recommend(["u3"], k=3).to_pylist()
    assert first == of_file.recommender().recommend(["u3"], k=3).to_pylist()
    assert len(first) == 3


def test_a_result_says_what_it_cost(tmp_path):
    run = resprout.train(PAIRS, method="narrow", budget="50%", out=tmp_path / "run", **OPTIONS)
    assert run.deployed_bytes == 22 * 2 * 4
    assert run.peak_table_bytes > 3 * run.deployed_bytes
    assert str(run).splitlines()[0] == f"mf, narrow, seed 1 on frame: {tmp_path / 'run'}"
    assert str(run).splitlines()[-1] == "deployed: 176 bytes of 352"
    assert run.validation.keys() == run.test.keys()


def test_columns_and_settings_by_section(tmp_path):
    frame = pd.DataFrame(PAIRS, columns=["who", "what"])
    columns = {"user_column": "who", "item_column": "what"}
    resprout.train(frame, data=columns, training={"batch_size": 7}, out=tmp_path / "run", **OPTIONS)
    settings = tomllib.loads((tmp_path / "run" / "run.toml").read_text())
    assert settings["training"]["batch_size"] == 7
    assert settings["training"]["epochs"] == 3
    with pytest.raises(resprout.SettingsError, match="settings: unknown 'trainig'"):
        resprout.train(frame, trainig={}, out=tmp_path / "other")


def test_a_run_on_a_frame_asks_for_it_when_resumed(tmp_path):
    frame = pd.DataFrame(PAIRS, columns=["user_id", "item_id"])
    whole = resprout.train(frame, out=tmp_path / "whole", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        resprout.train(frame, out=tmp_path / "run", observer=StopAfterOneEpoch(), **OPTIONS)
    with pytest.raises(resprout.SettingsError, match=r"give the frame again, resprout.resume\(folder, frame\)"):
        resprout.resume(tmp_path / "run")
    with pytest.raises(resprout.SettingsError, match="started on 'frame of 12 users"):
        resprout.resume(tmp_path / "run", frame[:40])
    swapped = pd.concat([frame[1:], frame[:1]])
    with pytest.raises(resprout.DataError, match="the split was made of other interactions"):
        resprout.resume(tmp_path / "run", swapped)
    assert resprout.resume(tmp_path / "run", frame).test == whole.test


def test_a_run_on_a_file_takes_no_frame(tmp_path):
    path = write(tmp_path / "pairs.csv")
    with pytest.raises(KeyboardInterrupt):
        resprout.train(path, out=tmp_path / "run", observer=StopAfterOneEpoch(), **OPTIONS)
    with pytest.raises(resprout.SettingsError, match=r"pairs.csv"):
        resprout.resume(tmp_path / "run", PAIRS)
    assert resprout.resume(tmp_path / "run").test


def test_the_example_on_a_frame_runs(tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLES / "frame.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "crime reader 0" in ended.stdout
