"""A run from settings to result: data, stages, checkpoints, the one look at the test data, the model folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resprout import catalog, data
from resprout.artifact.files import write_json
from resprout.artifact.format import ModelParts, save_model
from resprout.backbones.backbone import Backbone
from resprout.data.batches import Batches
from resprout.errors import BudgetExceeded, SettingsError
from resprout.kernels import select
from resprout.methods.method import Allowance, Method, Stage
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.training import cost, memory
from resprout.training.checkpoint import Checkpoint, Checkpoints
from resprout.training.folder import RunFolder
from resprout.training.loop import Metrics, Progress, Task, train
from resprout.training.observers import MetricsFile, Observer, Observers
from resprout.training.optimizer import Optimizer
from resprout.training.prepare import Prepared, load_dataset, measure, prepare
from resprout.training.settings import Settings


def start(settings: Settings, folder: Path, observer: Observer, dataset: data.Dataset | None = None) -> dict[str, Any]:
    """Trains in a new folder; the content of its result.json.

    `dataset` is the data of settings whose source is `frame_source(dataset)`. Everything that can be refused is refused
    before the folder is made.
    """
    select.choose(settings.training.backend)
    method = catalog.load_method(settings.method_name)(settings.method)
    prepared = prepare(settings, dataset)
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
        self.checkpoints.restore_best(model)
        validation = self._evaluate(model, of="validation")
        phases = {"train": self._spent(model, stage, chosen)}
        if self.settings.training.refit:
            model, progress = self._refit(stage, at, chosen)
            phases["refit"] = self._spent(model, stage, progress)
        return self._finish(model, stage, chosen, validation, phases)

    def _train(self, stage: Stage, at: Checkpoint) -> Progress:
        settings = self.settings.training
        model = self._model(stage, refit=False)
        optimizer, hooks = Optimizer(model, settings), self.method.hooks(stage)
        if at.progress.epochs:
            self.checkpoints.restore(at, model, optimizer, hooks)
        has_validation = len(self.prepared.split.validation) > 0

        def save(progress: Progress, is_best: bool) -> None:
            _check_budget(model, stage)
            state = Checkpoint(at.finished, "train", progress, hooks.state(), None)
            self.checkpoints.save(state, model, optimizer, is_best or not has_validation)

        look = (lambda: self._evaluate(model, of="validation")) if has_validation else None
        batches = self._batches(model)
        task = Task("train", model, optimizer, batches, hooks, settings, settings.epochs, settings.epochs, look, save)
        return train(task, at.progress, self.observer)

    def _refit(self, stage: Stage, at: Checkpoint, chosen: Progress) -> tuple[Backbone, Progress]:
        settings = self.settings.training
        model = self._model(stage, refit=True)
        optimizer, hooks = Optimizer(model, settings), self.method.hooks(stage)
        if at.progress.epochs:
            self.checkpoints.restore(at, model, optimizer, hooks)

        def save(progress: Progress, _: bool) -> None:
            _check_budget(model, stage)
            state = Checkpoint(at.finished, "refit", progress, hooks.state(), chosen)
            self.checkpoints.save(state, model, optimizer, is_best=False)

        epochs = chosen.best_epoch or chosen.epochs
        batches = self._batches(model)
        task = Task("refit", model, optimizer, batches, hooks, settings, epochs, settings.epochs, None, save)
        return model, train(task, at.progress, self.observer)

    def _spent(self, model: Backbone, stage: Stage, progress: Progress) -> cost.Spent:
        horizon = self.settings.training.epochs
        return cost.spent(model, self.method.hooks(stage), self._batches(model), progress, horizon)

    def _finish(
        self, model: Backbone, stage: Stage, chosen: Progress, validation: Metrics, phases: Mapping[str, cost.Spent]
    ) -> dict[str, Any]:
        costs = cost.ledger(model, self.method.hooks(stage), stage, phases)
        metrics = {"validation": validation, "test": self._evaluate(model, of="test")}
        save_model(self.folder.model, self._parts(model))
        about = {"dataset": self.prepared.dataset.name, **describe(self.settings, chosen)}
        budget = cost.budget_use(model, self.allowance.shapes, self.settings.budget)
        write_json(self.folder.result, {**about, "budget": budget, **metrics, "cost": costs})
        return self.folder.read_result()

    def _parts(self, model: Backbone) -> ModelParts:
        dataset, settings = self.prepared.dataset, self.settings
        return ModelParts(
            backbone=settings.backbone_name,
            options=settings.backbone.model_dump(),
            tables=model.tables,
            network=model.network_arrays(),
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
        return catalog.load_backbone(settings.backbone_name)(
            options, tables, self.prepared.train(refit), settings.training.seed
        )

    def _batches(self, model: Backbone) -> Batches:
        settings = self.settings.training
        return model.batches(settings.batch_size, settings.seed, settings.sampling)

    def _evaluate(self, model: Backbone, of: str) -> Metrics:
        return measure(model, self.prepared.split, of, self.settings.evaluation)


def _check_budget(model: Backbone, stage: Stage) -> None:
    total = sum(table.slots for table in model.tables.values())
    if stage.slots and total != sum(stage.slots):
        raise BudgetExceeded(f"the tables hold {total:,} slots, their budget is {sum(stage.slots):,}")


def describe(settings: Settings, chosen: Progress) -> dict[str, Any]:
    """What was trained, as it stands at the head of result.json."""
    return {
        "backbone": settings.backbone_name,
        "method": settings.method_name,
        "seed": settings.training.seed,
        "refit": settings.training.refit,
        "epochs": {"trained": chosen.epochs, "chosen": chosen.best_epoch or chosen.epochs},
    }
