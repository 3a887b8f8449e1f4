"""A run from settings to result: data, stages, checkpoints, the one look at the test data, the model folder."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from resprout import catalog, data
from resprout.artifact.files import remove_unfinished, write_json
from resprout.artifact.format import ModelParts, save_model
from resprout.backbones.backbone import Backbone, degrees
from resprout.budget import TRAINED_BYTES
from resprout.data.batches import Batches
from resprout.errors import BudgetExceeded, SettingsError
from resprout.kernels import select
from resprout.methods.method import Allowance, Method, Stage, all_stages
from resprout.rng import stream_key
from resprout.tables.build import QUANTISED, SLOTTED, build_tables
from resprout.tables.initial import Start
from resprout.tables.table import Table
from resprout.training import cost, memory
from resprout.training.checkpoint import Checkpoint, Checkpoints, Done, Part
from resprout.training.folder import RunFolder
from resprout.training.loop import Metrics, Progress, Task, moment_of, train
from resprout.training.observers import MetricsFile, Observer, Observers
from resprout.training.optimizer import Optimizer
from resprout.training.prepare import Prepared, load_dataset, measure, measure_users, prepare
from resprout.training.settings import Settings
from resprout.training.shared import SharedStages, digest, stage_key


def start(
    settings: Settings,
    folder: Path,
    observer: Observer,
    dataset: data.Dataset | None = None,
    shared: SharedStages | None = None,
) -> dict[str, Any]:
    """Trains in a new folder; the content of its result.json.

    `dataset` is the data of settings whose source is `frame_source(dataset)`. `shared`: stages that other runs have
    trained, and that this one leaves for them. Everything that can be refused is refused before the folder is made.
    """
    select.choose(settings.training.backend)
    method = catalog.load_method(settings.method_name)(settings.method)
    prepared = prepare(settings, dataset)
    allowance = _allowance(settings, prepared)
    _check_stages(settings, method, allowance)
    run = RunFolder(folder)
    run.claim(settings)
    with run.alone():
        prepared.split.save(run.path)
        return _Run(settings, method, prepared, run, observer, shared).go_on()


def resume(
    folder: Path, observer: Observer, dataset: data.Dataset | None = None, shared: SharedStages | None = None
) -> dict[str, Any]:
    """Trains on where the run in `folder` was stopped; what comes out is what it would have been without the stop.

    `dataset` is needed for a run that was started with one, and refused for any other. `shared`: as in `start`.
    """
    run = RunFolder(folder)
    settings = run.settings()
    if run.result.exists():
        return run.read_result()
    run.check_settings()
    dataset = load_dataset(settings, dataset)
    prepared = Prepared(dataset, data.Split.load(run.path, dataset.interactions))
    method = catalog.load_method(settings.method_name)(settings.method)
    with run.alone():
        return _Run(settings, method, prepared, run, observer, shared).go_on()


def _check_stages(settings: Settings, method: Method, allowance: Allowance) -> None:
    stages = all_stages(method, allowance)
    for stage in stages:
        if stage.storage not in (*SLOTTED, *QUANTISED):
            weights = sum(shape.weights for shape in allowance.tables_of(stage))
            _check_training_bytes(settings, allowance, stage, TRAINED_BYTES * weights)
    if not stages:
        raise SettingsError(f"method {settings.method_name!r} has nothing to train")
    known = {*method.stages_at_some_budgets, *(name for stage in stages for name in (stage.name, stage.storage))}
    for name in settings.stages:
        if name not in known:
            raise catalog.unknown("stages", name, known)


def _allowance(settings: Settings, prepared: Prepared) -> Allowance:
    backbone = catalog.load_backbone(settings.backbone_name)
    found = prepared.dataset.interactions
    sizes = settings.backbone, found.n_users, found.n_items
    one_sided = {side: tuple(shapes) for side, shapes in backbone.one_sided_shapes(*sizes).items()}
    learnt = len(prepared.split.train)
    interactions = {"users": learnt / found.n_users, "items": learnt / found.n_items}
    shapes = tuple(backbone.shapes(*sizes))
    return Allowance(shapes, settings.budget, one_sided, interactions, backbone.rotation_invariant)


class _Run:
    def __init__(
        self,
        settings: Settings,
        method: Method,
        prepared: Prepared,
        folder: RunFolder,
        observer: Observer,
        shared: SharedStages | None,
    ) -> None:
        self.shared = shared
        self.settings, self.method, self.prepared, self.folder = settings, method, prepared, folder
        self.allowance = _allowance(settings, prepared)
        self.checkpoints = Checkpoints(folder.checkpoint)
        self.metrics_file = MetricsFile(folder.metrics)
        self.observer = Observers((observer, self.metrics_file))

    def go_on(self) -> dict[str, Any]:
        """Trains what is left of the run, stage by stage and phase by phase."""
        memory.reset_peak()
        remove_unfinished(self.folder.path)
        self.observer.read(self.prepared.dataset, self.prepared.split.counts())
        at = self.checkpoints.load()
        self.metrics_file.keep(self._epochs_by_part(at))
        while (part := self._next(at.done)) is not None:
            spent = self._taken_over(part, at) or self._train(part, at)
            self._give(part, at.done, spent)
            at = Checkpoint((*at.done, Done(part, spent)))
            self.checkpoints.begin_next(at)
        return self._finish(at.done)

    def _next(self, done: Sequence[Done]) -> Part | None:
        """All stages of training, then, as far as that is asked for, all of them once more on more data."""
        for phase in self._phases:
            finished = [each.part.stage for each in done if each.part.phase == phase]
            stage = self.method.next_stage(finished, self.allowance)
            if stage is not None:
                return Part(phase, stage)
        return None

    @property
    def _phases(self) -> list[str]:
        again = {"refit": self.settings.training.refit, "final": self.settings.training.final}
        return ["train", *(phase for phase, wanted in again.items() if wanted)]

    def _epochs_by_part(self, at: Checkpoint) -> dict[tuple[str, str], int]:
        epochs = {(each.part.phase, each.part.stage.name): each.spent.progress.epochs for each in at.done}
        if (part := self._next(at.done)) is not None:
            epochs[part.phase, part.stage.name] = at.progress.epochs
        return epochs

    def _taken_over(self, part: Part, at: Checkpoint) -> cost.Spent | None:
        """What another run spent on this very stage, if one has and this one has not begun it."""
        if self.shared is None or at.progress.epochs or self._horizon(part.stage) == 0:
            return None
        taken = self.shared.take(self._key(part, at.done), self.checkpoints.model_file(part))
        if taken is None:
            return None
        spent, records = taken
        self.metrics_file.append([{**record, "phase": part.phase, "stage": part.stage.name} for record in records])
        return spent

    def _give(self, part: Part, done: Sequence[Done], spent: cost.Spent) -> None:
        if self.shared is not None and spent.progress.epochs:
            records = self.metrics_file.records_of(part.phase, part.stage.name)
            self.shared.give(self._key(part, done), self.checkpoints.model_file(part), spent, records)

    @cached_property
    def _data(self) -> str:
        return digest(self.prepared)

    def _key(self, part: Part, done: Sequence[Done]) -> str:
        """The key of a part among shared stages, by those before it."""
        keys: dict[tuple[str, str], str] = {}
        for one in (*(each.part for each in done), part):
            earlier = {name: key for (phase, name), key in keys.items() if phase == one.phase}
            chosen_by = None if one.phase == "train" else (one.phase, keys["train", one.stage.name])
            settings = self._settings_of(one.stage)
            keys[one.phase, one.stage.name] = stage_key(
                settings, self.method, self._data, one.stage, earlier, chosen_by
            )
        return keys[part.phase, part.stage.name]

    def _train(self, part: Part, at: Checkpoint) -> cost.Spent:
        stage = part.stage
        settings = self._settings_of(stage).training
        earlier = {each.part.stage.name: each.part for each in at.done if each.part.phase == part.phase}
        model = self._starting_model(part, earlier)
        hooks = self.method.hooks(stage)
        hooks.prepare(model, lambda name: self._trained_model(earlier[name]), settings.seed)
        optimizer = Optimizer(model, settings, hooks.network)
        if at.progress.epochs:
            self.checkpoints.restore(at, model, optimizer, hooks)
        looks = part.phase == "train" and stage.judged and len(self.prepared.split.validation) > 0

        def save(progress: Progress, is_best: bool) -> None:
            _check_budget(model, stage)
            held = hooks.memory(model.tables).total
            held += sum(table.memory(training=True).total for table in model.tables.values())
            _check_training_bytes(self.settings, self.allowance, stage, held)
            if is_best:
                self.checkpoints.save_model(part, model)
            if is_best or self.checkpoints.is_due():
                self.checkpoints.save(Checkpoint(at.done, progress, hooks.state()), model, optimizer, hooks)

        look = (lambda: self._evaluate(model, of="validation")) if looks else None
        batches, horizon = self._batches(model), self._horizon(stage)
        epochs = horizon if part.phase == "train" else _chosen_epochs(_find(at.done, Part("train", stage)))
        task = Task(part.phase, stage.name, model, optimizer, batches, hooks, settings, epochs, horizon, look, save)
        progress = train(task, at.progress, self.observer)
        if progress.best_epoch:
            self.checkpoints.load_model(part, model)
        else:
            self.checkpoints.save_model(part, model)
        moment_at = partial(moment_of, task, progress.epochs)
        return cost.spent(model, hooks, batches, progress, horizon, moment_at)

    def _settings_of(self, stage: Stage) -> Settings:
        return self.settings.at(stage.name, stage.storage)

    def _horizon(self, stage: Stage) -> int:
        return self.settings.training.epochs if stage.epochs is None else stage.epochs

    def _finish(self, done: Sequence[Done]) -> dict[str, Any]:
        trained = next(each for each in reversed(done) if each.part.phase == "train")
        model = self._trained_model(trained.part)
        metrics = {"validation": self._evaluate(model, of="validation")}
        suited = model.suited(self._settings_of(trained.part.stage).training.batch_size)
        if self.settings.training.refit:
            model = self._trained_model(Part("refit", trained.part.stage))
        metrics["test"] = self._test(model)
        if self.settings.training.final:
            model = self._trained_model(Part("final", trained.part.stage))
        costs = cost.ledger(model, [(each.part.phase, each.part.stage, each.spent) for each in done])
        save_model(self.folder.model, self._parts(model, self._settings_of(trained.part.stage)))
        # a last stage may only cut or round
        longest = [each for each in done if each.part.phase == "train" and each.spent.progress.epochs]
        about = {"dataset": self.prepared.dataset.name, **describe(self.settings, longest[-1].spent.progress)}
        budget = cost.budget_use(model, self.allowance.shapes, self.settings.budget)
        write_json(self.folder.result, {**about, "suited": suited, "budget": budget, **metrics, "cost": costs})
        self.checkpoints.keep_only([trained.part])
        return self.folder.read_result()

    def _parts(self, model: Backbone, settings: Settings) -> ModelParts:
        dataset = self.prepared.dataset
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

    def _starting_model(self, part: Part, earlier: Mapping[str, Part]) -> Backbone:
        """A model as the stage begins with it."""
        sources = part.stage.mask_from, part.stage.values_from
        tables = [None if name is None else self._trained_tables(earlier[name]) for name in sources]
        model = self._model(part, *tables)
        if part.stage.values_from is not None:
            self.checkpoints.load_network(earlier[part.stage.values_from], model)
        return model

    def _trained_model(self, part: Part) -> Backbone:
        """A model as the stage has left it."""
        model = self._model(part)
        self.checkpoints.load_model(part, model)
        return model

    def _trained_tables(self, part: Part) -> dict[str, Table]:
        tables = self._tables(part)
        self.checkpoints.load_tables(part, tables)
        return tables

    def _model(
        self,
        part: Part,
        mask_from: Mapping[str, Table] | None = None,
        values_from: Mapping[str, Table] | None = None,
    ) -> Backbone:
        settings, seed = self._settings_of(part.stage), _seed(self.settings, part.stage)
        tables = self._tables(part, mask_from, values_from)
        learnt = self.prepared.learnt(part.phase)
        return catalog.load_backbone(settings.backbone_name)(settings.backbone, tables, learnt, seed)

    def _tables(
        self,
        part: Part,
        mask_from: Mapping[str, Table] | None = None,
        values_from: Mapping[str, Table] | None = None,
    ) -> dict[str, Table]:
        stage = part.stage
        options = self._settings_of(stage).backbone
        start = Start(options.start, options.start_scale, _seed(self.settings, stage))
        return build_tables(
            self.allowance.tables_of(stage),
            stage.storage,
            stage.slots,
            start,
            stage.scale_start,
            select.choose(self.settings.training.backend).backend,
            mask_from,
            values_from,
            stage.mask,
            lambda table: degrees(table, self.prepared.learnt(part.phase)),
        )

    def _batches(self, model: Backbone) -> Batches:
        settings = self.settings.training
        return model.batches(settings.batch_size, settings.seed, settings.sampling)

    def _test(self, model: Backbone) -> Metrics:
        """Metrics on the test part, none for a trial; where all items are ranked, those of users are written, too."""
        if not self.settings.evaluation.test:
            return {}
        if self.settings.evaluation.protocol != "full":
            return self._evaluate(model, of="test")
        users = measure_users(model, self.prepared.split, self.settings.evaluation)
        if users is None:
            return {}
        self.folder.write_users(users)
        return users.means()

    def _evaluate(self, model: Backbone, of: str) -> Metrics:
        return measure(model, self.prepared.split, of, self.settings.evaluation)


def _check_budget(model: Backbone, stage: Stage) -> None:
    total = sum(table.slots for table in model.tables.values())
    budget = sum(stage.slots)
    # a mask made of fewer weights than the budget has fewer slots; any other has all of them, always
    if stage.storage in SLOTTED and (total > budget or (total < budget and stage.mask_from is None)):
        raise BudgetExceeded(f"the tables hold {total:,} slots, their budget is {budget:,}")


def _check_training_bytes(settings: Settings, allowance: Allowance, stage: Stage, held: int) -> None:
    """BudgetExceeded if a budget of training bytes is passed by tables, their moments and what hooks hold."""
    if settings.budget is None or settings.budget.of == "deployed":
        return
    limit = settings.budget.bytes_of(allowance.shapes)
    if held > limit:
        raise BudgetExceeded(
            f"method {settings.method_name!r} holds {held:,} bytes of tables and moments while it trains "
            f"(stage {stage.name!r}); its budget is {settings.budget} of training, {limit:,} bytes"
        )


def _seed(settings: Settings, stage: Stage) -> int:
    """The seed of starting values and of a network: the run's, or one of its own for each further draw."""
    seed = settings.training.seed
    return stream_key(seed, "draw", stage.draw) % 2**63 if stage.draw else seed


def _find(done: Sequence[Done], part: Part) -> Progress:
    return next(each.spent.progress for each in done if each.part == part)


def _chosen_epochs(progress: Progress) -> int:
    return progress.best_epoch or progress.epochs


def describe(settings: Settings, chosen: Progress) -> dict[str, Any]:
    """What was trained, as it stands at the head of result.json."""
    return {
        "backbone": settings.backbone_name,
        "method": settings.method_name,
        "seed": settings.training.seed,
        "refit": settings.training.refit,
        "final": settings.training.final,
        "epochs": {"trained": chosen.epochs, "chosen": _chosen_epochs(chosen)},
    }
