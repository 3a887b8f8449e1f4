"""Studies that are run, in processes of their own where these matter."""

import os
import signal
import subprocess
import sys
import time

import pytest
from in_process import InThisProcess
from run_makers import what_came_out

from resprout.errors import DataError, RunError
from resprout.study.claims import Claims
from resprout.study.folder import StudyFolder
from resprout.study.processes import Processes
from resprout.study.results import Group, groups_of, outcomes_of, telling
from resprout.study.runner import run_study
from resprout.study.spec import read_study
from resprout.study.trials import trials_of

GRID = """
[[grid]]
set = { "budget.limit" = "50%" }
axes = { "method.name" = ["one_shot"] }
[[grid]]
"""


def run(file, folder, workers=InThisProcess, jobs=1):
    study = read_study(file)
    folder.claim(study, file.read_text())
    return study, run_study(study, folder, workers(folder, jobs), lambda _: None)


def processes(folder, jobs):
    return Processes(folder, jobs, threads=1)


def test_runs_end_share_a_dense_table_and_are_not_run_again(study_file, tmp_path):
    folder = StudyFolder(tmp_path / "out")
    study, progress = run(study_file(GRID), folder)
    assert [one.key for one in progress.done] == [one.key for one in study.runs]
    assert not progress.failed
    # the dense table of the second run is what the first had begun with
    stages = folder.run(study.runs[1].key).read_result()["cost"]["stages"]
    assert [stage["taken_over"] for stage in stages] == [True]
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if "plan" not in path.name}
    _, again = run(study_file(GRID), folder)
    assert (len(again.done), again.seconds) == (2, {})
    after = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if "plan" not in path.name}
    assert {p for p in before if before[p] != after[p]} <= {folder.path / "study.toml"}


def test_a_run_that_has_ended_in_a_study_beside_it_is_taken_over(study_file, tmp_path):
    first, second = StudyFolder(tmp_path / "studies" / "first"), StudyFolder(tmp_path / "studies" / "second")
    study, _ = run(study_file("[[grid]]"), first)
    wider, progress = run(study_file('[[grid]]\n[[grid]]\nset = { "backbone.width" = 4 }'), second)
    assert (len(progress.done), len(progress.seconds)) == (2, 1)
    key = study.runs[0].key
    assert key in {one.key for one in wider.runs}
    assert what_came_out(second.path / key) == what_came_out(first.path / key)
    assert second.log(key).read_text() == f"taken over from {first.path / key}\n"
    assert {path.name for path in second.path.iterdir() if path.is_dir()} <= {
        *(one.key for one in wider.runs),
        "stages",
    }


def test_what_fails_is_reported_and_the_others_go_on(study_file, tmp_path):
    file = study_file('[[grid]]\nset = { "method.name" = "random", "budget.limit" = "100B" }\n[[grid]]')
    study, progress = run(file, StudyFolder(tmp_path / "out"), processes)
    assert progress.done == [study.runs[1]]
    (failure,) = progress.failed
    assert failure.run is study.runs[0]
    assert failure.message.startswith("resprout: error: budget 100B is too small: the index of 70 rows")


def test_data_that_cannot_be_had_end_a_study_before_its_first_run(study_file, data_file, tmp_path):
    data, file = tmp_path / "mine.csv", study_file("[[grid]]")
    file.write_text(file.read_text().replace(str(data_file), str(data)))
    folder = StudyFolder(tmp_path / "out")
    with pytest.raises(DataError, match=r"mine\.csv' is neither a known data set nor an existing path"):
        run(file, folder)
    assert not [path for path in folder.path.iterdir() if path.is_dir()]
    data.write_bytes(data_file.read_bytes())
    assert len(run(file, folder)[1].seconds) == 1
    data.unlink()  # and once its runs have ended, it needs none
    _, again = run(file, folder)
    assert (len(again.done), again.seconds) == (1, {})


def test_an_interrupted_study_equals_an_undisturbed_one(study_file, tmp_path):
    set_ = '{ "budget.limit" = "50%", "training.epochs" = 150, "training.patience" = 0 }'
    file = study_file(f'[[grid]]\nset = {set_}\naxes."method.name" = ["narrow", "one_shot"]\n')
    whole, halves = StudyFolder(tmp_path / "a" / "whole"), StudyFolder(tmp_path / "b" / "halves")
    study, _ = run(file, whole, processes, jobs=2)
    command = [sys.executable, "-m", "resprout.cli.main", "study", "run", file, "--out", halves.path, "--jobs", "2"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # tests may run in the background
    )
    checkpoints = [halves.run(run.key).checkpoint / "last.safetensors" for run in study.runs]
    while process.poll() is None and not any(checkpoint.exists() for checkpoint in checkpoints):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command goes on" in said
    assert not halves.run(study.runs[1].key).result.exists()
    _, progress = run(file, halves, processes, jobs=2)
    assert len(progress.done) == 2
    for one in study.runs:
        assert what_came_out(halves.path / one.key) == what_came_out(whole.path / one.key)


