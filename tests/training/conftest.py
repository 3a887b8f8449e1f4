import numpy as np
import pytest
from run_makers import METHODS

from resprout.training.settings import assignments, merged, resolve


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    random = np.random.default_rng(0)
    users, items = np.nonzero((np.add.outer(np.arange(40), np.arange(30)) % 2 == 0) & (random.random((40, 30)) < 0.8))
    path = tmp_path_factory.mktemp("data") / "checkerboard.csv"
    path.write_text("user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)))
    return path


@pytest.fixture
def settings(data_file):
    def make(method="dense", *more):
        common = [
            f"data.source={data_file}", "backbone.name=lightgcn", "backbone.width=16", "training.epochs=6",
            "training.batch_size=64", "training.learning_rate=0.05", "evaluation.cutoffs=[5,20]",
            f"method.name={method.split(',')[0]}",
        ]  # fmt: skip
        return resolve(merged(*(assignments([text]) for text in (*common, *METHODS[method], *more))))

    return make
