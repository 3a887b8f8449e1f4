"""implicit's ALS and item neighbours, fitted to a matrix; runs in the environment of requirements.txt beside it.

    python baselines.py FOLDER THREADS

Prints the version when ready. Each line on stdin is a JSON object with `model`, `fit` and `known`, the names of two
sets of lists NAME_{starts,items}.npy in FOLDER, `n_items`, and the model's own `arguments`. The answer is a line with
the seconds of the fit, written after its result: of "als" FOLDER/als_users.npy, made of the users' known lists, and
FOLDER/als_items.npy; of "cosine", "tfidf" and "bm25" the neighbours of each item, as the three arrays of a sparse
matrix FOLDER/knn_{data,indices,indptr}.npy.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from implicit.utils import ParameterWarning
from scipy.sparse import csr_matrix

warnings.simplefilter("ignore", ParameterWarning)  # of matrices that it makes itself
NEIGHBOURS = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}


def lists(folder, name, n_items):
    starts, items = (np.load(folder / f"{name}_{part}.npy") for part in ("starts", "items"))
    return csr_matrix((np.ones(len(items), np.float32), items, starts), shape=(len(starts) - 1, n_items))


def main(folder, threads):
    print("implicit", version("implicit"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        fit, known = (lists(folder, asked[name], asked["n_items"]) for name in ("fit", "known"))
        is_als = asked["model"] == "als"
        kind, own = (AlternatingLeastSquares, {"random_state": 0}) if is_als else (NEIGHBOURS[asked["model"]], {})
        model = kind(num_threads=threads, **own, **asked["arguments"])
        begin = time.perf_counter()
        model.fit(fit, show_progress=False)
        seconds = time.perf_counter() - begin
        if is_als:
            np.save(folder / "als_users.npy", model.recalculate_user(np.arange(known.shape[0]), known))
            np.save(folder / "als_items.npy", model.item_factors)
        else:
            for part in ("data", "indices", "indptr"):
                np.save(folder / f"knn_{part}.npy", getattr(model.similarity, part))
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
