"""What a run cost: bytes by kind, and multiply-adds twice, as the paper counts them and as they were executed.

A multiply-add is one product of two numbers in a matrix product, a convolution, a product of two rows or a sum of
rows. Work on single numbers counts in neither figure: activations, noise, biases, L2, bringing to length 1, Adam.

Nominal (DSL, section 4.2 and Table 3): a dense model's training costs 3 forward passes, and a sparse one's
`(2 density + 1) / 3` of it, for forward and backward pass of the table shrink with it and the gradient of all weights
does not; inference costs `density` of the dense model's, or `density^2` for a product of two sparse tables. The paper
looks at models that are all embedding; here the shares hold for whole models, so a network seems to shrink with its
tables.

Executed: what the operations really multiply. Sums over rows are counted as kernels run them (`kernels.counting`): a
packed row costs its slots. Products in torch and of rankings take whole rows, whatever their density. Training is one
step, counted, times the number of steps, as if all its batches were whole; a batch that decides where slots grow
counts as a step, further passes over its gradient not at all. Inference is scoring all items for all users of training.

`tests/training/test_cost.py` counts both anew, where the reference kernels and torch multiply.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from resprout.backbones.backbone import Backbone
from resprout.budget import Budget, MemoryUse, Shape
from resprout.data.batches import Batches
from resprout.evaluation.evaluate import USERS_PER_BLOCK
from resprout.kernels.counting import CountingBackend
from resprout.methods.method import Hooks, Moment, Stage
from resprout.tables.table import block_rows
from resprout.tables.thresholded import ThresholdedTable
from resprout.training import memory
from resprout.training.loop import Progress


@dataclass(frozen=True)
class Spent:
    """What one training took.

    table_bytes: what tables held, by kind, with what the method needed for itself. taken_over: whether another run
    trained it, and this one only copied what it had come to.
    """

    progress: Progress
    table_bytes: Mapping[str, int]
    macs_nominal: int
    macs_executed: int
    taken_over: bool = False


def spent_from(values: Mapping[str, Any]) -> Spent:
    """What `dataclasses.asdict` made plain values of."""
    return Spent(**{**values, "progress": Progress(**values["progress"])})


def ledger(model: Backbone, parts: Sequence[tuple[str, Stage, Spent]]) -> dict[str, Any]:
    """The `cost` part of `result.json`: the deployed model, and phase, stage and costs of all its trainings."""
    peak = max((spent.table_bytes for _, _, spent in parts), key=lambda held: sum(held.values()))
    return {
        "train_seconds": sum(spent.progress.seconds for _, _, spent in parts),
        "peak_table_bytes": sum(peak.values()),
        "table_bytes": dict(peak),
        "peak_rss_bytes": memory.peak_bytes(),
        "macs_nominal_training": sum(spent.macs_nominal for _, _, spent in parts),
        "macs_executed_training": sum(spent.macs_executed for _, _, spent in parts),
        "macs_nominal_inference": nominal_inference(model),
        "macs_executed_inference": executed_inference(model),
        "stages": [
            {
                **asdict(stage),
                "phase": phase,
                "epochs": spent.progress.epochs,
                "steps": spent.progress.steps,
                "seconds": spent.progress.seconds,
                "peak_table_bytes": sum(spent.table_bytes.values()),
                "macs_nominal": spent.macs_nominal,
                "macs_executed": spent.macs_executed,
                "taken_over": spent.taken_over,
            }
            for phase, stage, spent in parts
        ],
    }


def spent(
    model: Backbone,
    hooks: Hooks,
    batches: Batches,
    progress: Progress,
    horizon: int,
    moment_at: Callable[[int], Moment] | None = None,
) -> Spent:
    """What the training that ended at `progress` took; `horizon` is the number of epochs its schedules are made for.

    moment_at: what hooks are told at a step; needed if they do something before a batch or add to its loss.

    Counted on a random batch between two turns of the model's loss, on the tables as they are now. Hooks may leave the
    model changed.
    """
    total = progress.steps // max(1, progress.epochs) * horizon
    nominal, executed = 0.0, 0
    for steps in _between_turns(model, progress.steps, total):
        model.begin_step(steps[0], (steps[0] - 1) / total)
        batch = batches.fresh(0, 1)
        nominal += nominal_step(model, len(batch.users)) * len(steps)
        executed += hooks.executed_outside_tables(model, batch) * len(steps)
        if moment_at is None:
            executed += executed_step(model, batch) * len(steps)
        else:
            moment, looks = moment_at(steps[0]), hooks.looks(steps)
            executed += executed_step(model, batch, partial(hooks.extra_loss, moment)) * len(steps)
            if looks:
                executed += _in_kernels(model, partial(hooks.before_batch, moment_at(looks[0]))) * len(looks)
        for factor, count in Counter(hooks.fresh_batches(steps, total)).items():
            executed += executed_step(model, batches.fresh(0, factor)) * count
    held = training_memory(model) + hooks.memory(model.tables)
    return Spent(progress, dict(held.bytes_by_kind), int(nominal), executed)


def budget_use(model: Backbone, full: Sequence[Shape], budget: Budget | None) -> dict[str, Any]:
    """The `budget` part of `result.json`; `full` are the shapes of the dense tables."""
    dense_weights = sum(shape.weights for shape in full)
    tables = [
        {
            "name": name,
            "rows": table.shape.rows,
            "width": table.shape.width,
            "slots": table.slots,
            "deployed_bytes": table.memory(training=False).total,
        }
        for name, table in model.tables.items()
    ]
    slots = sum(table.slots for table in model.tables.values())
    return {
        "limit": None if budget is None else str(budget),
        "of": None if budget is None else budget.of,
        "share": slots / dense_weights,
        "slots": slots,
        "dense_weights": dense_weights,
        "deployed_bytes": sum(table["deployed_bytes"] for table in tables),
        "dense_bytes": sum(shape.dense_bytes for shape in full),
        "network_bytes": sum(array.nbytes for array in model.network_arrays().values()),
        "tables": tables,
    }


def training_memory(model: Backbone) -> MemoryUse:
    """Bytes that the tables hold while they are trained, moments and the block of gradients in passing included."""
    held = MemoryUse()
    for table in model.tables.values():
        block = block_rows(table.shape) * table.shape.width * 4
        held += table.memory(training=True) + MemoryUse({"gradient_block": block})
    return held


def density(model: Backbone) -> float:
    """Share of the tables' weights that exist; behind thresholds all do, for each step multiplies by all of them."""
    tables = model.tables.values()
    slots = sum(table.shape.weights if isinstance(table, ThresholdedTable) else table.slots for table in tables)
    return slots / sum(table.shape.weights for table in tables)


