"""The search for the smallest budget, on curves that are known."""

import pytest

from resprout.errors import SettingsError
from resprout.study import fit
from resprout.study.fit import Search, fit_budget

DENSE = (0.30, 0.32)


def walk(monkeypatch, curve, **options):
    """What the search finds where `curve` gives the loss of each seed at a share, and the shares that it tried."""

    def measured(search, share, folder, workers, told):
        if share is None:
            return list(DENSE[: len(search.seeds)])
        losses = curve(share)
        return [whole * (1 - loss) for whole, loss in zip(DENSE, losses, strict=False)][: len(search.seeds)]

    monkeypatch.setattr(fit, "_measured", measured)
    tried = []
    found = fit_budget(Search({}, **options), None, None, lambda _: None, tried.append)
    return found, [point.share for point in tried]


@pytest.mark.parametrize("edge", [3.0, 17.0, 50.0, 99.0])
def test_it_finds_the_edge_of_a_curve_that_falls(monkeypatch, edge):
    found, tried = walk(monkeypatch, lambda share: [0.0 if share >= edge else 0.1])
    assert edge <= found.share <= edge * 1.15
    assert len(tried) == len(set(tried)) <= 10


def test_the_margin_is_relative_to_dense(monkeypatch):
    found, _ = walk(monkeypatch, lambda share: [0.5 / share], margin=0.02)
    assert 25 <= found.share <= 25 * 1.15


def test_the_lowest_share_is_enough_or_the_highest_is_not(monkeypatch):
    found, tried = walk(monkeypatch, lambda share: [0.0], lowest=5.0)
    assert (found.share, tried) == (5.0, [100.0, 5.0])
    found, tried = walk(monkeypatch, lambda share: [0.02])
    assert (found, tried) == (None, [100.0])


def test_a_loss_within_its_own_noise_does_not_make_a_budget_too_small(monkeypatch):
    """At 10 % losses of 0 and 3 %: mean 1.5 %, standard error 1.5 %."""
    found, _ = walk(monkeypatch, lambda share: [0.0, 0.03] if share < 50 else [0.0, 0.0], seeds=(0, 1), lowest=10.0)
    assert found.share == 10.0
    assert (found.loss, found.error) == (pytest.approx(0.015), pytest.approx(0.015))
    found, _ = walk(monkeypatch, lambda share: [0.015, 0.015] if share < 50 else [0.0, 0.0], seeds=(0, 1), lowest=10.0)
    assert 50 <= found.share <= 50 * 1.15


@pytest.mark.parametrize("options", [{"lowest": 0.0}, {"highest": 101.0}, {"lowest": 100.0}])
def test_bounds_that_make_no_sense(monkeypatch, options):
    with pytest.raises(SettingsError, match="expected 0 < lowest < highest <= 100"):
        walk(monkeypatch, lambda share: [0.0], **options)


def test_without_validation_data_there_is_nothing_to_search_by():
    search = Search({"method": {"name": "dsl"}, "split": {"validation_share": 0}})
    for share in (None, 50.0):
        with pytest.raises(SettingsError, match=r"split.validation_share is 0"):
            search.planned(share)
