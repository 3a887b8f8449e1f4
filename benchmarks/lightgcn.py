"""One smoothing hop and one training step of LightGCN on Gowalla, width 64: packed, dense, and PyTorch.

RESPROUT_DATA=... python -m benchmarks.lightgcn
"""

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import (
    PEERS,
    Peer,
    Stepper,
    alternate,
    floor,
    gate,
    gowalla,
    largest,
    peer,
    save_arrays,
    seconds_of,
    step_timers,
    tables_of,
)
from resprout.backbones.lightgcn import LightGCN, Options
from resprout.data.batches import TripletBatches, Triplets
from resprout.data.histories import Histories
from resprout.kernels.contract import Links, NoRows
from resprout.methods.dsl import Options as DSLOptions
from resprout.methods.dsl import Regrow
from resprout.methods.method import Moment
from resprout.tables.packed import PackedTable
from resprout.tables.smoothing import Between, InBfloat16, InFloat32, NodeSmoothing
from resprout.tables.table import Table, aligned_empty

WIDTH, BATCH, THREADS, ROUNDS = 64, 2048, 2, 25
OPTIONS = Options(width=WIDTH)


def main() -> bool:
    histories = gowalla()
    batch = TripletBatches(histories, BATCH, 0, "user").batch(0, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {density: make_model(histories, density) for density in (None, 0.5, 0.1)}
        write_inputs(folder, models[None], batch)
        script = PEERS / "pytorch" / "lightgcn.py"
        with peer([sys.executable, script, folder, str(THREADS)]) as torch_peer:
            print(f"LightGCN on Gowalla, width {WIDTH}, {THREADS} threads; {torch_peer.version}")
            results = [
                hops(folder, models, torch_peer),
                steps(models, batch, torch_peer),
            ]
    return all([*results, regrowing(make_model(histories, 0.5), batch), state(models)])


def make_model(histories: Histories, density: float | None, between: type[Between] = InBfloat16) -> LightGCN:
    backbone = type("LightGCN", (LightGCN,), {"between": between})
    model: LightGCN = backbone(OPTIONS, tables_of(LightGCN, OPTIONS, histories, density), histories)
    return model


def write_inputs(folder: Path, dense: LightGCN, batch: Triplets) -> None:
    links, table = links_of(dense), dense.tables["node"]
    first_item = dense.histories.n_users
    arrays: dict[str, np.ndarray] = {
        "graph_starts": links.starts,
        "graph_neighbours": links.ids,
        "graph_weights": links.weights,
        "table": table.read_range(0, table.shape.rows),
        "batch_users": batch.users,
        "batch_positives": batch.positives + first_item,
        "batch_negatives": batch.negatives + first_item,
    }
    save_arrays(folder, arrays)


def links_of(model: LightGCN) -> Links:
    assert isinstance(model.smoothing, NodeSmoothing)
    return model.smoothing.links


def hops(folder: Path, models: dict[float | None, LightGCN], torch_peer: Peer) -> bool:
    print("one smoothing hop")
    links = links_of(models[None])
    out = aligned_empty(len(links.starts) - 1, WIDTH)
    for density, model in models.items():
        table = model.tables["node"]
        hop(links, table, out)
        if density is None:
            torch_peer.ask(f"coo {folder / 'coo.npy'}")
            gate("dense hop and torch COO", largest(out - np.load(folder / "coo.npy")), 1e-5)
        else:
            whole = table.read_range(0, table.shape.rows)
            gate(f"packed hop at {density} and SciPy", largest(out - scipy_hop(links, whole)), 1e-5)
    timers: dict[str, Callable[[], float]] = {
        "dense" if density is None else f"packed at {density}": partial(
            seconds_of, partial(hop, links, model.tables["node"], out)
        )
        for density, model in models.items()
    }
    timers |= {f"torch {kind}": partial(torch_peer.seconds, kind) for kind in ("csr", "coo")}
    medians = alternate(timers, ROUNDS)
    csr, coo = medians["torch csr"], medians["torch coo"]
    return all(
        [
            floor("packed at 0.5 against torch CSR", csr / medians["packed at 0.5"], 2.2, at_least=True),
            floor("packed at 0.1 against torch CSR", csr / medians["packed at 0.1"], 3, at_least=True),
            floor("packed at 0.5 against torch COO", coo / medians["packed at 0.5"], 8, at_least=True),
            floor("packed at 0.1 against torch COO", coo / medians["packed at 0.1"], 8, at_least=True),
        ]
    )


def hop(links: Links, table: Table, out: np.ndarray) -> None:
    table.backend.sum_links(links, 0, table.stored, NoRows(), 1.0, out)


def scipy_hop(links: Links, table: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_array

    nodes = len(links.starts) - 1
    return np.asarray(csr_array((links.weights, links.ids, links.starts), (nodes, nodes)) @ table)


def steps(models: dict[float | None, LightGCN], batch: Triplets, torch_peer: Peer) -> bool:
    print(f"one training step: L=3, batch {BATCH:,}, Adam")
    steppers = {density: Stepper(model, batch) for density, model in models.items()}
    in_float32 = Stepper(make_model(models[None].histories, None, InFloat32), batch)
    losses = np.array([[stepper.step() for _ in range(4)] for stepper in (steppers[None], in_float32)])
    theirs = [float(torch_peer.ask("step").split()[1]) for _ in range(4)]
    gate("losses of four dense steps and PyTorch's, float32 between hops", largest(losses[1] / theirs - 1), 1e-5)
    gate("the same, bfloat16 between hops", largest(losses[0] / theirs - 1), 1e-5)
    other_timers = {
        "dense table, float32 between hops": partial(seconds_of, in_float32.step),
        "PyTorch, COO and Adam": partial(torch_peer.seconds, "step"),
    }
    medians = alternate(step_timers(steppers) | other_timers, ROUNDS)
    torch_step, dense = medians["PyTorch, COO and Adam"], medians["dense table"]
    return all(
        [
            floor("dense step against PyTorch", torch_step / dense, 7, at_least=True),
            floor("dsl step at 0.5 against PyTorch", torch_step / medians["dsl at 0.5"], 8, at_least=True),
            floor("dsl step at 0.5 by our dense step", medians["dsl at 0.5"] / dense, 0.95, at_least=False),
            floor("dsl step at 0.1 by our dense step", medians["dsl at 0.1"] / dense, 0.80, at_least=False),
        ]
    )


def regrowing(model: LightGCN, batch: Triplets) -> bool:
    every = 2000
    print(f"moving slots every {every:,} steps, half of them at first")
    table, stepper = model.tables["node"], Stepper(model, batch)
    assert isinstance(table, PackedTable)
    slots = table.slots
    stepper.step()

    def backward(factor: int) -> None:
        batches = TripletBatches(model.histories, BATCH, 0, "user")
        model.loss(batches.fresh(stepper.count, factor)).backward()

    def move() -> None:
        Regrow(DSLOptions(regrow_every=1)).after_update(Moment(0, 1, 10**6, 0, model, backward))
        table.clear_gradient()

    move()
    gate("slots before and after moves", abs(table.slots - slots), 0)
    medians = alternate({"a step": lambda: seconds_of(stepper.step), "a move": lambda: seconds_of(move)}, 9)
    share = medians["a move"] / (medians["a move"] + every * medians["a step"])
    return floor("share of training spent in moving slots", share, 0.02, at_least=False)


def state(models: dict[float | None, LightGCN]) -> bool:
    print("training state of a packed table")
    results = []
    for density in (0.5, 0.1):
        table = models[density].tables["node"]
        rows, weights = table.shape.rows, table.shape.weights
        formula = rows * 8 + 4 * (-(-rows // 8) + 1) + 12 * table.slots
        held = table.memory(training=True).total
        print(f"  density {density}: {held:,} bytes, {held / weights:.2f} a position (dense with moments: 12)")
        results.append(floor("bytes by the formula", held / formula, 1.02, at_least=False))
    return all(results)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
