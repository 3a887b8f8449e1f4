"""The studies that come with the project."""

from pathlib import Path

import pytest

from resprout.data import KNOWN
from resprout.study.spec import read_study

STUDIES = sorted((Path(__file__).parents[2] / "studies").rglob("*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_they_can_be_read_and_their_quick_forms_are_smaller(path):
    study, quick = read_study(path), read_study(path, quick=True)
    for each in (study, quick):
        assert {run.settings.data.source for run in each.runs} <= set(KNOWN)
    assert len(quick.runs) < len(study.runs)
    assert max(run.settings.training.epochs for run in quick.runs) <= 3


def test_all_methods_are_compared():
    from resprout import catalog

    (path,) = (path for path in STUDIES if path.stem == "methods")
    assert {run.settings.method_name for run in read_study(path).runs} == set(catalog.method_names())
