"""Who watches a training: what they are told, and the one who writes it down."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resprout.artifact.files import write_text
from resprout.data import Dataset
from resprout.data.split import SplitCounts
from resprout.errors import RunError

_ALWAYS = {"phase", "stage", "epoch", "loss", "metrics", "slots"}
"""What every record has."""


def label(phase: str, stage: str) -> str:
    """What a phase of a stage is called on a screen; a stage called "train" has no name to tell it from others."""
    if stage == "train":
        return phase
    return stage if phase == "train" else f"{stage}, {phase}"


def epochs_label(result: Mapping[str, Any]) -> str:
    """How many epochs a run has trained, by its result, and on what it was trained once more."""
    text = f"{result['epochs']['chosen']} of {result['epochs']['trained']}"
    if result["refit"]:
        text += ", trained again on train and validation data"
    if result.get("final"):  # older results do not say
        text += ", deployed after one more training on all data"
    return text


def suited_labels(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options of a run that suit its data, by name, and what they came to; older results do not say."""
    return [(name, f"{value:.3g}, as suits the data") for name, value in result.get("suited", {}).items()]


@dataclass(frozen=True)
class Plan:
    """What is about to be trained. phase: "train", "refit" or "final"; stage: its name; slots: weights that exist."""

    phase: str
    stage: str
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    slots: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    metrics: on validation, by name, empty if not evaluated; seconds: of training alone, since the start, without those
    in which kernels were compiled.
    """

    phase: str
    stage: str
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

    def read(self, dataset: Dataset, counts: SplitCounts) -> None:
        """When the data of a run are read and split, before anything is trained."""

    def begin(self, plan: Plan) -> None:
        """Before the first batch of a phase."""

    def compiling(self) -> None:
        """When a kernel is about to be compiled, which takes some seconds, once on a machine."""

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

    def read(self, dataset: Dataset, counts: SplitCounts) -> None:
        """See `Observer.read`."""
        for observer in self._observers:
            observer.read(dataset, counts)

    def begin(self, plan: Plan) -> None:
        """See `Observer.begin`."""
        for observer in self._observers:
            observer.begin(plan)

    def compiling(self) -> None:
        """See `Observer.compiling`."""
        for observer in self._observers:
            observer.compiling()

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

    def keep(self, epochs: Mapping[tuple[str, str], int]) -> None:
        """Drops what came after the last checkpoint, for that is trained again, as is what a crash has cut short.

        epochs: how many of each (phase, stage) are done; none of those that are missing. RunError if a line is broken.
        """
        if not self._path.exists():
            return
        records = records_in(self._path, cut_short=True)
        kept = [record for record in records if record["epoch"] <= epochs.get(_part(record), 0)]
        write_text(self._path, _lines(kept))

    def epoch(self, record: EpochRecord) -> None:
        """See `Observer.epoch`."""
        self.append([asdict(record)])

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes records down, as `records_of` gave them."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_lines(records))

    def records_of(self, phase: str, stage: str) -> list[dict[str, Any]]:
        """What has been written of that phase of that stage."""
        return [record for record in records_in(self._path) if _part(record) == (phase, stage)]


def records_in(path: Path, *, cut_short: bool = False) -> list[dict[str, Any]]:
    """The records in a `metrics.jsonl`; RunError if it cannot be read, or a line is broken.

    cut_short: whether the last line may be, by a crash or a full disk; it is then left out.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and record.keys() >= _ALWAYS:
            records.append(record)
        elif not cut_short or number < len(lines):
            raise RunError(f"{path}, line {number}: not the record of an epoch; take the line out to do without it")
    return records


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _part(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["phase"], record["stage"]
