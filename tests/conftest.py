import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; without one the tests that need it cannot run, and on CI that is a failure."""
    folder = os.environ.get("RESPROUT_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("RESPROUT_DATA names no folder of data sets")
    pytest.skip("set RESPROUT_DATA to a folder of the known data sets (see `resprout data list`)")
