"""What a run cost: bytes by kind, and multiply-adds twice, as the paper counts them and as they were executed.

Nominal (DSL, section 4.2 and Table 3): training costs `(2 density + 1) / 3` of the dense model's, for forward and
backward pass of the table shrink with it and the gradient of all weights does not; inference costs `density` of it, or
`density^2` for a product of two sparse tables. Executed: one training step and the scoring of all users, counted.
"""

from dataclasses import asdict, dataclass
from typing import Any

from resprout.backbones.backbone import Backbone
from resprout.budget import MemoryUse
from resprout.kernels.counting import CountingBackend
from resprout.tables.table import BLOCK_VALUES


@dataclass(frozen=True)
class Cost:
    """The `cost` part of `result.json`."""

    train_seconds: float
    peak_table_bytes: int
    peak_rss_bytes: int
    macs_nominal_training: int
    macs_executed_training: int
    macs_nominal_inference: int
    macs_executed_inference: int
    table_bytes_by_kind: dict[str, int]
    stages: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def training_memory(model: Backbone) -> MemoryUse:
    """Bytes that the tables hold while they are trained, moments and the block of gradients in passing included."""
    memory = MemoryUse()
    for table in model.tables.values():
        memory += table.memory(training=True)
        block = min(table.shape.rows, max(1, BLOCK_VALUES // table.shape.width)) * table.shape.width * 4
        memory += MemoryUse({"gradient_block": block})
    return memory


def deployed_bytes(model: Backbone) -> int:
    """Bytes of the tables once they are deployed, index included."""
    return sum(table.memory(training=False).total for table in model.tables.values())


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
        table.clear_gradient()
    return model.executed_outside_tables(batch_size) + _stop_counting(model, counters)


def executed_inference(model: Backbone) -> int:
    """Multiply-adds of scoring all items for all users: what goes before, and products of whole rows."""
    counters = _count_tables(model)
    model.scorer()
    width = next(iter(model.tables.values())).shape.width
    products = model.histories.n_users * model.histories.n_items * width
    return products + _stop_counting(model, counters)


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
