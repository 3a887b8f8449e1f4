"""One training step of MultVAE on Gowalla, width 600: packed rows that take several passes against dense ones.

Most of it are products with the rows of all items, made whole, so that no density makes it shorter; what reading packed
rows takes besides must stay little.

RESPROUT_DATA=... python -m benchmarks.multvae
"""

import sys

import numpy as np

from benchmarks.common import Stepper, alternate, floor, gate, gowalla, largest, step_timers, tables_of
from resprout.backbones.multvae import MultVAE, Options

BATCH, ROUNDS = 256, 7
OPTIONS = Options()


def main() -> bool:
    print(f"one training step of MultVAE on Gowalla: width {OPTIONS.width}, batch {BATCH} users, Adam")
    histories = gowalla()
    batch = (
        MultVAE(OPTIONS, tables_of(MultVAE, OPTIONS, histories, None), histories).batches(BATCH, 0, "user").batch(0, 0)
    )
    losses = []
    for density in (1.0, None):
        model = MultVAE(OPTIONS, tables_of(MultVAE, OPTIONS, histories, density), histories)
        stepper = Stepper(model, batch)
        losses.append([stepper.step() for _ in range(3)])
    gate("losses of three steps, dense and packed at density 1", largest(np.divide(losses[0], losses[1]) - 1), 1e-5)
    models = {
        density: MultVAE(OPTIONS, tables_of(MultVAE, OPTIONS, histories, density), histories)
        for density in (None, 0.5, 0.1)
    }
    medians = alternate(step_timers({density: Stepper(model, batch) for density, model in models.items()}), ROUNDS)
    dense = medians["dense table"]
    held = [
        floor(f"dsl step at {density} by our dense step", medians[f"dsl at {density}"] / dense, 1.25, at_least=False)
        for density in (0.5, 0.1)
    ]
    return all(held)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
