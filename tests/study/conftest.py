import pytest


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
