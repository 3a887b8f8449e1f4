"""The training loop: one for every backbone, method and storage."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from resprout.backbones.backbone import Backbone
from resprout.data.batches import Batches
from resprout.errors import TrainingError
from resprout.kernels import compiling
from resprout.methods.method import Hooks, Moment
from resprout.schedules import decayed
from resprout.training.observers import EpochRecord, Observer, Plan
from resprout.training.optimizer import Optimizer
from resprout.training.settings import TrainingSettings

Metrics = dict[str, float]


@dataclass(frozen=True)
class Progress:
    """How far a training has come, between two epochs; seconds: of training alone, without compiling kernels."""

    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_value: float = -math.inf
    waiting: int = 0

    def after(self, steps: int, seconds: float) -> "Progress":
        """One epoch later."""
        return replace(self, epochs=self.epochs + 1, steps=self.steps + steps, seconds=self.seconds + seconds)

    def judged(self, value: float) -> "Progress":
        """With the validation value of the last epoch taken in."""
        if value > self.best_value:
            return replace(self, best_epoch=self.epochs, best_value=value, waiting=0)
        return replace(self, waiting=self.waiting + 1)


@dataclass(frozen=True)
class Task:
    """What to train: a stage of the method in a phase of the run.

    epochs: where to stop; horizon: the epochs that learning rate and mask schedules are made for.
    evaluate: validation metrics, or None to train `epochs` epochs without looking.
    save: called after each epoch with progress and whether it is the best so far.
    """

    phase: str
    stage: str
    model: Backbone
    optimizer: Optimizer
    batches: Batches
    hooks: Hooks
    settings: TrainingSettings
    epochs: int
    horizon: int
    evaluate: Callable[[], Metrics] | None
    save: Callable[[Progress, bool], None]


def train(task: Task, progress: Progress, observer: Observer) -> Progress:
    """Trains on from `progress` to the last epoch, or until validation has not improved for `patience` evaluations.

    Epochs before the last turn of the model's loss may be measured, but are neither chosen nor do they try patience.
    Raises TrainingError at the first loss that is not a finite number.
    """
    slots = sum(table.slots for table in task.model.tables.values())
    observer.begin(Plan(task.phase, task.stage, task.epochs, task.batches.per_epoch, progress.epochs, slots))
    task.hooks.begin(moment_of(task, progress.epochs, progress.steps))
    try:
        while progress.epochs < task.epochs and not _out_of_patience(task, progress) and not task.hooks.is_over():
            with compiling.telling(observer.compiling):
                begun = _clock()
                loss = _train_epoch(task, progress, observer)
                progress = progress.after(task.batches.per_epoch, _clock() - begun)
                metrics = task.evaluate() if task.evaluate and _evaluation_is_due(task, progress) else {}
            if metrics and _may_be_chosen(task, progress):
                progress = progress.judged(metrics[task.settings.monitor])
            is_best = bool(metrics) and progress.best_epoch == progress.epochs
            # first the record, which is dropped again if the checkpoint is not reached
            observer.epoch(_record(task, progress, loss, metrics, is_best))
            task.save(progress, is_best)
    finally:
        observer.end()
    return progress


def _clock() -> float:
    """Seconds that go by, but for those in which kernels are compiled: only the first run on a machine has them."""
    return time.perf_counter() - compiling.seconds()


def _train_epoch(task: Task, progress: Progress, observer: Observer) -> float:
    """One epoch; its mean loss."""
    total = 0.0
    for index in range(task.batches.per_epoch):
        step = progress.steps + index + 1
        moment = moment_of(task, progress.epochs, step)
        batch = task.batches.batch(progress.epochs, index)
        task.model.begin_step(step, _done(task, step))
        task.hooks.before_batch(moment)
        loss = task.model.loss(batch)
        if (extra := task.hooks.extra_loss(moment, batch)) is not None:
            loss = loss + (extra * len(batch.users) if task.model.sums_loss else extra)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {step} (epoch {progress.epochs + 1}): training has diverged; "
                "try a smaller training.learning_rate or backbone.start_scale, in a new folder (--out)"
            )
        loss.backward()
        task.optimizer.update(_learning_rate(task, step), step)
        task.hooks.after_update(moment)
        task.model.clear_gradient()
        task.hooks.network.zero_grad()
        total += value
        observer.step(step)
    task.hooks.after_epoch(moment_of(task, progress.epochs, progress.steps + task.batches.per_epoch))
    return total / task.batches.per_epoch


def _learning_rate(task: Task, step: int) -> float:
    settings = task.settings
    share = settings.final_rate + (1 - settings.final_rate) * decayed(settings.decay, _done(task, step))
    return settings.learning_rate * share


def _done(task: Task, step: int) -> float:
    """Share of the training that is over before update number `step`."""
    return min(1.0, (step - 1) / (task.horizon * task.batches.per_epoch))


def moment_of(task: Task, epoch: int, step: int) -> Moment:
    """What hooks are told after `step` updates."""

    def backward(factor: int) -> None:
        task.model.clear_gradient()
        task.model.loss(task.batches.fresh(step, factor)).backward()

    total_steps = task.horizon * task.batches.per_epoch
    return Moment(epoch, step, total_steps, task.settings.seed, task.model, backward, task.settings.batch_size)


def _evaluation_is_due(task: Task, progress: Progress) -> bool:
    return progress.epochs % task.settings.evaluate_every == 0 or progress.epochs == task.epochs


def _may_be_chosen(task: Task, progress: Progress) -> bool:
    """Whether the last update was after the last turn of the loss: before, what the model ranks by may be untrained."""
    return _done(task, progress.steps) >= max(task.model.turns, default=0.0)


def _out_of_patience(task: Task, progress: Progress) -> bool:
    return task.evaluate is not None and 0 < task.settings.patience <= progress.waiting


def _record(task: Task, progress: Progress, loss: float, metrics: Metrics, is_best: bool) -> EpochRecord:
    return EpochRecord(
        phase=task.phase,
        stage=task.stage,
        epoch=progress.epochs,
        step=progress.steps,
        loss=loss,
        learning_rate=_learning_rate(task, progress.steps),
        seconds=progress.seconds,
        slots=sum(table.slots for table in task.model.tables.values()),
        best=is_best,
        metrics=metrics,
        method_state=task.hooks.state(),
    )
