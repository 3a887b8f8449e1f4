"""All settings of a run, each option declared once by the part that it belongs to.

Command line, TOML files and `run.toml` are read against this one model, so an unknown key is refused everywhere.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resprout import catalog
from resprout.backbones import backbone
from resprout.budget import Budget, Of
from resprout.data import DataSettings, FilterSettings, SplitSettings
from resprout.errors import SettingsError
from resprout.evaluation import sampled
from resprout.evaluation.ranking import METRICS
from resprout.methods import method
from resprout.schedules import Decay


class TrainingSettings(BaseModel):
    """The loop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0, description="everything random in the run follows from it")
    epochs: int = Field(default=100, ge=1, description="epochs at most")
    batch_size: int = Field(
        default=2048, ge=1, description="triplets a step, or users where a model reads whole histories"
    )
    sampling: Literal["user", "interaction"] = Field(
        default="interaction",
        description="interaction: each once an epoch; user: users uniformly, then one of their items",
    )
    learning_rate: float = Field(default=1e-2, gt=0, description="Adam's step size at the start")
    network_rate: float | None = Field(
        default=None, gt=0, description="that of weights outside of the tables, where it differs; it falls alike"
    )
    decay: Decay = Field(default="cosine", description="how the learning rate falls")
    final_rate: float = Field(
        default=0.01, ge=0, le=1, description="share of the learning rate that is left at the end"
    )
    beta_1: float = Field(default=0.9, ge=0, lt=1, description="Adam's decay of the first moment")
    beta_2: float = Field(default=0.999, ge=0, lt=1, description="Adam's decay of the second moment")
    epsilon: float = Field(default=1e-8, gt=0, description="Adam's guard against division by zero")
    evaluate_every: int = Field(default=1, ge=1, description="epochs between two evaluations on validation data")
    patience: int = Field(
        default=20, ge=0, description="evaluations without improvement before training stops; 0: never stop"
    )
    monitor: str = Field(
        default="recall@20", pattern="^[a-z_]+@[1-9][0-9]*$", description="validation metric that chooses"
    )
    refit: bool = Field(
        default=False, description="then train once more on train and validation data, for the chosen number of epochs"
    )
    final: bool = Field(
        default=False,
        description="at the end train once more on all data, those of the test too, for the chosen number of epochs, "
        "and deploy that; test metrics stay those of the model before",
    )
    backend: str | None = Field(default=None, description="kernel backend; the fastest one if not given")


