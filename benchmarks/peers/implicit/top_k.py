"""implicit's best items for all users, timed inside; runs in the environment of requirements.txt beside it.

    python top_k.py FOLDER K THREADS

FOLDER holds user_vectors.npy, item_vectors.npy, seen_starts.npy and seen_items.npy. Prints the version when ready. Each
line on stdin starts one call of recommend(); the answer is a line with its seconds, written after FOLDER/peer_items.npy
and FOLDER/peer_scores.npy.
"""

import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from implicit.cpu.matrix_factorization_base import MatrixFactorizationBase
from scipy.sparse import csr_matrix


class GivenVectors(MatrixFactorizationBase):
    def __init__(self, user_vectors, item_vectors, threads):
        super().__init__(num_threads=threads)
        self.user_factors, self.item_factors = user_vectors, item_vectors

    def fit(self, *_, **__):
        raise NotImplementedError

    def save(self, *_):
        raise NotImplementedError

    @classmethod
    def load(cls, *_):
        raise NotImplementedError


def main(folder, k, threads):
    vectors = (np.load(folder / name) for name in ("user_vectors.npy", "item_vectors.npy"))
    model = GivenVectors(*vectors, threads)
    starts, items = np.load(folder / "seen_starts.npy"), np.load(folder / "seen_items.npy")
    shape = (len(model.user_factors), len(model.item_factors))
    seen = csr_matrix((np.ones(len(items), np.float32), items, starts), shape=shape)
    users = np.arange(shape[0])
    print("implicit", version("implicit"), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        best_items, best_scores = model.recommend(users, seen, N=k, filter_already_liked_items=True)
        seconds = time.perf_counter() - begin
        np.save(folder / "peer_items.npy", best_items)
        np.save(folder / "peer_scores.npy", best_scores)
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
