"""One training step of UltraGCN on Gowalla, width 64, 64 negatives for each positive: packed, dense, PyTorch.

RESPROUT_DATA=... python -m benchmarks.ultragcn
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import (
    PEERS,
    Stepper,
    alternate,
    floor,
    gate,
    gowalla,
    largest,
    peer,
    save_arrays,
    step_timers,
    tables_of,
)
from resprout.backbones.ultragcn import Options, UltraGCN
from resprout.data.batches import Triplets

WIDTH, BATCH, THREADS, ROUNDS = 64, 1024, 2, 25
OPTIONS = Options(width=WIDTH, share_negatives=False, negatives=64, l2=1e-4)


def main() -> bool:
    histories = gowalla()
    models = {
        density: UltraGCN(OPTIONS, tables_of(UltraGCN, OPTIONS, histories, density), histories)
        for density in (None, 0.5, 0.1)
    }
    batch = models[None].batches(BATCH, 0, "interaction").batch(0, 0)
    steppers = {density: Stepper(model, batch) for density, model in models.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, models[None], batch)
        with peer([sys.executable, PEERS / "pytorch" / "ultragcn.py", folder, str(THREADS)]) as torch_peer:
            print(f"one training step of UltraGCN on Gowalla: width {WIDTH}, batch {BATCH:,}; {torch_peer.version}")
            ours = [steppers[None].step() for _ in range(4)]
            theirs = [float(torch_peer.ask("step").split()[1]) for _ in range(4)]
            gate("losses of four dense steps and PyTorch's", largest(np.array(ours) / theirs - 1), 1e-5)
            theirs_timer = {"PyTorch": partial(torch_peer.seconds, "step")}
            medians = alternate(step_timers(steppers) | theirs_timer, ROUNDS)
    torch_step = medians["PyTorch"]
    return all(
        [
            floor("dense step against PyTorch", torch_step / medians["dense table"], 4, at_least=True),
            floor("dsl step at 0.5 against PyTorch", torch_step / medians["dsl at 0.5"], 4, at_least=True),
        ]
    )


def write_inputs(folder: Path, dense: UltraGCN, batch: Triplets) -> None:
    near, options = dense.near, dense.options
    assert near is not None
    graph = [options.constant_positive, options.graph_positive, options.constant_negative, options.graph_negative]
    arrays = {
        "users": dense.tables["user"].read_range(0, dense.histories.n_users),
        "items": dense.tables["item"].read_range(0, dense.histories.n_items),
        "batch_users": batch.users,
        "batch_positives": batch.positives,
        "batch_negatives": batch.negatives,
        "user_factor": dense.user_factor.numpy(),
        "item_factor": dense.item_factor.numpy(),
        "near_items": near.items,
        "near_weights": near.weights,
        "weights": np.array([*graph, options.negative_weight, options.item_weight, options.l2, dense.offset]),
    }
    save_arrays(folder, arrays)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
