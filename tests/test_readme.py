"""What the README shows is what there is."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from resprout.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if not kind for line in block.splitlines() if line.startswith("resprout ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_can_be_typed(line):
    """Every option and subcommand of the line exists; nothing is run."""
    words = shlex.split(line)[1:]
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context("resprout", words, resilient_parsing=False)


def test_make_targets_exist_and_come_first():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets[:2] == ["demo", "test"]
    assert set(re.findall(r"make ([a-z]+)", README)) <= {*targets, "them"}


def test_the_python_example_is_the_file_in_examples():
    (example,) = (block for kind, block in BLOCKS if kind == "python")
    assert example.strip() in (ROOT / "examples" / "quickstart.py").read_text("utf-8")


def test_its_tables_are_the_catalog():
    from resprout import catalog

    for name in catalog.method_names():
        method = catalog.load_method(name)
        assert f"| [`{name}`](docs/methods/{name}.md) | {method.summary} | {method.cost} |\n" in README
    for name in catalog.backbone_names():
        backbone = catalog.load_backbone(name)
        (row,) = re.findall(
            rf"^\| `{name}` \| {re.escape(backbone.summary)} \| [^|]+\|([^|]*)\|$", README, re.MULTILINE
        )
        folds_in = "from their histories" if backbone.folds_in else ""
        if "items" in backbone.one_sided_shapes(backbone.Options(), 2, 2):
            folds_in = "from their histories, if items alone have rows"
        assert row.strip() == folds_in


def test_every_method_has_its_card():
    from resprout import catalog

    cards = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs" / "methods").glob("*.md")}
    assert cards.keys() == set(catalog.method_names())
    for name, card in cards.items():
        assert card.startswith(f"# `{name}`: ")
        assert all(f"| {row} |" in card for row in ("source", "stages", "defaults", "not to be used"))
        assert f"| cost in dense trainings | {catalog.load_method(name).cost} |" in card.replace("= `", "= ").replace(
            "`", ""
        )
