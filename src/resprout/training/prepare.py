"""The data of a run: loaded, filtered, split, and measured on."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from resprout import catalog, data
from resprout.data.histories import Histories
from resprout.errors import SettingsError
from resprout.evaluation.evaluate import Scorer, UserMetrics, evaluate, evaluate_per_user
from resprout.evaluation.sampled import evaluate_sampled
from resprout.rng import stream
from resprout.training.loop import Metrics
from resprout.training.settings import EvaluationSettings, Settings

_FRAME = "frame of "


@dataclass(frozen=True)
class Prepared:
    """Data of a run, split: item names and id maps are the data set's."""

    dataset: data.Dataset
    split: data.Split

    def learnt(self, phase: str) -> Histories:
        """What a phase of the run learns from: "train" the train part, "refit" the validation part too, "final" all."""
        splits = {"train": lambda: self.split, "refit": self.split.refit, "final": self.split.whole}
        return splits[phase]().train.histories()


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


def prepare(settings: Settings, dataset: data.Dataset | None = None) -> Prepared:
    """The data of a new run; raises DataError or SettingsError for data that cannot be trained on."""
    dataset = load_dataset(settings, dataset)
    split = data.split(dataset, settings.split, settings.training.seed)
    if split.kind == "held_out_users" and not catalog.load_backbone(settings.backbone_name).folds_in:
        raise SettingsError(
            f"split.kind = 'held_out_users': backbone {settings.backbone_name!r} has a row for each user of training "
            "and cannot rank others; choose another split"
        )
    return Prepared(dataset, split)


class Ranks(Protocol):
    """What can be measured: a backbone, or anything else that scores items."""

    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """See `Backbone.scorer`."""
        ...


def measure(model: Ranks, split: data.Split, of: str, settings: EvaluationSettings) -> Metrics:
    """Metrics on the validation or test part; what the user interacted with before that part is not ranked.

    Of the validation part, users are drawn where there are more than `settings.validation_users`, the same ones always:
    to rank all items for all of a million users takes longer than to train on their interactions once.
    """
    held_out = split.test if of == "test" else _drawn(split, settings.validation_users)
    if len(held_out) == 0:
        return {}
    known = split.known(of).histories()
    if settings.protocol == "sampled":
        lists = held_out.histories(), known
        return evaluate_sampled(model.scorer(known), *lists, settings.cutoffs, settings.sampled_negatives, split.seed)
    return evaluate(model.scorer(known), held_out.histories(), known, settings.cutoffs)


def measure_users(model: Ranks, split: data.Split, settings: EvaluationSettings) -> UserMetrics | None:
    """Those of single users on the test part, all items ranked; None if nothing is held out."""
    if len(split.test) == 0:
        return None
    known = split.known("test").histories()
    return evaluate_per_user(model.scorer(known), split.test.histories(), known, settings.cutoffs)


def _drawn(split: data.Split, most: int) -> data.Interactions:
    """The validation part of so many users at most."""
    found = split.validation
    users = np.unique(found.users)
    if len(users) <= most:
        return found
    drawn = stream(split.seed, "validation users").choice(users, most, replace=False)
    return found.select(np.isin(found.users, drawn))
