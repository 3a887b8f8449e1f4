"""Benchmarks are run by hand, on a quiet machine: here only that they still can be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ROOT / "benchmarks" / "peers" / "recbole" / "ours.py"
MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("_"))


def test_all_can_be_imported():
    lines = [
        f"import benchmarks.{name}; assert callable(benchmarks.{name}.main)" for name in MODULES if name != "common"
    ]
    assert len(lines) > 8
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, check=True)


@pytest.mark.parametrize("backbone", ["mf", "multvae"])
def test_our_side_of_the_comparison_of_epochs_answers(backbone, real_data, tmp_path):
    settings = {
        "data": {"source": "ml-1m"},
        "backbone": {"name": backbone, "width": 8},
        "training": {"batch_size": 256, "learning_rate": 1e-2, "decay": "constant"},
    }
    ended = subprocess.run(
        [sys.executable, OURS, json.dumps(settings), "1"],
        input=f"batches\ncheck {tmp_path}\nsteps 3\npeak\n",
        env=os.environ | {"RESPROUT_DATA": str(real_data)},
        capture_output=True,
        text=True,
        check=True,
    )
    version, batches, losses, steps, peak = ended.stdout.splitlines()
    assert version.startswith("resprout ")
    assert int(batches) == {"mf": 3111, "multvae": 24}[backbone]
    first, *_, last = json.loads(losses)
    assert last < first
    assert {path.name for path in tmp_path.iterdir()} == {"weights.npz", "pairs.npz", "batch.npz", "scores.npy"}
    seconds, loss = map(float, steps.split())
    assert seconds > 0
    assert 0 < loss < 2 * first
    assert int(peak) > 10**8
