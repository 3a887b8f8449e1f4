"""What a run cost: bytes by kind, and multiply-adds twice, as the paper counts them and as they were executed.

Nominal (DSL, section 4.2 and Table 3): training costs `(2 density + 1) / 3` of the dense model's, for forward and
backward pass of the table shrink with it and the gradient of all weights does not; inference costs `density` of it, or
`density^2` for a product of two sparse tables. Executed: one training step and the scoring of all users, counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from resprout.backbones.backbone import Backbone
from resprout.budget import Budget, MemoryUse, Shape
from resprout.kernels.counting import CountingBackend
from resprout.methods.method import Hooks, Stage
from resprout.tables.table import BLOCK_VALUES
from resprout.training import memory
from resprout.training.loop import Progress


def ledger(model: Backbone, hooks: Hooks, batch: Any, stage: Stage, phases: Mapping[str, Progress]) -> dict[str, Any]:
    """The `cost` part of `result.json`: the phases of a stage, from a trained model and one batch to count with."""
    held = training_memory(model) + hooks.memory(model.tables)
    steps, size = sum(progress.steps for progress in phases.values()), len(batch.users)
    return {
        "train_seconds": sum(progress.seconds for progress in phases.values()),
        "peak_table_bytes": held.total,
        "table_bytes": dict(held.bytes_by_kind),
        "peak_rss_bytes": memory.peak_bytes(),
        "macs_nominal_training": nominal_training(model, size, steps),
        "macs_executed_training": executed_step(model, batch, size) * steps,
        "macs_nominal_inference": nominal_inference(model),
        "macs_executed_inference": executed_inference(model),
        "stages": [
            {**asdict(stage), "phase": phase, "epochs": at.epochs, "steps": at.steps, "seconds": at.seconds}
            for phase, at in phases.items()
        ],
    }


def budget_use(model: Backbone, full: Sequence[Shape], budget: Budget | None) -> dict[str, Any]:
    """The `budget` part of `result.json`; `full` are the shapes of the dense tables."""
    dense_weights = sum(shape.weights for shape in full)
    slots = sum(table.slots for table in model.tables.values())
    return {
        "limit": None if budget is None else str(budget),
        "share": slots / dense_weights,
        "slots": slots,
        "dense_weights": dense_weights,
        "deployed_bytes": sum(table.memory(training=False).total for table in model.tables.values()),
        "dense_bytes": sum(shape.dense_bytes for shape in full),
        "network_bytes": sum(array.nbytes for array in model.network_arrays().values()),
    }


def training_memory(model: Backbone) -> MemoryUse:
    """Bytes that the tables hold while they are trained, moments and the block of gradients in passing included."""
    held = MemoryUse()
    for table in model.tables.values():
        block = min(table.shape.rows, max(1, BLOCK_VALUES // table.shape.width)) * table.shape.width * 4
        held += table.memory(training=True) + MemoryUse({"gradient_block": block})
    return held


def density(model: Backbone) -> float:
    """Share of the tables' weights that exist."""
    tables = model.tables.values()
    return sum(table.slots for table in tables) / sum(table.shape.weights for table in tables)


def executed_step(model: Backbone, batch: Any, batch_size: int) -> int:
    """Multiply-adds of one training step, forward and backward; leaves the tables as they were."""
    counters = _count_tables(model)
    model.loss(batch).backward()
    for table in model.tables.values():
        for _ in table.gradient_blocks():
            pass
    model.clear_gradient()
    return model.executed_outside_tables(batch_size) + _stop_counting(model, counters)


def executed_inference(model: Backbone) -> int:
    """Multiply-adds of scoring all items for all users: what is made once, and what each score needs."""
    counters = _count_tables(model)
    model.scorer()
    return model.executed_ranking() + _stop_counting(model, counters)


def nominal_training(model: Backbone, batch_size: int, steps: int) -> int:
    """Multiply-adds of `steps` training steps by the paper's convention."""
    return int(3 * model.forward_multiply_adds(batch_size) * (2 * density(model) + 1) / 3 * steps)


def nominal_inference(model: Backbone) -> int:
    """Multiply-adds of scoring all items for all users by the paper's convention."""
    return int(model.inference_multiply_adds() * density(model) ** model.sparse_operands)


def _count_tables(model: Backbone) -> list[CountingBackend]:
    counters = []
    for table in model.tables.values():
        counters.append(CountingBackend(table.backend))
        table.backend = counters[-1]
    return counters


def _stop_counting(model: Backbone, counters: list[CountingBackend]) -> int:
    for table, counter in zip(model.tables.values(), counters, strict=True):
        table.backend = counter.backend
    return sum(counter.multiply_adds for counter in counters)
