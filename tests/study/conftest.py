import json

import pytest


@pytest.fixture(scope="session")
def study_text(data_file):
    """The text of a study of these grids."""

    def text(grids, more=""):
        return f'''{more}
[base]
data.source = "{data_file}"
backbone = {{ name = "mf", width = 8 }}
training = {{ epochs = 3, batch_size = 64, monitor = "recall@5" }}
evaluation.cutoffs = [5]
{grids}'''

    return text


@pytest.fixture
def study_file(study_text, tmp_path):
    """Writes a study of these grids."""

    def write(grids, more=""):
        path = tmp_path / "small.toml"
        path.write_text(study_text(grids, more))
        return path

    return write


@pytest.fixture
def write_result():
    """Writes a result.json by hand; what is not given is as good as nothing."""

    def write(folder, limit=None, **own):
        result = {
            **dict.fromkeys(("dataset", "backbone", "method"), ""),
            **{"seed": 0, "refit": False, "validation": {}, "test": {}},
            "epochs": {"trained": 1, "chosen": 1},
            "budget": dict.fromkeys(("slots", "dense_weights", "deployed_bytes", "dense_bytes"), 1)
            | {"limit": limit, "dense_bytes": 4000},
            "cost": dict.fromkeys(("train_seconds", "peak_table_bytes"), 1) | {"stages": []},
        }
        result["cost"] |= {
            f"macs_{kind}": 1 for kind in ("nominal_training", "executed_training", "executed_inference")
        }
        (folder / "result.json").write_text(json.dumps({**result, **own}))

    return write
