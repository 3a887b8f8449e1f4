"""A folder that is replaced whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from resprout.artifact.files import sync_folder, writing


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` at the end of the block, unless that raises.

    No system call swaps two folders everywhere, so the old one steps aside first: killed just then, a writer leaves it
    where `whole` finds it. Killed earlier, it leaves a hidden `.NAME.PID.part`. Raises RunError if the disk refuses.
    """
    folder = folder.absolute()
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if part.exists():
            shutil.rmtree(part)
        part.mkdir()
        try:
            yield part
            sync_folder(part)
            _swap(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def whole(folder: Path) -> Path:
    """`folder`, or where its content lies if a writer was killed between its two renames."""
    aside = _aside(folder.absolute())
    return aside if aside.is_dir() and not folder.exists() else folder


def _swap(part: Path, folder: Path) -> None:
    aside = _aside(folder)
    if folder.exists():
        if aside.exists():
            shutil.rmtree(aside)
        folder.rename(aside)
    part.rename(folder)
    sync_folder(folder.parent)
    # Those who have mapped the old files keep them: a file lives until its last user is gone.
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
