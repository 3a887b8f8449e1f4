"""Adam over tables, by row blocks in place; the learning rate is the loop's."""

import math
from collections.abc import Iterable

from resprout.kernels.contract import AdamStep
from resprout.tables.table import Table
from resprout.training.settings import TrainingSettings


def update(tables: Iterable[Table], rate: float, step: int, settings: TrainingSettings) -> None:
    """Update number `step` (from 1) of the tables with their pending gradients."""
    size = rate / (1 - settings.beta_1**step)
    root = 1 / math.sqrt(1 - settings.beta_2**step)
    adam = AdamStep(size, root, settings.beta_1, settings.beta_2, settings.epsilon)
    for table in tables:
        table.adam(adam)
