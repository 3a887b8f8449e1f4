"""A small CSV that is quick to learn, and the command line run in this process."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from resprout.cli.main import app

N_USERS, N_ITEMS, N_GROUPS = 60, 40, 4
SMALL = (
    *("--backbone", "mf", "--method", "dsl", "--budget", "50%", "--epochs", "6", "--set", "backbone.width=8"),
    *("--set", "training.batch_size=64", "--set", "training.learning_rate=0.05", "--set", "method.regrow_every=4"),
)
Command = Callable[..., Result]


@pytest.fixture(scope="session")
def pairs() -> list[tuple[str, str]]:
    """Each user reads eight of the ten books of one group, and one of another group."""
    random = np.random.default_rng(7)
    found = []
    for user in range(N_USERS):
        own = np.arange(user % N_GROUPS, N_ITEMS, N_GROUPS)
        books = [*random.choice(own, 8, replace=False), (user + 1) % N_ITEMS]
        found += [(f"user {user}", f"book {book}") for book in sorted(set(books))]
    return found


@pytest.fixture(scope="session")
def books_csv(pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "books.csv"
    path.write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    return path


@pytest.fixture
def resprout() -> Command:
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return run


@pytest.fixture(scope="session")
def trained(books_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended."""
    folder = tmp_path_factory.mktemp("runs") / "books"
    result = CliRunner().invoke(app, ["train", "--data", str(books_csv), *SMALL, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def wait_for_lines() -> Callable[[Path, int, "subprocess.Popen[str]"], None]:
    """Waits until a file has so many lines; fails if the process that writes it ends before, or after a minute."""

    def wait(path: Path, count: int, process: "subprocess.Popen[str]") -> None:
        end = time.monotonic() + 60
        while not path.exists() or len(path.read_text().splitlines()) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait
