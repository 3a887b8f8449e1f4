"""Several processes that run one study: one at a time changes its folder, and each trains runs that no other trains.

Locks are those of the operating system, or files where a file system knows none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process changes what is planned in the folder of a study."""
    with FileLock(folder / LOCK, is_singleton=True):  # which a process may take again while it has it
        yield


class Claims:
    """The runs that this process has taken; they are free again when it ends, however it does."""

    def __init__(self, folder: Path) -> None:
        """folder: the study's, where `.KEY.lock` stands for a run."""
        self._folder = folder
        self._taken: dict[str, FileLock] = {}

    def take(self, key: str) -> bool:
        """Takes a run; False if another process has it."""
        lock = FileLock(self._folder / f".{key}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._taken[key] = lock
        return True

    def leave(self, key: str) -> None:
        """Lets others have a run."""
        self._taken.pop(key).release()

    def leave_all(self) -> None:
        """Lets others have all that this process has taken."""
        for key in list(self._taken):
            self.leave(key)
