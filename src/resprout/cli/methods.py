"""`resprout methods`: the backbones and methods there are, and the options of each, and of what is common to all."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


def methods(
    name: Annotated[
        str | None, typer.Argument(help="Show the options of this backbone, method or section of the settings.")
    ] = None,
) -> None:
    """List backbones, training methods and other sections of the settings, or the options of one."""
    from resprout import catalog
    from resprout.cli.tables import figures, output
    from resprout.training.settings import COMMON

    if name is None:
        backbones = [(one, catalog.load_backbone(one).summary) for one in catalog.backbone_names()]
        methods = [(one, catalog.load_method(one)) for one in catalog.method_names()]
        trainings = [(one, method.summary, method.cost) for one, method in methods]
        output().print(figures("backbones (--backbone)", ("name", "what it is"), backbones, text_columns=2))
        headers = ("name", "what it is", "cost, in dense trainings")
        output().print(figures("methods (--method)", headers, trainings, text_columns=3))
        typer.echo(f"other settings: resprout methods {' | '.join(COMMON)}")
        return
    section, found = _find(name)
    rows = [
        (f"{section}.{key}", str(field.default), field.description or "") for key, field in found.model_fields.items()
    ]
    if section == "backbone":
        rows += _of_its_own(name)
    if rows:
        output().print(figures(f"options of {name} (--set KEY=VALUE)", ("key", "default", "meaning"), rows, 3))
    else:
        typer.echo(f"{name} has no options")


def _of_its_own(backbone: str) -> list[tuple[str, str, str]]:
    """Where a backbone has other defaults than there are for all, of sections and of single stages."""
    from resprout import catalog

    chosen = catalog.load_backbone(backbone)
    rows = [
        (f"training.{key}", str(value), "see `resprout methods training`") for key, value in chosen.training.items()
    ]
    for stage, sections in chosen.stages.items():
        for section, content in sections.items():
            told = f"where {stage} alone have rows, unless {section} has it for all"
            rows += [(f"stages.{stage}.{section}.{key}", str(value), told) for key, value in content.items()]
    return rows


def _find(name: str) -> "tuple[str, type[BaseModel]]":
    from resprout import catalog
    from resprout.training.settings import COMMON

    if name in COMMON:
        return name, COMMON[name]
    if name in catalog.backbone_names():
        return "backbone", catalog.load_backbone(name).Options
    if name in catalog.method_names():
        return "method", catalog.load_method(name).Options
    raise catalog.unknown("backbone or method", name, [*catalog.backbone_names(), *catalog.method_names(), *COMMON])
