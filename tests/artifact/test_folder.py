import subprocess
import sys

import pytest

from resprout.artifact import folder as module
from resprout.artifact.folder import replacing, whole
from resprout.errors import RunError

KILLED_AT = {
    "while it fills the new folder": "with replacing(path) as part: (part / 'a').write_text('new'); die()",
    "before the first rename": "module._swap = die\nwith replacing(path) as part: (part / 'a').write_text('new')",
    "between the renames": (
        "rename = Path.rename\n"
        "Path.rename = lambda self, target: die() if self.name.endswith('.part') else rename(self, target)\n"
        "with replacing(path) as part: (part / 'a').write_text('new')"
    ),
    "before the old one is removed": (
        "module.sync_folder = lambda at: die() if at == path.parent else None\n"
        "with replacing(path) as part: (part / 'a').write_text('new')"
    ),
}


def fill(path, text):
    with replacing(path) as part:
        (part / "a").write_text(text)


@pytest.mark.parametrize("when", KILLED_AT)
def test_a_writer_that_is_killed_leaves_a_whole_folder_and_the_next_one_cleans_up(tmp_path, when):
    path = tmp_path / "model"
    fill(path, "old")
    code = (
        "import os, sys; from pathlib import Path; from resprout.artifact import folder as module\n"
        "from resprout.artifact.folder import replacing\n"
        "die = lambda *_: os.kill(os.getpid(), 9); path = Path(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code + KILLED_AT[when], path])
    assert done.returncode == -9
    expected = "new" if when == "before the old one is removed" else "old"
    assert (whole(path) / "a").read_text() == expected
    fill(path, "newest")
    assert whole(path) == path
    assert (path / "a").read_text() == "newest"
    assert not (tmp_path / ".model.old").exists()


def test_a_folder_keeps_its_content_when_filling_fails(tmp_path):
    fill(tmp_path / "model", "old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "model") as part:
        (part / "a").write_text(str(1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "a").read_text() == "old"


def test_a_disk_that_refuses_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "sync_folder", refuse)
    with pytest.raises(RunError, match="model cannot be written: No space left on device"):
        fill(tmp_path / "model", "new")
    assert list(tmp_path.iterdir()) == []
