"""A run from settings to result: data, stages, checkpoints, the one look at the test data, the model folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resprout import catalog, data
from resprout.artifact.files import write_json
from resprout.artifact.format import ModelParts, save_model
from resprout.backbones.backbone import Backbone
from resprout.data.batches import TripletBatches
from resprout.data.histories import Histories
from resprout.errors import BudgetExceeded, SettingsError
from resprout.evaluation.evaluate import evaluate
from resprout.kernels import select
from resprout.methods.method import Allowance, Method, Stage
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.training import cost, memory
from resprout.training.checkpoint import Checkpoint, Checkpoints
from resprout.training.folder import RunFolder
from resprout.training.loop import Metrics, Progress, Task, train
from resprout.training.observers import MetricsFile, Observer, Observers
from resprout.training.settings import Settings

_FRAME = "frame of "


@dataclass(frozen=True)
class Prepared:
    """Data of a run, split: item names and id maps are the data set's."""

    dataset: data.Dataset
    split: data.Split

    def train(self, refit: bool) -> Histories:
        """What is learnt from: the train part, with `refit` the validation part too."""
        return (self.split.refit() if refit else self.split).train.histories()


def start(settings: Settings, folder: Path, observer: Observer, dataset: data.Dataset | None = None) -> dict[str, Any]:
    """Trains in a new folder; the content of its result.json.

    `dataset` is the data of settings whose source is `frame_source(dataset)`. Everything that can be refused is refused
    before the folder is made.
    """
    select.choose(settings.training.backend)
    method = catalog.load_method(settings.method_name)(settings.method)
    prepared = _prepare(settings, dataset)
    first = method.next_stage((), _allowance(settings, prepared))
    if first is None:
        raise SettingsError(f"method {settings.method_name!r} has nothing to train")
    run = RunFolder(folder)
    run.claim(settings)
    prepared.split.save(run.path)
    return _Run(settings, method, prepared, run, observer).go_on()


def resume(folder: Path, observer: Observer, dataset: data.Dataset | None = None) -> dict[str, Any]:
    """Trains on where the run in `folder` was stopped; what comes out is what it would have been without the stop.

    `dataset` is needed for a run that was started with one, and refused for any other.
    """
    run = RunFolder(folder)
    settings = run.settings()
    if run.result.exists():
        return run.read_result()
    dataset = load_dataset(settings, dataset)
    prepared = Prepared(dataset, data.Split.load(run.path, dataset.interactions))
    method = catalog.load_method(settings.method_name)(settings.method)
    return _Run(settings, method, prepared, run, observer).go_on()


def load_dataset(settings: Settings, dataset: data.Dataset | None = None) -> data.Dataset:
    """The data of a run, filtered: that of its source, or the one given.

    Raises SettingsError if the run was trained on a frame and that is not given, or is another one.
    """
    source = settings.data.source
    if dataset is None and is_frame(settings):
        raise SettingsError(
            f"this run was trained on a {source}, which is not on disk: give the frame again, "
            "resprout.resume(folder, frame)"
        )
    if dataset is not None and frame_source(dataset) != source:
        raise SettingsError(f"the data given are a {frame_source(dataset)}; this run was started on {source!r}")
    return data.apply(data.load(settings.data) if dataset is None else dataset, settings.filter)


def frame_source(dataset: data.Dataset) -> str:
    """What stands for a data set from memory where settings name their source: its counts."""
    found = dataset.interactions
    return f"{_FRAME}{found.n_users} users, {found.n_items} items, {len(found)} interactions"


def is_frame(settings: Settings) -> bool:
    """Whether the data of these settings came from memory."""
    return settings.data.source.startswith(_FRAME)


def _prepare(settings: Settings, dataset: data.Dataset | None) -> Prepared:
    dataset = load_dataset(settings, dataset)
    split = data.split(dataset, settings.split, settings.training.seed)
    if split.kind == "held_out_users" and not catalog.load_backbone(settings.backbone_name).folds_in:
        raise SettingsError(
            f"split.kind = 'held_out_users': backbone {settings.backbone_name!r} has a row for each user of training "
            "and cannot rank others; choose another split"
        )
    return Prepared(dataset, split)