class EvaluationSettings(BaseModel):
    """What is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoffs: tuple[int, ...] = Field(default=(10, 20, 50), min_length=1, description="list lengths K of the metrics")
    protocol: Literal["full", "sampled"] = Field(
        default="full",
        description="full: all items are ranked; sampled: each held-out item among random ones (NCF), never comparable "
        "with the other: its metrics are sampled_hr and sampled_ndcg",
    )
    sampled_negatives: int = Field(default=99, ge=1, description="how many random ones")
    test: bool = Field(
        default=True, description="test data are read at the end; false for trials, which validation data judge"
    )
    validation_users: int = Field(
        default=100_000,
        ge=1,
        description="users at most, drawn by the seed, whose validation data choose; test: all users",
    )


@dataclass(frozen=True)
class Settings:
    """A run, resolved: every option of every section has its value."""

    data: DataSettings
    filter: FilterSettings
    split: SplitSettings
    backbone_name: str
    backbone: backbone.Options
    method_name: str
    method: method.Options
    budget: Budget | None
    training: TrainingSettings
    evaluation: EvaluationSettings
    stages: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """What stages need otherwise, by their name or storage: `{"packed": {"training": {"learning_rate": 0.05}}}`."""

    def at(self, name: str, storage: str) -> "Settings":
        """The settings of a stage; those for its name are stronger than those for its storage."""
        own = merged(self.stages.get(storage, {}), self.stages.get(name, {}))
        sections = {key: {**getattr(self, key).model_dump(), **content} for key, content in own.items()}
        return replace(self, **{key: type(getattr(self, key))(**content) for key, content in sections.items()})

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        """The settings as nested plain values, as they stand in `run.toml`; `resolve` takes them back."""
        return {
            "data": self.data.model_dump(exclude_none=True),
            "filter": self.filter.model_dump(exclude_none=True),
            "split": self.split.model_dump(exclude_none=True),
            "backbone": {"name": self.backbone_name, **self.backbone.model_dump(exclude_none=True)},
            "method": {"name": self.method_name, **self.method.model_dump(exclude_none=True)},
            "budget": {} if self.budget is None else _budget_section(self.budget),
            "training": self.training.model_dump(exclude_none=True),
            "evaluation": {**self.evaluation.model_dump(), "cutoffs": list(self.evaluation.cutoffs)},
            "stages": {name: dict(content) for name, content in self.stages.items()},
        }


_NAMED = ("backbone", "method")
SECTIONS = ("data", "filter", "split", "backbone", "method", "budget", "training", "evaluation", "stages")
_OF_STAGES = ("learning_rate", "network_rate", "decay", "final_rate")


def resolve(values: Mapping[str, Any]) -> Settings:
    """The settings given by nested values such as `{"training": {"epochs": 3}}`; what is missing takes its default.

    Raises SettingsError naming the key, the value and what is valid.
    """
    sections_of("settings", values, SECTIONS)
    sections_of("stages", values.get("stages", {}))
    names = chosen_names(values)
    named = {section: {k: v for k, v in values.get(section, {}).items() if k != "name"} for section in _NAMED}
    backbone_class = catalog.load_backbone(names["backbone"])
    backbone_options = backbone_class.Options
    method_class = catalog.load_method(names["method"])
    budget = _validated("budget", _BudgetSection, values.get("budget", {}))
    settings = Settings(
        data=_validated("data", DataSettings, values.get("data", {})),
        filter=_validated("filter", FilterSettings, values.get("filter", {})),
        split=_validated("split", SplitSettings, values.get("split", {})),
        training=_validated("training", TrainingSettings, {**backbone_class.training, **values.get("training", {})}),
        evaluation=_validated("evaluation", EvaluationSettings, values.get("evaluation", {})),
        backbone_name=names["backbone"],
        backbone=_validated("backbone", backbone_options, named["backbone"], names["backbone"]),
        method_name=names["method"],
        method=_validated("method", method_class.Options, named["method"], names["method"]),
        budget=None if budget.limit is None else Budget.parse(budget.limit, budget.of),
        stages=merged(_stages_by_default(backbone_class, method_class, values), values.get("stages", {})),
    )
    _check_monitor(settings)
    for name in settings.stages:
        _check_stage(settings, name)
    return settings


def _stages_by_default(
    backbone_class: type[backbone.Backbone], method_class: type[method.Method], values: Mapping[str, Any]
) -> dict[str, Any]:
    """What the backbone has for stages that the method may have, as far as values leave it open."""
    stages = {
        name: {section: content for section, content in left_open(sections, values).items() if content}
        for name, sections in backbone_class.stages.items()
        if name in method_class.stages_at_some_budgets
    }
    return {name: sections for name, sections in stages.items() if sections}


def chosen_names(values: Mapping[str, Any]) -> dict[str, str]:
    """The names of "backbone" and "method" that nested values choose, or leave at their defaults.

    The default method is "dense", and "resprout" within a budget.
    """
    within = given(values, "budget", "limit") is not None
    defaults = {"backbone": "mf", "method": "resprout" if within else "dense"}
    return {name: str(given(values, name, "name", default)) for name, default in defaults.items()}


def given(values: Mapping[str, Any], section: str, key: str, default: Any = None) -> Any:
    """What nested values, checked or not, have as `section.key`; the default if nothing."""
    content = values.get(section)
    return content.get(key, default) if isinstance(content, Mapping) else default


def left_open(stage: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a stage has of its own, without keys that are given for all stages: those who give them mean it."""
    return {
        section: {key: value for key, value in content.items() if given(values, section, key) is None}
        for section, content in stage.items()
    }


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file of settings; SettingsError if it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not TOML: {error}") from error


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Nested values from texts like "training.epochs=3"; a value is TOML where it can be, else text.

    >>> assignments(["training.epochs=3", "stages.packed.backbone.l2=1e-3"])
    {'training': {'epochs': 3}, 'stages': {'packed': {'backbone': {'l2': 0.001}}}}
    """
    return merged({}, *(nested(*assignment(text)) for text in texts))


def assignment(text: str, option: str = "--set") -> tuple[str, Any]:
    """Key and value of a text like "training.epochs=3", given as this option."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{option} {text!r}: expected section.key=value, like training.epochs=3")
    return key.strip(), _toml_value(value.strip())


