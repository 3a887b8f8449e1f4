import pytest

from resprout.cli import doctor


def test_all_is_well_here(resprout):
    shown = resprout("doctor")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1] == "all is well"
    for name in ("numba", "torch", "usable of", "vector instructions", "free memory", "threading layer", "cache"):
        assert name in shown.stdout
    assert "cpu_numba (the fastest backend for CPUs)" in shown.stdout


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("RESPROUT_BACKEND", "gpu", "wrong: unknown kernel backend 'gpu'"),
        ("RESPROUT_DATA", "/nowhere/at/all", "wrong: RESPROUT_DATA is /nowhere/at/all, which is no folder"),
        ("RESPROUT_CACHE", "/proc/cache", "wrong: the cache /proc/cache cannot be written to"),
    ],
)
def test_says_what_is_wrong(resprout, monkeypatch, variable, value, expected):
    monkeypatch.setenv(variable, value)
    shown = resprout("doctor")
    assert shown.exit_code == 1
    assert expected in shown.stdout
    assert "all is well" not in shown.stdout


def test_a_library_that_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_LIBRARIES", ("numpy", "no-such-library"))
    findings = {finding.name: finding for finding in doctor._software()}
    assert findings["no-such-library"].value == "missing"
    assert findings["no-such-library"].problem
    assert not findings["numpy"].problem