def executed_step(model: Backbone, batch: Any, extra_loss: Callable[[Any], torch.Tensor | None] | None = None) -> int:
    """Multiply-adds of a training step at this moment, forward and backward; leaves the tables as they were.

    Of `extra_loss` only those in kernels.
    """

    def step() -> None:
        loss = model.loss(batch)
        extra = None if extra_loss is None else extra_loss(batch)
        (loss if extra is None else loss + extra).backward()
        for table in model.tables.values():
            for _ in table.gradient_blocks():
                pass
        model.clear_gradient()

    return model.executed_outside_tables(len(batch.users)) + _in_kernels(model, step)


def executed_inference(model: Backbone) -> int:
    """Multiply-adds of scoring all items for all users: what is made once, once a user, and for each score."""

    def prepare() -> None:
        scorer, n_users = model.scorer(), model.histories.n_users
        for first in range(0, n_users, USERS_PER_BLOCK):
            scorer.queries(np.arange(first, min(first + USERS_PER_BLOCK, n_users), dtype=np.int32))

    return model.executed_ranking() + _in_kernels(model, prepare)


def nominal_step(model: Backbone, batch_size: int) -> float:
    """Multiply-adds of a training step at this moment by the paper's convention."""
    return 3 * model.forward_multiply_adds(batch_size) * (2 * density(model) + 1) / 3


def nominal_inference(model: Backbone) -> int:
    """Multiply-adds of scoring all items for all users by the paper's convention."""
    return int(model.inference_multiply_adds() * density(model) ** model.sparse_operands)


def _between_turns(model: Backbone, steps: int, total: int) -> Iterator[range]:
    """Steps 1 to `steps` out of `total`, cut where the share that is over before a step comes to a turn."""
    places = [bisect_left(range(steps), turn, key=lambda step: step / total) for turn in sorted(model.turns)]
    for begin, end in pairwise((0, *places, steps)):
        if begin < end:
            yield range(begin + 1, end + 1)


def _in_kernels(model: Backbone, work: Callable[[], None]) -> int:
    """Multiply-adds of the kernels of the model's tables in this work."""
    counters = {name: CountingBackend(table.backend) for name, table in model.tables.items()}
    for name, counter in counters.items():
        model.tables[name].backend = counter
    work()
    for name, counter in counters.items():
        model.tables[name].backend = counter.backend
    return sum(counter.multiply_adds for counter in counters.values())
