"""A training as it is watched from the command line: a bar on a terminal, plain lines elsewhere."""

import time

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from resprout.data import Dataset
from resprout.data.interactions import Dropped
from resprout.data.split import SplitCounts
from resprout.training.observers import EpochRecord, Observer, Plan, label

_SILENT_S = 30
_COMPILING = "compiling kernels, once on this machine"


def watcher(monitor: str, console: Console | None = None, title: str = "") -> Observer:
    """What shows a training on stderr, with the validation metric called `monitor`, such as "recall@20".

    `title` goes before each line, for those who train more than one model.
    """
    console = console or Console(stderr=True)
    return Bar(monitor, console, title) if console.is_terminal else Lines(monitor, title)


class Bar(Observer):
    """One live line: epoch, loss, validation metric with the best so far, slots, time left."""

    def __init__(self, monitor: str, console: Console, title: str = "") -> None:
        self._monitor, self._console, self._title = monitor, console, title
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def read(self, dataset: Dataset, counts: SplitCounts) -> None:
        """See `Observer.read`; for several trainings, which have the same data, nothing."""
        if not self._title:
            self._console.print(_of_data(dataset, counts), highlight=False, markup=False, soft_wrap=True)

    def begin(self, plan: Plan) -> None:
        """See `Observer.begin`."""
        self._plan, self._best, self._figures = plan, float("-inf"), f"{plan.slots:,} weights"
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(
            _described(self._title, plan, plan.first_epoch + 1),
            total=plan.epochs * plan.steps_per_epoch,
            completed=plan.first_epoch * plan.steps_per_epoch,
            figures=self._figures,
        )
        self._progress.start()

    def compiling(self) -> None:
        """See `Observer.compiling`; said until the next step."""
        if self._progress is not None:
            self._progress.update(self._task, figures=_COMPILING)

    def step(self, step: int) -> None:
        """See `Observer.step`."""
        if self._progress is not None:
            self._progress.update(self._task, completed=step, figures=self._figures)

    def epoch(self, record: EpochRecord) -> None:
        """See `Observer.epoch`."""
        value = record.metrics.get(self._monitor)
        figures = f"loss {record.loss:.4f}"
        if value is not None:
            self._best = max(self._best, value)
            figures += f"  {self._monitor} {value:.4f} (best {self._best:.4f})"
        if self._progress is not None:
            following = _described(self._title, self._plan, min(record.epoch + 1, self._plan.epochs))
            self._figures = f"{figures}  {record.slots:,} weights"
            self._progress.update(self._task, completed=record.step, description=following, figures=self._figures)

    def end(self) -> None:
        """See `Observer.end`."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Lines(Observer):
    """Plain lines: when training begins, for each evaluated epoch and the last one, and for others twice a minute."""

    def __init__(self, monitor: str, title: str = "") -> None:
        self._monitor, self._title = monitor, title
        self._said = False

    def read(self, dataset: Dataset, counts: SplitCounts) -> None:
        """See `Observer.read`; for several trainings, which have the same data, nothing."""
        if not self._title:
            typer.echo(_of_data(dataset, counts), err=True)

    def begin(self, plan: Plan) -> None:
        """See `Observer.begin`."""
        self._plan, self._begun = plan, time.perf_counter()
        self._told = self._begun
        at = _described(self._title, plan, plan.first_epoch)
        typer.echo(f"{at}  {plan.steps_per_epoch:,} steps an epoch  {plan.slots:,} weights", err=True)

    def compiling(self) -> None:
        """See `Observer.compiling`; said once."""
        if not self._said:
            typer.echo(f"{self._title} {_COMPILING}".lstrip(), err=True)
            self._said = True

    def epoch(self, record: EpochRecord) -> None:
        """See `Observer.epoch`."""
        now = time.perf_counter()
        if not record.metrics and record.epoch < self._plan.epochs and now < self._told + _SILENT_S:
            return
        self._told = now
        parts = [_described(self._title, self._plan, record.epoch), f"loss {record.loss:.4f}"]
        if self._monitor in record.metrics:
            parts.append(f"{self._monitor} {record.metrics[self._monitor]:.4f}" + (" best" if record.best else ""))
        done = record.epoch - self._plan.first_epoch
        left = (now - self._begun) / done * (self._plan.epochs - record.epoch)
        parts += [f"{record.slots:,} weights", f"{left:.0f} s left"]
        typer.echo("  ".join(parts), err=True)


def _of_data(dataset: Dataset, counts: SplitCounts) -> str:
    """What was read, what was left out, and what is learnt from."""
    interactions = dataset.interactions
    text = f"{dataset.name}: {interactions.n_users:,} users, {interactions.n_items:,} items; interactions: "
    text += f"{counts.train:,} to learn from, {counts.validation:,} to choose by, {counts.test:,} to test on"
    others = {
        "shown of held-out users": counts.validation_fold_in + counts.test_fold_in,
        "left out that are of new users or items": counts.dropped_unknown,
        "left out that repeat earlier ones": counts.dropped_repeats,
    }
    text += "".join(f", {number:,} {what}" for what, number in others.items() if number)
    gone = dataset.dropped or Dropped()
    reasons = {
        "below filter.min_rating": gone.below_min_rating,
        "duplicates": gone.duplicates,
        "of users below filter.min_user": gone.below_min_user,
        "of items below filter.min_item": gone.below_min_item,
    }
    filtered = ", ".join(f"{number:,} {reason}" for reason, number in reasons.items() if number)
    return f"{text}; filtered: {filtered}" if filtered else text


def _described(title: str, plan: Plan, epoch: int) -> str:
    return f"{title} {label(plan.phase, plan.stage)} {epoch}/{plan.epochs}".lstrip()
