import pytest
from run_makers import METHODS

from resprout.training.settings import assignments, merged, resolve


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
