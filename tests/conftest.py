import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import resprout  # noqa: F401  before any test loads PyTorch: it says how long idle threads may spin (decision 0004)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """What fsync keeps safe from is a power cut, which no test makes, and tests that write checkpoints wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; without one the tests that need it cannot run, and on CI that is a failure."""
    folder = os.environ.get("RESPROUT_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("RESPROUT_DATA names no folder of data sets")
    pytest.skip("set RESPROUT_DATA to a folder of the known data sets (see `resprout data list`)")


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    """Users and items that belong together if both are even or both odd, as a CSV."""
    random = np.random.default_rng(0)
    users, items = np.nonzero((np.add.outer(np.arange(40), np.arange(30)) % 2 == 0) & (random.random((40, 30)) < 0.8))
    path = tmp_path_factory.mktemp("data") / "checkerboard.csv"
    path.write_text("user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)))
    return path
