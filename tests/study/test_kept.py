"""Ended runs that are kept in a file and taken over from it."""

import json

import numpy as np
import pytest
from in_process import InThisProcess

from resprout.errors import RunError
from resprout.reports.comparison import differences
from resprout.study.folder import StudyFolder
from resprout.study.kept import KeptRuns, keep_runs
from resprout.study.panels import panels_of
from resprout.study.results import outcomes_of
from resprout.study.runner import run_study
from resprout.study.spec import read_study
from resprout.training.folder import RunFolder

GRID = """
[[grid]]
axes = { "training.seed" = [0, 1] }
[[grid]]
set = { "method.name" = "narrow", "budget.limit" = "50%" }
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory, study_text):
    """A study of three runs."""
    path = tmp_path_factory.mktemp("ended")
    file = path / "small.toml"
    file.write_text(study_text(GRID))
    study, folder = read_study(file), StudyFolder(path / "runs" / "out")
    folder.claim(study, file.read_text())
    assert len(run_study(study, folder, InThisProcess(folder), lambda _: None).done) == 3
    return study, folder


def test_a_study_goes_on_from_kept_runs_as_if_they_had_ended_here(ended, tmp_path):
    study, first = ended
    file = tmp_path / "kept" / "small.jsonl"
    key, *others = first.ended_runs()
    assert keep_runs([first.run(key)], file) == 1
    line = file.read_text()
    assert keep_runs(first.ended_runs().values(), file) == 2
    assert line in file.read_text()
    assert [json.loads(one)["key"] for one in file.read_text().splitlines()] == sorted([key, *others])
    assert keep_runs(first.ended_runs().values(), file) == 0

    second = StudyFolder(tmp_path / "elsewhere" / "out", KeptRuns([file]))
    second.claim(study, "")
    progress = run_study(study, second, InThisProcess(second), lambda _: None)
    assert (len(progress.done), progress.seconds) == (3, {})
    for key in (run.key for run in study.runs):
        here, there = second.run(key), first.run(key)
        assert here.read_result() == there.read_result()
        assert here.records() == there.records()
        assert here.settings().sections == there.settings().sections
        assert here.environment.read_text() == there.environment.read_text()
        assert not here.model.exists()
        assert second.log(key).read_text() == "taken over from kept runs, without its model\n"
    compared = [differences(*panels_of(outcomes_of([folder.path]))) for folder in (first, second)]
    assert compared[0] == compared[1]
    assert compared[0][1] is not None


def test_a_run_kept_before_there_was_some_option_had_its_default(ended, tmp_path):
    study, first = ended
    file = tmp_path / "older.jsonl"
    keep_runs(first.ended_runs().values(), file)
    lines = []
    for number, line in enumerate(file.read_text().splitlines()):
        kept = json.loads(line)
        assert kept["settings"]["evaluation"].pop("validation_users") == 100_000
        lines.append(json.dumps({**kept, "key": f"older{number}"}))
    file.write_text("".join(f"{line}\n" for line in lines))
    assert keep_runs(first.ended_runs().values(), file) == 0
    kept = KeptRuns([file])
    assert all(run.key in kept for run in study.runs)
    older = tmp_path / "study" / "older0"
    kept.restore(study.runs[0].key, older)
    assert keep_runs([RunFolder(older)], file) == 0
    kept.restore(study.runs[0].key, tmp_path / "run")
    assert first.run(study.runs[0].key).read_result() == json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_run_whose_settings_are_not_valid_any_more_is_left_alone(ended, tmp_path):
    study, first = ended
    file = tmp_path / "older.jsonl"
    keep_runs(first.ended_runs().values(), file)
    line = json.loads(file.read_text().splitlines()[0])
    line["settings"]["training"]["gone"] = 1
    file.write_text(f"{json.dumps(line)}\n")
    kept = KeptRuns([file])
    assert line["key"] in kept
    assert sum(run.key in kept for run in study.runs) == 1


def test_what_is_written_of_single_users_are_the_test_metrics(ended):
    _, folder = ended
    for run in folder.ended_runs().values():
        users, test = run.read_users(), run.read_result()["test"]
        assert users.values.keys() == test.keys()
        assert np.all(np.diff(users.users) > 0)
        for name, mean in users.means().items():
            assert mean == pytest.approx(test[name], rel=1e-6)


def test_what_is_kept_is_taken_over_at_once_but_for_a_run_that_was_begun_here(ended, tmp_path):
    study, first = ended
    file = tmp_path / "small.jsonl"
    keep_runs(first.ended_runs().values(), file)
    begun, *others = [run.key for run in study.runs]
    before = StudyFolder(tmp_path / "out")
    before.claim(study, "")
    before.run(begun).claim(study.runs[0].settings)
    folder = StudyFolder(before.path, KeptRuns([file]))
    folder.claim(study, "")
    assert list(folder.ended_runs()) == others
    assert not folder.ended(begun)


def test_what_was_made_of_the_best_trial_is_taken_over_at_once(study_file, write_result, tmp_path):
    path = study_file("""
[[grid]]
axes = { "training.seed" = [0, 1] }
tried = { "training.learning_rate" = [0.01, 0.1] }
""")
    study, file = read_study(path), tmp_path / "kept.jsonl"
    (choice,) = study.choices
    worse, best = choice.trials
    for run in study.possible:
        made = RunFolder(tmp_path / "made" / run.key)
        made.claim(run.settings)
        made.metrics.touch()
        write_result(made.path, validation={"recall@5": 0.2 if run == best else 0.1})
        keep_runs([made], file)
    folder = StudyFolder(tmp_path / "out", KeptRuns([file]))
    folder.claim(study, "")
    assert list(folder.ended_runs()) == [run.key for run in (worse, best, *choice.chosen[best.key])]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not a kept run"),
        ("[1]", "not a kept run"),
        ('{"settings": {}}', "not a kept run"),
        ('{"key": "a", "settings": {}}', "a kept run has environment, records, result, users"),
    ],
)
def test_a_line_that_is_no_run_is_refused(tmp_path, line, said):
    file = tmp_path / "broken.jsonl"
    whole = {"key": "b", "settings": {}, "environment": {}, "records": [], "users": None, "result": {}}
    file.write_text(f"{json.dumps(whole)}\n{line}\n")
    with pytest.raises(RunError, match=rf"broken\.jsonl, line 2: {said}"):
        KeptRuns([file])
    with pytest.raises(RunError, match=r"broken\.jsonl, line 2"):
        keep_runs([], file)


def test_a_damaged_run_is_refused_and_leaves_nothing(ended, tmp_path):
    study, first = ended
    file = tmp_path / "damaged.jsonl"
    keep_runs(first.ended_runs().values(), file)
    file.write_text(file.read_text().replace('"records": "', '"records": "AAAA'))
    folder = StudyFolder(tmp_path / "out", KeptRuns([file]))
    with pytest.raises(RunError, match=r"damaged\.jsonl, line \d+: a kept run is damaged"):
        folder.claim(study, "")
    assert not folder.run(study.runs[0].key).path.exists()