def nested(key: str, value: Any) -> dict[str, Any]:
    """`{"section": {"key": value}}` for the key "section.key"; SettingsError if it is none."""
    path = key.split(".")
    if not all(path) or len(path) != (4 if path[0] == "stages" else 2):
        raise SettingsError(
            f"{key!r}: expected section.key=value, like training.epochs=3, or for some stages of a method "
            "stages.NAME.section.key=value, like stages.packed.backbone.l2=1e-3"
        )
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, later layers over earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, content in layer.items():
            below = result.get(key)
            if isinstance(content, Mapping):
                result[key] = merged(below if isinstance(below, dict) else {}, content)
            else:
                result[key] = content
    return result


class _BudgetSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: str | None = Field(default=None, description="share of the dense weights like 20%, or bytes like 8MB")
    of: Of = Field(
        default="deployed",
        description="what bytes are counted: those of the deployed tables, or those of tables and moments in training",
    )


COMMON: dict[str, type[BaseModel]] = {
    "data": DataSettings,
    "filter": FilterSettings,
    "split": SplitSettings,
    "budget": _BudgetSection,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
}
"""The sections that have the same options whatever backbone and method are."""


def _budget_section(budget: Budget) -> dict[str, str]:
    return {"limit": str(budget)} | ({} if budget.of == "deployed" else {"of": budget.of})


Model = TypeVar("Model", bound=BaseModel)


def _validated(section: str, model: type[Model], content: Mapping[str, Any], chosen: str = "") -> Model:
    """The section as a model; its options are those of `chosen`, where there is a choice."""
    for key in content:
        if key not in model.model_fields:
            whose = f"{section} {chosen!r}" if chosen else section
            raise catalog.unknown(whose, key, model.model_fields, _elsewhere(key))
    try:
        return model(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([section, *map(str, first["loc"])])
        raise SettingsError(f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _elsewhere(key: str) -> list[str]:
    """Where there is an option of that name: in sections, and of which backbones and methods."""
    found = [f"{section}.{key}" for section, model in COMMON.items() if key in model.model_fields]
    for section, names, load in (
        ("backbone", catalog.backbone_names(), catalog.load_backbone),
        ("method", catalog.method_names(), catalog.load_method),
    ):
        if having := [name for name in names if key in load(name).Options.model_fields]:
            found.append(f"{section}.{key} of {', '.join(having)}")
    return found


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def sections_of(
    where: str, content: Mapping[str, Any], valid: Iterable[str] | None = None
) -> Mapping[str, Mapping[str, Any]]:
    """The content, of which each value is a section; SettingsError that names the one that is none, or is not valid."""
    for name, own in content.items():
        if valid is not None and name not in valid:
            raise catalog.unknown(where, name, valid)
        if not isinstance(own, Mapping):
            raise SettingsError(f"{where}: {name} = {own!r}: expected a section of keys, like {name}.KEY = VALUE")
    return content


def _check_stage(settings: Settings, name: str) -> None:
    valid = {"training": _OF_STAGES, "backbone": sorted(type(settings.backbone).model_fields.keys() - {"width"})}
    for section, own in sections_of(f"stages.{name}", settings.stages[name], valid).items():
        for key in own:
            if key not in valid[section]:
                raise catalog.unknown(f"stages.{name}.{section}", key, valid[section])
        base = getattr(settings, section)
        _validated(f"stages.{name}.{section}", type(base), {**base.model_dump(), **own})


def _check_monitor(settings: Settings) -> None:
    metric, _, cutoff = settings.training.monitor.partition("@")
    measured = METRICS if settings.evaluation.protocol == "full" else sampled.METRICS
    if metric not in measured:
        raise catalog.unknown("training.monitor", metric, measured)
    if int(cutoff) not in settings.evaluation.cutoffs:
        raise SettingsError(
            f"training.monitor = {settings.training.monitor!r}: {cutoff} is not one of evaluation.cutoffs "
            f"{list(settings.evaluation.cutoffs)}"
        )
