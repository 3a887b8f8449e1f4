"""RecBole's training of one model, timed inside; runs in the environment of the requirements beside it.

    python theirs.py FOLDER MODEL SETTINGS THREADS

FOLDER holds the data set `given` as RecBole's atomic files; SETTINGS is JSON, over RecBole's own defaults. Answers as
answers.py says.
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answers import CHECKED_STEPS, answer

warnings.filterwarnings("ignore")
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

# A logit that adds nothing to any loss: RecBole has a padding item 0, which resprout has not.
NEVER = -1e4

Arrays = dict[str, np.ndarray]
Rows = Callable[..., np.ndarray]


class Side:
    """A model, its trainer and its loader, made as `run_recbole` makes them."""

    def __init__(self, folder: Path, name: str, settings: dict[str, Any]) -> None:
        given = {
            "data_path": str(folder),
            "benchmark_filename": ["train", "test", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "checkpoint_dir": str(folder / "saved"),
            "use_gpu": False,
            "learning_rate": 1e-3,
        }
        config = Config(model=name, dataset="given", config_dict=given | settings)
        init_seed(config["seed"], config["reproducibility"])
        self.loader, *_ = data_preparation(config, create_dataset(config))
        self.dataset = self.loader._dataset
        self.model = get_model(name)(config, self.dataset)
        self.trainer = get_trainer(config["MODEL_TYPE"], name)(config, self.model)
        self.name = name
        self._endless = self._batches()

    def __len__(self) -> int:
        return len(self.loader)

    def _batches(self) -> Iterator[Interaction]:
        while True:
            yield from self.loader

    def train(self, batches: Any) -> float:
        return self.trainer._train_epoch(batches, 0)

    def steps(self, count: int) -> str:
        begin = time.perf_counter()
        total = self.train(islice(self._endless, count))
        return f"{time.perf_counter() - begin} {total / count}"

    def check(self, folder: Path) -> str:
        self._take(dict(np.load(folder / "weights.npz")))
        pairs = self._interaction(dict(np.load(folder / "pairs.npz")))
        self.model.eval()
        with torch.no_grad():
            np.save(folder / "scores.npy", self.model.predict(pairs).numpy())
        batch = self._interaction(dict(np.load(folder / "batch.npz")))
        return json.dumps([self.train([batch]) for _ in range(CHECKED_STEPS)])

    def _ids(self, field: str, rows: np.ndarray) -> np.ndarray:
        return self.dataset.token2id(field, rows.astype(str))

    def _interaction(self, arrays: Arrays) -> Interaction:
        """What RecBole's loader would give for these: ids, and labels where it has them."""
        names = {
            "users": ("user_id", "user_id"),
            "items": ("item_id", "item_id"),
            "negatives": ("neg_item_id", "item_id"),
        }
        found = {names[key][0]: self._ids(names[key][1], rows) for key, rows in arrays.items() if key in names}
        columns = {key: torch.from_numpy(ids) for key, ids in found.items()}
        if "labels" in arrays:
            columns["label"] = torch.from_numpy(arrays["labels"])
        return Interaction(columns)

    def _take(self, weights: Arrays) -> None:
        def placed(field: str) -> Rows:
            """Rows at the places of RecBole's ids, zeros for its padding."""
            count = self.dataset.num(field)

            def place(rows: np.ndarray, padding: float = 0.0) -> np.ndarray:
                out = np.full((count, *rows.shape[1:]), padding, np.float32)
                out[self._ids(field, np.arange(len(rows)))] = rows
                return out

            return place

        state = TAKE[self.name](weights, placed("user_id"), placed("item_id"))
        self.model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})


def take_lightgcn(own: Arrays, users: Rows, items: Rows) -> Arrays:
    n_users = int(own["n_users"])
    return {
        "user_embedding.weight": users(own["node"][:n_users]),
        "item_embedding.weight": items(own["node"][n_users:]),
    }


def take_bpr(own: Arrays, users: Rows, items: Rows) -> Arrays:
    return {"user_embedding.weight": users(own["user"]), "item_embedding.weight": items(own["item"])}


def take_neumf(own: Arrays, users: Rows, items: Rows) -> Arrays:
    state = {
        "user_mf_embedding.weight": users(own["user_product"]),
        "item_mf_embedding.weight": items(own["item_product"]),
        "user_mlp_embedding.weight": users(own["user_deep"]),
        "item_mlp_embedding.weight": items(own["item_deep"]),
        "mlp_layers.mlp_layers.1.weight": np.concatenate([own["user_half.weight"], own["item_half.weight"]], 1),
        "mlp_layers.mlp_layers.1.bias": own["user_half.bias"],
    }
    for kind in ("weight", "bias"):
        state[f"predict_layer.{kind}"] = own[f"top.{kind}"]
        # each layer of RecBole's is three modules: dropout, matrix, activation
        state |= {f"mlp_layers.mlp_layers.{4 + 3 * k}.{kind}": own[f"layers.{k}.{kind}"] for k in range(2)}
    return state


def take_convncf(own: Arrays, users: Rows, items: Rows) -> Arrays:
    state = take_bpr(own, users, items)
    for kind in ("weight", "bias"):
        state[f"predict_layers.mlp_layers.1.{kind}"] = own[f"top.{kind}"]
        state |= {f"cnn_layers.cnn_layers.{2 * k}.{kind}": own[f"convolutions.{k}.{kind}"] for k in range(6)}
    return state


def take_cdae(own: Arrays, users: Rows, items: Rows) -> Arrays:
    return {
        "h_user.weight": users(own["user"]),
        "h_item.weight": items(own["item_in"]).T.copy(),
        "h_item.bias": own["hidden"],
        "out_layer.weight": items(own["item_out"]),
        "out_layer.bias": items(own["output"], NEVER),
    }


def take_multvae(own: Arrays, _: Rows, items: Rows) -> Arrays:
    return {
        "encoder.0.weight": items(own["item_in"]).T.copy(),
        "encoder.0.bias": own["biases.input"],
        "encoder.2.weight": own["encoder.weight"],
        "encoder.2.bias": own["encoder.bias"],
        "decoder.0.weight": own["decoder.weight"],
        "decoder.0.bias": own["decoder.bias"],
        "decoder.2.weight": items(own["item_out"]),
        "decoder.2.bias": items(own["biases.output"], NEVER),
    }


TAKE: dict[str, Callable[[Arrays, Rows, Rows], Arrays]] = {
    "LightGCN": take_lightgcn,
    "BPR": take_bpr,
    "NeuMF": take_neumf,
    "ConvNCF": take_convncf,
    "CDAE": take_cdae,
    "MultiVAE": take_multvae,
}


def peak_bytes() -> int:
    # not ru_maxrss, which a new process takes over from the one that started it
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def main(folder: Path, name: str, settings: dict[str, Any], threads: int) -> None:
    answers = os.fdopen(os.dup(1), "w")
    # RecBole writes to standard output, and logs of TensorBoard to where it runs
    os.dup2(2, 1)
    os.chdir(folder)
    logging.disable()
    torch.set_num_threads(threads)
    side = Side(folder, name, settings)
    import recbole

    answer(side, f"RecBole {recbole.__version__}, torch {torch.__version__}", peak_bytes, answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
