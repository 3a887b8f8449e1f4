"""The studies that come with the project."""

import json
from functools import cache
from pathlib import Path

import pytest

from resprout.data import KNOWN
from resprout.study.planned import run_key
from resprout.study.spec import read_study
from resprout.training.settings import resolve

STUDIES = sorted((Path(__file__).parents[2] / "studies").rglob("*.toml"))


planned = cache(read_study)


def kept_of(study):
    return study.parent / "kept" / f"{study.stem}.jsonl"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_they_can_be_read_and_their_quick_forms_are_smaller(path):
    study, quick = planned(path), read_study(path, quick=True)
    for each in (study, quick):
        assert {run.settings.data.source for run in each.runs} <= set(KNOWN)
    assert len(quick.runs) < len(study.runs)
    assert max(run.settings.training.epochs for run in quick.runs) <= 3


@pytest.mark.parametrize("path", [path for path in STUDIES if kept_of(path).exists()], ids=lambda path: path.stem)
def test_what_is_kept_is_what_they_plan(path):
    """Else a page may still have figures of settings that a recipe no longer has."""
    possible = {run.key for run in planned(path).possible}
    kept = [json.loads(line) for line in kept_of(path).read_text("utf-8").splitlines()]
    assert [run["settings"] for run in kept if run_key(resolve(run["settings"])) not in possible] == []


def test_all_methods_are_compared():
    from resprout import catalog

    (path,) = (path for path in STUDIES if path.stem == "methods")
    assert {run.settings.method_name for run in planned(path).runs} == set(catalog.method_names())
