"""Best 20 of all items for all users of Gowalla, seen items removed: resprout against implicit.

    RESPROUT_DATA=... python -m benchmarks.top_k

Vectors are random but fixed, N(0, 0.1^2) of width 64. Both sides hold their data in memory and time the one call only.
Nothing is timed before the results have been found equal. implicit is timed twice: as installed, and with
OPENBLAS_NUM_THREADS=1, because it runs its products in threads of its own, which OpenBLAS's threads would disturb.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import PEERS, Peer, alternate, floor, gowalla, peer, peer_python, seconds_of
from resprout.data.histories import Histories
from resprout.evaluation.evaluate import DotScorer, rank
from resprout.kernels.reference import top_k as reference
from resprout.rng import stream

N_USERS, N_ITEMS, WIDTH, K, THREADS, ROUNDS = 29_858, 40_981, 64, 20, 2, 7
PEER = PEERS / "implicit"
PEER_SETTINGS: dict[str, dict[str, str]] = {
    "implicit as installed": {},
    "implicit, OPENBLAS_NUM_THREADS=1": {"OPENBLAS_NUM_THREADS": "1"},
}
EQUAL_SHARE = 0.999
# Two float32 sums of 64 products, added up in different orders.
TIE = 1e-5


def main() -> bool:
    print("best 20 of all items for all users of Gowalla")
    seen = gowalla()
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
            command: list[str | Path] = [peer_python(PEER), PEER / "top_k.py", folder, str(K), str(THREADS)]
            peers = {name: stack.enter_context(peer(command, variables)) for name, variables in PEER_SETTINGS.items()}
            return compare(DotScorer(user_vectors, item_vectors), seen, folder, peers)


def compare(scorer: DotScorer, seen: Histories, folder: Path, peers: dict[str, Peer]) -> bool:
    users = np.arange(N_USERS, dtype=np.int32)
    print(f"  {THREADS} threads, numba {numba.__version__}; {', '.join({peer.version for peer in peers.values()})}")
    check_against_reference(scorer, seen, users[:200])
    ours = rank(scorer, users, seen, K)
    for name, theirs in peers.items():
        theirs.ask("")
        check_against_peer(name, ours, folder)
    timers: dict[str, Callable[[], float]] = {"resprout": lambda: seconds_of(lambda: rank(scorer, users, seen, K))}
    timers |= {name: partial(theirs.seconds, "") for name, theirs in peers.items()}
    medians = alternate(timers, ROUNDS)
    # a list, not a generator: every ratio is printed
    ratios = [floor(f"speed against {name}", medians[name] / medians["resprout"], 1, at_least=True) for name in peers]
    return all(ratios)


def check_against_reference(scorer: DotScorer, seen: Histories, users: NDArray[np.int32]) -> None:
    items, scores = rank(scorer, users, seen, K)
    true_items, true_scores = rank(scorer, users, seen, K, keep_best=reference.keep_best)
    if not (np.array_equal(items, true_items) and np.array_equal(scores, true_scores)):
        sys.exit(f"not timed: resprout differs from its reference among the first {len(users)} users")
    print(f"  correct: equal to the reference for {len(users)} users")


def check_against_peer(name: str, ours: tuple[NDArray[np.int32], NDArray[np.float32]], folder: Path) -> None:
    items, scores = ours
    their_items, their_scores = np.load(folder / "peer_items.npy"), np.load(folder / "peer_scores.npy")
    equal = np.mean(items == their_items)
    gap = np.abs(scores - their_scores).max()
    print(f"  correct: same item as {name} in {equal:.4%} of places; largest difference of scores {gap:.1e}")
    if equal < EQUAL_SHARE or gap > TIE:
        sys.exit(f"not timed: expected at least {EQUAL_SHARE:.1%}, and a difference of at most {TIE}")


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
