"""A run folder and who may train in it."""

import json

import pytest

from resprout.errors import RunError
from resprout.training.folder import RunFolder
from resprout.training.observers import EpochRecord, MetricsFile

RECORDS = [EpochRecord("train", "train", epoch, 10 * epoch, 0.5, 0.1, 1.0, 8) for epoch in (1, 2, 3)]


def test_one_at_a_time(tmp_path):
    with (
        RunFolder(tmp_path).alone(),
        pytest.raises(RunError, match="is being trained by another process"),
        RunFolder(tmp_path).alone(),
    ):
        pass
    with RunFolder(tmp_path).alone():
        pass


def test_a_folder_in_which_no_lock_can_be_made(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunError, match="cannot be written to: Is a directory"), RunFolder(tmp_path).alone():
        pass


@pytest.mark.parametrize("content", ["", '{"dataset": "bo', "{}", "[]", '{"test": {"recall@20": 0.5}}', "\x00\x00"])
def test_a_broken_result(tmp_path, content):
    (tmp_path / "run.toml").write_text("")
    (tmp_path / "result.json").write_text(content)
    again = f"delete it, and `resprout train --resume {tmp_path}` writes it again"
    with pytest.raises(RunError, match=rf"result.json is .*; {again}"):
        RunFolder(tmp_path).read_result()


@pytest.fixture
def metrics(tmp_path):
    """The file of three epochs."""
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for record in RECORDS:
        file.epoch(record)
    return tmp_path / "metrics.jsonl"


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_half_a_last_line_is_dropped_when_training_goes_on(metrics, lost):
    text = metrics.read_text()
    metrics.write_text(text[:-lost])
    file = MetricsFile(metrics)
    file.keep({("train", "train"): 2})
    file.epoch(RECORDS[2])
    assert metrics.read_text() == text


def test_a_broken_line_elsewhere_is_refused(metrics):
    first, second, third = metrics.read_text().splitlines()
    for broken in ("{", "[]", "3", json.dumps({"epoch": 2})):
        metrics.write_text("\n".join([first, broken, third]) + "\n")
        with pytest.raises(RunError, match=r"metrics.jsonl, line 2: not the record of an epoch; take the line out"):
            MetricsFile(metrics).keep({("train", "train"): 3})
    metrics.write_text("\n".join([first, second, third[:9]]))
    with pytest.raises(RunError, match="line 3: not the record of an epoch"):
        RunFolder(metrics.parent).records()
