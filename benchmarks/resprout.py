"""One training step of MF and LightGCN on Gowalla: rows of few bits against a dense table, and a narrow one.

The narrow one takes five bytes a row more in training than the int8 table of width 64: 6 columns.

RESPROUT_DATA=... python -m benchmarks.resprout
"""

import sys
from functools import partial

import numpy as np

from benchmarks.common import Stepper, alternate, floor, gate, gowalla, seconds_of, tables_of
from resprout.backbones.backbone import Backbone
from resprout.backbones.lightgcn import LightGCN
from resprout.backbones.mf import MF
from resprout.data.histories import Histories
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.planes import PlanesTable

WIDTH, NARROW, BATCH, ROUNDS = 64, 6, 2048, 15
L2 = 1e-4
"""So little that the squares of a table, which few bits change, do not show in its loss."""
KINDS = {
    "dense table": ("dense", WIDTH),
    "narrow": ("dense", NARROW),
    "float16": ("float16", WIDTH),
    "int8": ("int8", WIDTH),
    "4 bits": ("bits4", WIDTH),
    "2 bits": ("bits2", WIDTH),
    "planes": ("planes16", WIDTH),
}
ROUNDED = {"float16": 1e-5, "int8": 1e-4, "4 bits": 1e-3, "2 bits": 3e-3, "planes": 5e-3}
"""By how much a first loss may differ. 2 bits were off by up to 2.1e-3 in twelve batches of MF; planes lack columns."""
UNEVEN = np.repeat(np.array([6, 4, 3, 2, 1, 0], np.uint8), [4, 7, 11, 16, 15, 11])
"""Of the 128 bits of a row in planes, as they come to lie in training."""


def main() -> bool:
    histories = gowalla()
    held = [steps(backbone, histories) for backbone in (MF, LightGCN)]
    return all([*held, without_users(histories)])


def steps(backbone: type[Backbone], histories: Histories) -> bool:
    print(f"one training step of {backbone.__name__} on Gowalla: width {WIDTH}, batch {BATCH:,}")
    models = {name: model_of(backbone, histories, *kind) for name, kind in KINDS.items()}
    batch = models["dense table"].batches(BATCH, 0, "user").batch(0, 0)
    for table in models["planes"].tables.values():
        assert isinstance(table, PlanesTable)
        table.turn(table.read_unrounded, np.eye(WIDTH), UNEVEN, np.full(WIDTH, 0.1))
    steppers = {name: Stepper(model, batch) for name, model in models.items()}
    losses = {name: np.array([stepper.step() for _ in range(6)]) for name, stepper in steppers.items()}
    for name, allowed in ROUNDED.items():
        gate(f"first loss, {name} by dense", abs(losses[name][0] / losses["dense table"][0] - 1), allowed)
        fallen = losses[name][0] - losses[name][-1], losses["dense table"][0] - losses["dense table"][-1]
        gate(f"what five steps take from the loss, {name} by dense", abs(fallen[0] / fallen[1] - 1), 0.5)
    medians = alternate({name: partial(seconds_of, stepper.step) for name, stepper in steppers.items()}, ROUNDS)
    dense = medians["dense table"]
    print(f"  by the narrow step: int8 {medians['int8'] / medians['narrow']:.2f}")
    held = [
        floor(f"{name} step by our dense step", medians[name] / dense, bound, at_least=False)
        for name, bound in (("float16", 1.1), ("int8", 1.1), ("4 bits", 1.5), ("2 bits", 1.5), ("planes", 1.5))
    ]
    return all(held)


def without_users(histories: Histories) -> bool:
    print(f"one training step of LightGCN on Gowalla without rows for users: width {WIDTH}, batch {BATCH:,}")
    whole = model_of(LightGCN, histories, "dense", WIDTH)
    options = LightGCN.Options(width=WIDTH, l2=L2)
    (shape,) = LightGCN.one_sided_shapes(options, histories.n_users, histories.n_items)["items"]
    start, backend = Start("normal", 0.1, 0), choose().backend
    kinds = {"items": "dense", "items, 4 bits": "bits4"}
    models = {
        name: LightGCN(options, build_tables([shape], kind, [], start, False, backend), histories)
        for name, kind in kinds.items()
    }
    of_items = models["items"].tables["item"].read_range(0, shape.rows)
    rows = np.concatenate([np.zeros((histories.n_users, WIDTH), np.float32), of_items])
    whole.tables["node"].take_weights(lambda: iter([(0, rows)]))
    batch = whole.batches(BATCH, 0, "user").batch(0, 0)
    steppers = {name: Stepper(model, batch) for name, model in {"users and items": whole, **models}.items()}
    first = {name: stepper.step() for name, stepper in steppers.items()}
    gate("first loss, items by zeros for users", abs(first["items"] / first["users and items"] - 1), 1e-5)
    gate("first loss, 4 bits by items", abs(first["items, 4 bits"] / first["items"] - 1), 1e-3)
    medians = alternate({name: partial(seconds_of, stepper.step) for name, stepper in steppers.items()}, ROUNDS)
    dense = medians["users and items"]
    held = [
        floor(f"{name} step by our dense step", medians[name] / dense, bound, at_least=False)
        for name, bound in (("items", 0.7), ("items, 4 bits", 0.8))
    ]
    return all(held)


def model_of(backbone: type[Backbone], histories: Histories, storage: str, width: int) -> Backbone:
    options = backbone.Options.model_validate({"width": width, "l2": L2})
    return backbone(options, tables_of(backbone, options, histories, None, storage), histories)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
