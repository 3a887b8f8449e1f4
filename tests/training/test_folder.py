"""A run folder and who may train in it."""

import pytest

from resprout.errors import RunError
from resprout.training.folder import RunFolder


def test_one_at_a_time(tmp_path):
    with (
        RunFolder(tmp_path).alone(),
        pytest.raises(RunError, match="is being trained by another process"),
        RunFolder(tmp_path).alone(),
    ):
        pass
    with RunFolder(tmp_path).alone():
        pass


def test_a_folder_in_which_no_lock_can_be_made(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunError, match="cannot be written to: Is a directory"), RunFolder(tmp_path).alone():
        pass
