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
