"""What a program calls: `train` within a budget, `resume`, and the run that both give back."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resprout import data
from resprout.budget import Budget
from resprout.serving.recommender import Recommender
from resprout.training import run
from resprout.training.folder import RunFolder
from resprout.training.observers import Observer
from resprout.training.prepare import frame_source, is_frame
from resprout.training.recipes import with_recipe
from resprout.training.settings import Settings, merged, resolve

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run that has ended: its folder and the content of its result.json."""

    folder: Path
    result: dict[str, Any]

    @property
    def test(self) -> dict[str, float]:
        """Metrics on the test part, such as `run.test["recall@20"]`."""
        return dict(self.result["test"])

    @property
    def validation(self) -> dict[str, float]:
        """Metrics on the validation part, of the epoch that was chosen on it."""
        return dict(self.result["validation"])

    @property
    def deployed_bytes(self) -> int:
        """Bytes of the tables as they are deployed, index included."""
        return int(self.result["budget"]["deployed_bytes"])

    @property
    def peak_table_bytes(self) -> int:
        """Most bytes that the tables held at once while they were trained."""
        return int(self.result["cost"]["peak_table_bytes"])

    def recommender(self) -> Recommender:
        """The deployed model, ready to recommend."""
        return Recommender.open(RunFolder(self.folder).model)

    def __str__(self) -> str:
        result, budget = self.result, self.result["budget"]
        shown = [name for name in self.test if name.startswith(("recall@", "ndcg@"))]
        metrics = "  ".join(f"{name} {self.test[name]:.4f}" for name in shown)
        return (
            f"{result['backbone']}, {result['method']}, seed {result['seed']} on {result['dataset']}: {self.folder}\n"
            f"test: {metrics}\n"
            f"deployed: {self.deployed_bytes:,} bytes of {budget['dense_bytes']:,}"
        )


def train(
    source: Any,
    /,
    *,
    backbone: str | Section | None = None,
    method: str | Section | None = None,
    budget: str | Budget | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
    recipe: bool | str | os.PathLike[str] = True,
    **sections: Section,
) -> Run:
    """The run that trains on `source`: a known data set, a path, or a frame (pandas, polars, pyarrow, list of tuples).

    `backbone` and `method` are names, or sections like `{"name": "lightgcn", "hops": 2}`; `sections` are the others of
    run.toml, such as `training={"learning_rate": 0.01}` or `data={"user_column": "who"}`. The folder `out` must be new;
    by default it lies in runs/ and is named after the settings. recipe: whether a known data set takes the settings
    that were chosen for it and the backbone, where the caller gives none; or the path of a recipe of one's own. Raises
    ResproutError for what is the caller's to mend.
    """
    named = {
        "data": {"source": os.fspath(source) if isinstance(source, str | os.PathLike) else "frame"},
        "backbone": {"name": backbone} if isinstance(backbone, str) else backbone or {},
        "method": {"name": method} if isinstance(method, str) else method or {},
        "budget": {} if budget is None else {"limit": str(budget)},
        "training": {key: value for key, value in (("epochs", epochs), ("seed", seed)) if value is not None},
    }
    values = merged(named, sections)
    own = None if isinstance(recipe, bool) else Path(recipe)
    settings = settings_of(with_recipe(values, own)[0] if recipe else values)
    dataset = None
    if not isinstance(source, str | os.PathLike):
        dataset = _read_frame(source, settings)
        settings = replace(settings, data=settings.data.model_copy(update={"source": frame_source(dataset)}))
    folder = Path(out) if out is not None else default_folder(settings)
    return Run(folder, run.start(settings, folder, observer or Observer(), dataset))


def resume(folder: str | os.PathLike[str], frame: Any = None, *, observer: Observer | None = None) -> Run:
    """The run in `folder`, trained on from where it was stopped; `frame` is its data, if that was a frame."""
    path = Path(folder)
    dataset = None if frame is None else _read_frame(frame, RunFolder(path).settings())
    return Run(path, run.resume(path, observer or Observer(), dataset))


def settings_of(values: Section) -> Settings:
    """The settings given by nested values; a path of data becomes absolute, for a run that goes on from elsewhere."""
    settings = resolve(values)
    source = settings.data.source
    path = Path(source).expanduser()
    if source in data.KNOWN or not path.exists():
        return settings
    return replace(settings, data=settings.data.model_copy(update={"source": str(path.absolute())}))


def default_folder(settings: Settings) -> Path:
    """runs/<data>-<backbone>-<method>[-<budget>[-training]]-<seed>."""
    source = settings.data.source
    known = source in data.KNOWN
    name = source if known else "frame" if is_frame(settings) else Path(source).name.partition(".")[0]
    parts = [name, settings.backbone_name, settings.method_name]
    if settings.budget is not None:
        parts.append(str(settings.budget).replace("%", "pct"))
        parts += ["training"] if settings.budget.of == "training" else []
    return Path("runs") / "-".join([*parts, str(settings.training.seed)])


def _read_frame(frame: Any, settings: Settings) -> data.Dataset:
    return data.read(frame, None, settings.data.columns, id_type=settings.data.id_type)
