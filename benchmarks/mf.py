"""One training step of MF on Gowalla, width 64: packed against dense. Most of it is Adam over the tables.

RESPROUT_DATA=... python -m benchmarks.mf
"""

import sys

import numpy as np

from benchmarks.common import Stepper, alternate, floor, gate, gowalla, largest, step_timers, tables_of
from resprout.backbones.mf import MF, Options

WIDTH, BATCH, ROUNDS = 64, 2048, 25
OPTIONS = Options(width=WIDTH)


def main() -> bool:
    print(f"one training step of MF on Gowalla: width {WIDTH}, batch {BATCH:,}, Adam")
    histories = gowalla()
    models = {
        density: MF(OPTIONS, tables_of(MF, OPTIONS, histories, density), histories) for density in (None, 0.5, 0.1)
    }
    batch = models[None].batches(BATCH, 0, "user").batch(0, 0)
    full = MF(OPTIONS, tables_of(MF, OPTIONS, histories, 1.0), histories)
    losses = [[stepper.step() for _ in range(4)] for stepper in (Stepper(full, batch), Stepper(models[None], batch))]
    gate("losses of four steps, dense and packed at density 1", largest(np.divide(losses[0], losses[1]) - 1), 1e-5)
    medians = alternate(step_timers({density: Stepper(model, batch) for density, model in models.items()}), ROUNDS)
    dense = medians["dense table"]
    return all(
        [
            floor("dsl step at 0.5 by our dense step", medians["dsl at 0.5"] / dense, 1.0, at_least=False),
            floor("dsl step at 0.1 by our dense step", medians["dsl at 0.1"] / dense, 0.8, at_least=False),
        ]
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
