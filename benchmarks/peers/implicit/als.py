"""implicit's ALS, fitted to a matrix; runs in the environment of requirements.txt beside it.

    python als.py FOLDER THREADS

Prints the version when ready. Each line on stdin is a JSON object with `fit` and `known`, the names of two sets of
lists NAME_{starts,items}.npy in FOLDER, `n_items`, and ALS's own `arguments`. The answer is a line with the seconds of
the fit, written after FOLDER/als_users.npy, made of the users' known lists, and FOLDER/als_items.npy.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix


def lists(folder, name, n_items):
    starts, items = (np.load(folder / f"{name}_{part}.npy") for part in ("starts", "items"))
    return csr_matrix((np.ones(len(items), np.float32), items, starts), shape=(len(starts) - 1, n_items))


def main(folder, threads):
    print("implicit", version("implicit"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        fit, known = (lists(folder, asked[name], asked["n_items"]) for name in ("fit", "known"))
        model = AlternatingLeastSquares(num_threads=threads, random_state=0, **asked["arguments"])
        begin = time.perf_counter()
        model.fit(fit, show_progress=False)
        seconds = time.perf_counter() - begin
        np.save(folder / "als_users.npy", model.recalculate_user(np.arange(known.shape[0]), known))
        np.save(folder / "als_items.npy", model.item_factors)
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
