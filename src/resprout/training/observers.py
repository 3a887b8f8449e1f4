"""Who watches a training: what they are told, and the one who writes it down."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from resprout.artifact.files import write_text


@dataclass(frozen=True)
class Plan:
    """What is about to be trained. slots: weights that exist; phase: "train" or "refit"."""

    phase: str
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    slots: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    metrics: on validation, by name, empty if not evaluated; seconds: of training alone, since the start.
    """

    phase: str
    epoch: int
    step: int
    loss: float
    learning_rate: float
    seconds: float
    slots: int
    best: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    method_state: dict[str, int] = field(default_factory=dict)


class Observer:
    """Is told how a training goes; by itself it does nothing."""

    def begin(self, plan: Plan) -> None:
        """Before the first batch of a phase."""

    def step(self, step: int) -> None:
        """After an update."""

    def epoch(self, record: EpochRecord) -> None:
        """After an epoch and its evaluation."""

    def end(self) -> None:
        """When a phase is over, also by an error."""


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def begin(self, plan: Plan) -> None:
        """See `Observer.begin`."""
        for observer in self._observers:
            observer.begin(plan)

    def step(self, step: int) -> None:
        """See `Observer.step`."""
        for observer in self._observers:
            observer.step(step)

    def epoch(self, record: EpochRecord) -> None:
        """See `Observer.epoch`."""
        for observer in self._observers:
            observer.epoch(record)

    def end(self) -> None:
        """See `Observer.end`."""
        for observer in self._observers:
            observer.end()


class MetricsFile(Observer):
    """Appends one line of JSON an epoch to `metrics.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, phase: str, epochs: int) -> None:
        """Drops what stands behind that epoch of that phase: what came after the last checkpoint is trained again."""
        if not self._path.exists():
            return
        order = {"train": 0, "refit": 1}
        lines = []
        for line in self._path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if (order[record["phase"]], record["epoch"]) <= (order[phase], epochs):
                lines.append(line + "\n")
        write_text(self._path, "".join(lines))

    def epoch(self, record: EpochRecord) -> None:
        """See `Observer.epoch`."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")
