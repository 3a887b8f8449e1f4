"""The import rule and the shape of the house."""

import subprocess
import sys
from pathlib import Path

from resprout import catalog

ROOT = Path(__file__).parents[1]


def test_imports_point_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_pickled():
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text("utf-8")
        for allowed in ("no pickle", "No pickle", "without pickle"):
            text = text.replace(allowed, "")
        assert "pickle" not in text, path


def test_the_catalog_finds_parts_by_file_name_without_importing_them():
    code = (
        "import sys; from resprout import catalog; names = catalog.backbone_names() + catalog.method_names();"
        "assert 'resprout.backbones.mf' not in sys.modules and 'torch' not in sys.modules; print(*names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"mf", "lightgcn", "dense", "dsl", "narrow", "random"} <= set(done.stdout.split())


def test_every_part_can_be_loaded_and_says_what_it_is():
    parts = [*map(catalog.load_backbone, catalog.backbone_names()), *map(catalog.load_method, catalog.method_names())]
    for part in parts:
        assert part.summary
        for name, field in part.Options.model_fields.items():
            assert field.description, f"{part.__name__}: option {name} has no help"
