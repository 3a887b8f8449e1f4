"""Methods to run, a way to stop a run, and what a run has left."""

import json

from resprout.artifact.files import read_tensors
from resprout.training.observers import Observer

METHODS = {
    "dense": [],
    "narrow": ["budget.limit=50%"],
    "random": ["budget.limit=30%"],
    "dsl": ["budget.limit=30%", "method.regrow_every=3", "method.scale_start=true"],
    "dsl, last batch": ["budget.limit=30%", "method.regrow_every=2", "method.growth_batches=0", "backbone.l2_end=0"],
    "dsl, popular": [
        "budget.limit=30%",
        "method.regrow_every=2",
        "method.mask=popular",
        "method.floor=1",
        "method.new_moments=row",
    ],
    "one_shot": ["budget.limit=30%"],
    "one_shot, finetune": ["budget.limit=30%", "method.retrain=finetune", "method.dense_epochs=4"],
    "one_shot, none": ["budget.limit=30%", "method.retrain=none"],
    "lottery": ["budget.limit=50%", "method.cut=0.4", "method.round_epochs=3"],
    "without_rewinding": ["budget.limit=50%", "method.cut=0.4"],
    "without_rewinding, continue": ["budget.limit=50%", "method.cut=0.4", "method.mode=continue"],
    "pep": ["budget.limit=50%", "method.threshold_start=-4", "method.pull=0.01"],
    "pep, by row": ["budget.limit=50%", "method.thresholds=row", "method.search_epochs=3", "method.reinit=true"],
    "rkd": ["budget.limit=50%", "method.items=5", "method.samples=10"],
    "tkd, hierarchical": ["budget.limit=50%", "method.topology=hierarchical", "method.groups=3"],
    "tkd": ["budget.limit=50%", "method.teacher_epochs=4", "method.entities=30"],
    "random, int8": ["budget.limit=1200B", "method.precision=int8"],
    "dsl, prefix": ["budget.limit=30%", "method.regrow_every=3", "method.mask=prefix"],
    "dsl, float16": [
        "budget.limit=30%",
        "method.regrow_every=3",
        "method.precision=float16",
        "method.mask=mostly_columns",
    ],
    "lottery, int8": ["budget.limit=50%", "method.cut=0.4", "method.round_epochs=2", "method.precision=int8"],
    "autoemb": ["budget.limit=40%", "method.search_epochs=4"],
    "esapn": ["budget.limit=40%", "method.pairs=20"],
    "esapn, now and then": ["budget.limit=2KB", "method.policy_every=3", "method.scale_start=true"],
    "quantised": [],
    "quantised, float16, narrow": ["budget.limit=20%", "method.precision=float16"],
    "resprout": ["budget.limit=20%"],
    "resprout, items": ["budget.limit=8%", "method.rows_for=items"],
    "quantised, users": ["budget.limit=8%", "method.rows_for=users", "method.precision=bits4"],
    "quantised, planes": ["budget.limit=10%", "method.precision=planes"],
    "resprout, rounded late": ["budget.limit=15%", "method.precision=bits3", "method.round_at=0.5"],
    "resprout, planes": ["budget.limit=10%", "method.precision=planes", "method.turn_until=0.5"],
    "resprout, int8": ["budget.limit=20%", "budget.of=training", "method.precision=int8"],
    "dsl, random, joint": [
        "budget.limit=1800B",
        "method.grow=random",
        "method.regrow_every=2",
        "method.scope=joint",
        "method.record_lived=true",
    ],
}

# options that these backbones have not
UNSUITED = {
    ("dsl, last batch", "multvae"), ("resprout, items", "mf"), ("resprout, items", "multvae"),
    ("quantised, users", "mf"), ("quantised, users", "multvae"), ("resprout, planes", "multvae"),
    ("quantised, planes", "multvae"),
}  # fmt: skip


class Stop(Exception):
    """Stands for a kill."""


class StopAt(Observer):
    def __init__(self, step):
        self.stop_at, self.steps = step, 0

    def step(self, step):
        self.steps += 1
        if self.steps == self.stop_at:
            raise Stop


def files_of(folder):
    tensors = {}
    for path in (*sorted((folder / "checkpoint").iterdir()), folder / "model/tables.safetensors"):
        arrays, _ = read_tensors(path)
        tensors |= {f"{path.name}:{name}": array.tobytes() for name, array in arrays.items()}
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for record in metrics:
        del record["seconds"]
    result = json.loads((folder / "result.json").read_text())
    for phase in (result["cost"], *result["cost"]["stages"]):
        for key in ("seconds", "train_seconds", "peak_rss_bytes"):
            phase.pop(key, None)
    return tensors, metrics, result


def what_came_out(folder):
    """Checkpoint, model, metrics and result, but for who trained what."""
    tensors, metrics, result = files_of(folder)
    for stage in result["cost"]["stages"]:
        stage.pop("taken_over")
    return tensors, metrics, result
