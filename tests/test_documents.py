"""Documents say what runs came to: figures are of runs that are kept, and links lead somewhere."""

import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import pytest

from resprout.errors import SettingsError
from resprout.training.settings import resolve

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TRACKS = sorted(ROOT.glob("docs/recipe/*.md"))
ALL_KEPT = [path for path in TRACKS if path.name != "exploratory.md"]
OF_SEVERAL_SEEDS = [*TRACKS, *ROOT.glob("docs/results/*.md"), ROOT / "docs" / "studies.md"]
FIGURE = r"(?<![\d.])(\.\d{4})(?!\d)"
SPREAD = re.compile(rf"{FIGURE}\**(?: \\\*+)? ± {FIGURE}")
HEADS = {
    "validation Recall@20": ("validation", "recall@20"),
    "test Recall@20": ("test", "recall@20"),
    "test NDCG@20": ("test", "ndcg@20"),
}


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@cache
def kept():
    """Of each group of kept runs that differ by their seeds alone, by part and metric: what `spread` tells of them."""
    results = defaultdict(dict)
    for path in ROOT.glob("studies/**/kept/*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            run = json.loads(line)
            try:
                settings = json.loads(json.dumps(resolve(run["settings"]).sections, default=str))
            except SettingsError:
                settings = run["settings"]  # of before some option was taken away
            seed = settings["training"].pop("seed")
            results[json.dumps([path.name, settings], sort_keys=True)][seed] = run["result"]
    return [
        {
            (part, metric): spread([result[part][metric] for result in by_seed.values()])
            for part in ("validation", "test")
            for metric in next(iter(by_seed.values()))[part] or ()
        }
        for by_seed in results.values()
    ]


def spread(values):
    """Mean and deviation; of one seed its value alone."""
    told = (mean(values), stdev(values)) if len(values) > 1 else values
    return tuple(f"{value:.4f}".removeprefix("0") for value in told)


def rows_of(text):
    """Of each row of a table: its cells, by their heads."""
    heads = None
    for line in text.splitlines():
        cells = re.split(r"\s*(?<!\\)\|\s*", line.strip())[1:-1] if line.startswith("|") else None
        if cells is None or heads is None:
            heads = cells
        elif not set("".join(cells)) <= set("-: "):
            yield dict(zip(heads, cells, strict=True))


@pytest.mark.parametrize("path", OF_SEVERAL_SEEDS, ids=names(OF_SEVERAL_SEEDS))
def test_means_and_deviations_are_of_kept_runs(path):
    known = {spread for group in kept() for spread in group.values()}
    assert [told for told in SPREAD.findall(path.read_text("utf-8")) if told not in known] == []


@pytest.mark.parametrize("path", ALL_KEPT, ids=names(ALL_KEPT))
def test_a_row_is_of_the_same_runs(path):
    for row in rows_of(path.read_text("utf-8")):
        told = {HEADS[head]: tuple(re.findall(FIGURE, cell)) for head, cell in row.items() if head in HEADS}
        assert any(told.items() <= group.items() for group in kept()), row


def test_what_is_told_at_a_glance_stands_where_its_command_is():
    """Figures of the README and of the recipe's first page, which have no command beside them."""
    pages = "".join(path.read_text("utf-8") for path in [*TRACKS, *ROOT.glob("docs/results/*.md")])
    for path in (ROOT / "README.md", ROOT / "docs" / "recipe.md"):
        told = set(re.findall(FIGURE, path.read_text("utf-8")))
        assert told - set(re.findall(FIGURE, pages)) == set(), path


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
        place, _, section = target.partition("#")
        if "://" in target:
            continue
        linked = path.parent / place if place else path
        assert linked.exists(), target
        if section:
            heads = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            assert section in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, target
