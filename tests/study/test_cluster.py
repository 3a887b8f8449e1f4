"""Studies on a real Ray cluster of this machine: a head, and two workers of one core each."""

import socket
import warnings

import pytest
from run_makers import what_came_out

from resprout.errors import SettingsError
from resprout.study.cluster import RayCluster
from resprout.study.folder import StudyFolder
from resprout.study.processes import Processes
from resprout.study.runner import run_study
from resprout.study.spec import read_study

GRID = """
[[grid]]
set = { "training.epochs" = 150, "training.patience" = 0 }
axes = { "training.seed" = [0, 1] }
"""


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        yield made
        ray.shutdown()
        made.shutdown()


def test_a_study_whose_worker_is_killed_equals_one_on_this_machine(cluster, study_file, tmp_path):
    file = study_file(GRID)
    study = read_study(file)
    here, there = StudyFolder(tmp_path / "a" / "here"), StudyFolder(tmp_path / "b" / "there")  # not beside each other
    for folder in (here, there):
        folder.claim(study, file.read_text())
    run_study(study, here, Processes(here, 2, threads=1), lambda _: None)
    machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
    workers = RayCluster(there)
    assert workers.jobs == 2
    killed = []

    def told(progress):
        if (
            len(progress.running) == 2
            and not killed
            and all((there.run(key).checkpoint / "last.safetensors").exists() for key in progress.running)
        ):
            assert not any(there.run(key).result.exists() for key in progress.running)
            killed.extend(progress.running)
            cluster.remove_node(machines[0], allow_graceful=False)

    progress = run_study(study, there, workers, told)
    assert len(killed) == 2
    assert not progress.failed
    for run in study.runs:
        assert what_came_out(there.path / run.key) == what_came_out(here.path / run.key)


def test_without_a_cluster(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(SettingsError, match="no Ray cluster: start one with `ray start --head`"):
        RayCluster(StudyFolder(tmp_path))


def test_with_an_address_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(SettingsError, match="no Ray cluster at nonsense: start one with `ray start --head`"):
        RayCluster(StudyFolder(tmp_path))


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_with_a_cluster_that_does_not_answer(nobody, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    with pytest.raises(SettingsError, match=f"RAY_ADDRESS {nobody} does not answer .*: start one with"):
        RayCluster(StudyFolder(tmp_path))


def test_a_note_of_a_cluster_that_was_killed(nobody, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(nobody)
    with pytest.raises(SettingsError, match=f"the last cluster started here, {nobody} does not answer"):
        RayCluster(StudyFolder(tmp_path))
