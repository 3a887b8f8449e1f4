"""Best 20 of all items for all users of Gowalla, seen items removed: resprout against implicit.

    RESPROUT_DATA=... python benchmarks/top_k.py

Vectors are random but fixed, N(0, 0.1^2) of width 64. Both sides hold their data in memory and time the one call only.
Nothing is timed before the results have been found equal. implicit is timed twice: as installed, and with
OPENBLAS_NUM_THREADS=1, because it runs its products in threads of its own, which OpenBLAS's threads would disturb.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numba
import numpy as np
from numpy.typing import NDArray

from resprout.data.histories import Histories
from resprout.evaluation.evaluate import DotScorer, rank
from resprout.kernels.reference import top_k as reference
from resprout.rng import stream

N_USERS, N_ITEMS, WIDTH, K = 29_858, 40_981, 64, 20
PEER = Path(__file__).parent / "peers" / "implicit"
PEER_SETTINGS: dict[str, dict[str, str]] = {
    "implicit as installed": {},
    "implicit, OPENBLAS_NUM_THREADS=1": {"OPENBLAS_NUM_THREADS": "1"},
}
EQUAL_SHARE = 0.999
# Two float32 sums of 64 products, added up in different orders.
TIE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timed calls of each side")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side")
    options = parser.parse_args()
    numba.set_num_threads(options.threads)

    seen = read_seen()
    user_vectors, item_vectors = (
        (stream(0, "top_k", name).standard_normal((rows, WIDTH)) * 0.1).astype(np.float32)
        for name, rows in (("users", N_USERS), ("items", N_ITEMS))
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "user_vectors.npy", user_vectors)
        np.save(folder / "item_vectors.npy", item_vectors)
        np.save(folder / "seen_starts.npy", seen.starts)
        np.save(folder / "seen_items.npy", seen.items)
        with ExitStack() as stack:
            peers = {
                name: stack.enter_context(peer(folder, options.threads, variables))
                for name, variables in PEER_SETTINGS.items()
            }
            compare(DotScorer(user_vectors, item_vectors), seen, folder, peers, options.rounds)


def read_seen() -> Histories:
    lines = Path(os.environ["RESPROUT_DATA"], "gowalla", "train.txt").read_text().splitlines()
    rows = [np.array(line.split(), dtype=np.int32) for line in lines]
    users = np.concatenate([np.full(len(row) - 1, row[0]) for row in rows])
    return Histories.from_pairs(users, np.concatenate([row[1:] for row in rows]), N_USERS, N_ITEMS)


class Peer:
    """A process that is kept alive, so that its start does not count."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self.version = self._answer()

    def seconds(self) -> float:
        self._requests.write("\n")
        self._requests.flush()
        return float(self._answer())

    def _answer(self) -> str:
        line = self._answers.readline().strip()
        if not line:
            sys.exit("implicit's process ended early; its own message is above")
        return line


@contextmanager
def peer(folder: Path, threads: int, variables: dict[str, str]) -> Iterator[Peer]:
    command: list[str | Path] = [peer_python(), PEER / "top_k.py", folder, str(K), str(threads)]
    # A shell may hold OpenBLAS to the code for an older CPU (OPENBLAS_CORETYPE), which would slow the peer alone.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")} | variables
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Peer(process.stdin, process.stdout)
        process.stdin.close()


def peer_python() -> Path:
    folder = PEER / ".venv"
    python = folder / "bin" / "python"
    done = folder / "installed.txt"
    wanted = (PEER / "requirements.txt").read_text()
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", PEER / "requirements.txt"], check=True)
        done.write_text(wanted)
    return python


def compare(scorer: DotScorer, seen: Histories, folder: Path, peers: dict[str, Peer], rounds: int) -> None:
    users = np.arange(N_USERS, dtype=np.int32)
    print(f"{platform.machine()}, {numba.get_num_threads()} threads, Python {platform.python_version()}", end=", ")
    print(f"numba {numba.__version__}; {', '.join({peer.version for peer in peers.values()})}")
    check_against_reference(scorer, seen, users[:200])
    ours = rank(scorer, users, seen, K)
    for name, theirs in peers.items():
        theirs.seconds()
        check_against_peer(name, ours, folder)

    our_seconds = []
    their_seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, theirs in peers.items():
            their_seconds[name].append(theirs.seconds())
        begin = time.perf_counter()
        rank(scorer, users, seen, K)
        our_seconds.append(time.perf_counter() - begin)
    for name, seconds in {"resprout": our_seconds, **their_seconds}.items():
        ratio = np.median(seconds) / np.median(our_seconds)
        print(
            f"{name}: median {np.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}), ratio {ratio:.2f}"
        )


def check_against_reference(scorer: DotScorer, seen: Histories, users: NDArray[np.int32]) -> None:
    items, scores = rank(scorer, users, seen, K)
    true_items, true_scores = rank(scorer, users, seen, K, keep_best=reference.keep_best)
    if not (np.array_equal(items, true_items) and np.array_equal(scores, true_scores)):
        sys.exit(f"not timed: resprout differs from its reference among the first {len(users)} users")
    print(f"equal to the reference for {len(users)} users")


def check_against_peer(name: str, ours: tuple[NDArray[np.int32], NDArray[np.float32]], folder: Path) -> None:
    items, scores = ours
    their_items, their_scores = np.load(folder / "peer_items.npy"), np.load(folder / "peer_scores.npy")
    equal = np.mean(items == their_items)
    gap = np.abs(scores - their_scores).max()
    print(f"same item as {name} in {equal:.4%} of places; largest difference of scores {gap:.1e}")
    if equal < EQUAL_SHARE or gap > TIE:
        sys.exit(f"not timed: expected at least {EQUAL_SHARE:.1%}, and a difference of at most {TIE}")


if __name__ == "__main__":
    main()
