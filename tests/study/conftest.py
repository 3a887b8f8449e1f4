import numpy as np
import pytest


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    random = np.random.default_rng(0)
    users, items = np.nonzero((np.add.outer(np.arange(40), np.arange(30)) % 2 == 0) & (random.random((40, 30)) < 0.8))
    path = tmp_path_factory.mktemp("data") / "checkerboard.csv"
    path.write_text("user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)))
    return path


@pytest.fixture
def study_file(data_file, tmp_path):
    """Writes a study of these grids."""

    def write(grids, more=""):
        base = f'''
[base]
data.source = "{data_file}"
backbone = {{ name = "mf", width = 8 }}
training = {{ epochs = 3, batch_size = 64, monitor = "recall@5" }}
evaluation.cutoffs = [5]
'''
        path = tmp_path / "small.toml"
        path.write_text(more + base + grids)
        return path

    return write