def test_two_that_run_one_study_share_its_runs(study_file, tmp_path):
    file, folder = study_file('[[grid]]\naxes."training.seed" = [0, 1, 2, 3]'), StudyFolder(tmp_path / "shared")
    command = [sys.executable, "-m", "resprout.cli.main", "study", "run", file, "--out", folder.path]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trained = [{line.split(";")[0] for line in lines if line.startswith("done: ")} for lines in said]
    assert not trained[0] & trained[1]
    assert len(trained[0] | trained[1]) == len(folder.ended_runs()) == 4
    assert all(trained)  # the first to come does not take them all


def test_a_run_is_claimed_by_one_at_a_time(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert (first.take("a"), second.take("b")) == (True, True)
    assert not second.take("a")
    first.leave("a")
    assert second.take("a")
    second.leave_all()
    assert (first.take("a"), first.take("b")) == (True, True)


TRIED = """
[[grid]]
set = { "budget.limit" = "50%", "method.name" = "narrow" }
axes = { "training.seed" = [0, 1] }
tried = { "training.learning_rate" = [1e-6, 0.05, 1e30] }
"""


def test_what_is_best_on_validation_data_is_trained_with_all_seeds(study_file, tmp_path):
    folder = StudyFolder(tmp_path / "out")
    study, progress = run(study_file(TRIED), folder)
    (choice,) = study.choices
    best = choice.chosen[choice.trials[1].key]
    assert [failure.run for failure in progress.failed] == [choice.trials[2]]  # the rate at which it diverges
    assert {one.key for one in progress.done} == {one.key for one in [*choice.trials[:2], *best]}
    trial, first = (folder.run(one.key).read_result() for one in (choice.trials[1], best[0]))
    assert (trial["test"], trial["validation"]) == ({}, first["validation"])
    assert [stage["taken_over"] for stage in first["cost"]["stages"]] == [True]
    assert not folder.run(choice.trials[1].key).users.exists()
    assert [outcome.run.path.name for outcome in outcomes_of([folder.path])] == [one.key for one in best]
    (trials,) = trials_of([folder.path])
    assert trials.tried == [{"training.learning_rate": 0.05}, {"training.learning_rate": 1e-6}]
    assert trials.values[0] == trial["validation"]["recall@5"] > trials.values[1]
    with pytest.raises(RunError, match="is a trial"):
        outcomes_of([folder.run(choice.trials[0].key).path])


def test_trials_that_validation_data_say_nothing_of(study_file, write_result, tmp_path):
    folder, study = StudyFolder(tmp_path / "out"), read_study(study_file(TRIED))
    for trial in study.choices[0].trials:
        folder.run(trial.key).claim(trial.settings)
        write_result(folder.run(trial.key).path)
    with pytest.raises(RunError, match=r"to be judged by validation data, and has none \(recall@5\)"):
        folder.chosen(study.choices[0])


def test_more_trials_can_change_what_is_chosen(study_file, tmp_path):
    folder = StudyFolder(tmp_path / "out")
    run(study_file(TRIED.replace("[1e-6, 0.05, 1e30]", "[1e-6]")), folder)
    run(study_file(TRIED.replace(", 1e30", "")), folder)
    rates = [outcome.run.settings().training.learning_rate for outcome in outcomes_of([folder.path])]
    assert rates == [0.05, 0.05]


def test_a_folder_that_holds_something_else_is_left_alone(study_file, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter 1").write_text("In the beginning")
    with pytest.raises(RunError, match="thesis holds other files: name another with --out"):
        run(study_file(GRID), StudyFolder(tmp_path / "thesis"))


def test_runs_that_differ_by_their_seed_alone_are_one_group(write_result, tmp_path):
    for name, recall, budget, seed in [("a", 0.1, "20%", 0), ("b", 0.3, "20%", 1), ("c", 0.4, "50%", 0)]:
        folder = tmp_path / name
        folder.mkdir()
        method = f'[method]\nname = "random"\n[budget]\nlimit = "{budget}"\n[training]\nseed = {seed}\n'
        (folder / "run.toml").write_text(method)
        write_result(folder, test={"recall@20": recall})
    first, second = groups_of(outcomes_of([tmp_path / name for name in "abc"]))
    assert [group.point for group in (first, second)] == [{"budget.limit": "20%"}, {"budget.limit": "50%"}]
    assert str(first.spread("test", "recall@20")) == "0.2000 ± 0.1414"
    assert str(second.spread("test", "recall@20")) == "0.4000"


def test_what_tells_groups_of_a_method_and_budget_apart():
    points = [("dsl", "20%", 0.1, 8), ("dsl", "20%", 0.2, 8), ("dsl", "50%", 0.1, 8), ("narrow", "20%", 0.1, 16)]
    keys = ("method.name", "budget.limit", "training.learning_rate", "backbone.width")
    groups = [Group(dict(zip(keys, point, strict=True)), []) for point in points]
    assert telling(groups) == ["training.learning_rate"]
    assert telling(groups[1:]) == []


def test_a_folder_without_results_is_refused(tmp_path, study_file):
    with pytest.raises(RunError, match="is not a run folder"):
        outcomes_of([tmp_path])
    folder, file = StudyFolder(tmp_path / "out"), study_file(GRID)
    folder.claim(read_study(file), file.read_text())
    with pytest.raises(RunError, match=r"no run has ended in .*out: go on with `resprout study run`"):
        outcomes_of([folder.path])