def _allowance(settings: Settings, prepared: Prepared) -> Allowance:
    backbone = catalog.load_backbone(settings.backbone_name)
    interactions = prepared.dataset.interactions
    shapes = backbone.shapes(settings.backbone, interactions.n_users, interactions.n_items)
    return Allowance(tuple(shapes), settings.budget)


class _Run:
    def __init__(
        self, settings: Settings, method: Method, prepared: Prepared, folder: RunFolder, observer: Observer
    ) -> None:
        self.settings, self.method, self.prepared, self.folder = settings, method, prepared, folder
        self.allowance = _allowance(settings, prepared)
        self.checkpoints = Checkpoints(folder.checkpoint)
        self.metrics_file = MetricsFile(folder.metrics)
        self.observer = Observers((observer, self.metrics_file))

    def go_on(self) -> dict[str, Any]:
        """Trains what is left of the run."""
        memory.reset_peak()
        at = self.checkpoints.load() or Checkpoint((), "train", Progress(), {}, None)
        self.metrics_file.keep(at.phase, at.progress.epochs)
        stage = self.method.next_stage(at.finished, self.allowance)
        if stage is None:
            raise SettingsError(f"method {self.settings.method_name!r} has nothing left to train")
        if at.phase == "train":
            chosen = self._train(stage, at)
            at = Checkpoint(at.finished, "refit", Progress(), {}, chosen)
        else:
            chosen = at.chosen or at.progress
        model = self._model(stage, refit=False)
        self.checkpoints.restore_best(model.tables)
        validation = self._evaluate(model, of="validation")
        if self.settings.training.refit:
            model = self._refit(stage, at, chosen)
        return self._finish(model, stage, chosen, validation)

    def _train(self, stage: Stage, at: Checkpoint) -> Progress:
        settings = self.settings.training
        model = self._model(stage, refit=False)
        hooks = self.method.hooks(stage)
        if at.progress.epochs:
            self.checkpoints.restore(at, model.tables, hooks)
        has_validation = len(self.prepared.split.validation) > 0

        def save(progress: Progress, is_best: bool) -> None:
            _check_budget(model, stage)
            state = Checkpoint(at.finished, "train", progress, hooks.state(), None)
            self.checkpoints.save(state, model.tables, is_best or not has_validation)

        look = (lambda: self._evaluate(model, of="validation")) if has_validation else None
        batches = self._batches(model)
        task = Task("train", model, batches, hooks, settings, settings.epochs, settings.epochs, look, save)
        return train(task, at.progress, self.observer)

    def _refit(self, stage: Stage, at: Checkpoint, chosen: Progress) -> Backbone:
        settings = self.settings.training
        model = self._model(stage, refit=True)
        hooks = self.method.hooks(stage)
        if at.progress.epochs:
            self.checkpoints.restore(at, model.tables, hooks)

        def save(progress: Progress, _: bool) -> None:
            _check_budget(model, stage)
            state = Checkpoint(at.finished, "refit", progress, hooks.state(), chosen)
            self.checkpoints.save(state, model.tables, is_best=False)

        epochs = chosen.best_epoch or chosen.epochs
        batches = self._batches(model)
        task = Task("refit", model, batches, hooks, settings, epochs, settings.epochs, None, save)
        train(task, at.progress, self.observer)
        return model

    def _finish(self, model: Backbone, stage: Stage, chosen: Progress, validation: Metrics) -> dict[str, Any]:
        settings = self.settings
        shapes = self.allowance.shapes
        dense_weights = sum(shape.weights for shape in shapes)
        slots = sum(table.slots for table in model.tables.values())
        batch = self._batches(model).fresh(0, 1)
        executed = cost.executed_step(model, batch, len(batch.users))
        table_memory = cost.training_memory(model)
        last = self.checkpoints.load()
        refit = last.progress if last is not None and last.phase == "refit" else Progress()
        steps = chosen.steps + refit.steps
        result = {
            "dataset": self.prepared.dataset.name,
            "backbone": settings.backbone_name,
            "method": settings.method_name,
            "seed": settings.training.seed,
            "refit": settings.training.refit,
            "epochs": {"trained": chosen.epochs, "chosen": chosen.best_epoch or chosen.epochs},
            "budget": {
                "limit": None if settings.budget is None else str(settings.budget),
                "share": slots / dense_weights,
                "slots": slots,
                "dense_weights": dense_weights,
                "deployed_bytes": cost.deployed_bytes(model),
                "dense_bytes": sum(shape.dense_bytes for shape in shapes),
            },
            "validation": validation,
            "test": self._evaluate(model, of="test"),
            "cost": {
                "train_seconds": chosen.seconds + refit.seconds,
                "peak_table_bytes": table_memory.total,
                "table_bytes": dict(table_memory.bytes_by_kind),
                "peak_rss_bytes": memory.peak_bytes(),
                "macs_nominal_training": cost.nominal_training(model, len(batch.users), steps),
                "macs_executed_training": executed * steps,
                "macs_nominal_inference": cost.nominal_inference(model),
                "macs_executed_inference": cost.executed_inference(model),
                "stages": [
                    {**asdict(stage), "phase": phase, "epochs": p.epochs, "steps": p.steps, "seconds": p.seconds}
                    for phase, p in (("train", chosen), ("refit", refit))
                    if p.epochs
                ],
            },
        }
        save_model(self.folder.model, self._parts(model))
        write_json(self.folder.result, result)
        return self.folder.read_result()

    def _parts(self, model: Backbone) -> ModelParts:
        dataset, settings = self.prepared.dataset, self.settings
        return ModelParts(
            backbone=settings.backbone_name,
            options=settings.backbone.model_dump(),
            tables=model.tables,
            histories=model.histories,
            user_ids=dataset.interactions.user_ids,
            item_ids=dataset.interactions.item_ids,
            item_names=dataset.item_names,
            about={
                "dataset": dataset.name,
                "method": settings.method_name,
                "budget": None if settings.budget is None else str(settings.budget),
                "seed": settings.training.seed,
            },
        )

    def _model(self, stage: Stage, refit: bool) -> Backbone:
        settings = self.settings
        options = settings.backbone
        start = Start(options.start, options.start_scale, settings.training.seed)
        backend = select.choose(settings.training.backend).backend
        shapes = [shape.narrowed(width) for shape, width in zip(self.allowance.shapes, stage.widths, strict=True)]
        tables = build_tables(shapes, stage.storage, stage.slots, start, stage.scale_start, backend)
        return catalog.load_backbone(settings.backbone_name)(options, tables, self.prepared.train(refit))

    def _batches(self, model: Backbone) -> TripletBatches:
        settings = self.settings.training
        return TripletBatches(model.histories, settings.batch_size, settings.seed, settings.sampling)

    def _evaluate(self, model: Backbone, of: str) -> Metrics:
        return measure(model, self.prepared.split, of, self.settings.evaluation.cutoffs)


def measure(model: Backbone, split: data.Split, of: str, cutoffs: Sequence[int]) -> Metrics:
    """Metrics on the validation or test part; what the user interacted with before that part is not ranked."""
    held_out = split.validation if of == "validation" else split.test
    if len(held_out) == 0:
        return {}
    seen = split.train if of == "validation" else split.refit().train
    return evaluate(model.scorer(), held_out.histories(), seen.histories(), cutoffs)


def _check_budget(model: Backbone, stage: Stage) -> None:
    total = sum(table.slots for table in model.tables.values())
    if stage.slots and total != sum(stage.slots):
        raise BudgetExceeded(f"the tables hold {total:,} slots, their budget is {sum(stage.slots):,}")
