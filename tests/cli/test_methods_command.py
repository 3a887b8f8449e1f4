import re

from resprout import catalog


def test_every_backbone_and_method_is_listed_with_its_summary(resprout):
    shown = resprout("methods").stdout
    for name in catalog.backbone_names():
        assert f"{name} " in shown
        assert catalog.load_backbone(name).summary in shown
    for name in catalog.method_names():
        assert f"{name} " in shown
        assert f" {name} " in shown
        words = " ".join(shown.split())
        assert all(word in words for word in (catalog.load_method(name).summary.split()))
        assert all(word in words for word in (catalog.load_method(name).cost.split()))


def test_options_of_one(resprout):
    shown = resprout("methods", "dsl").stdout
    assert "method.regrow_every" in shown
    assert "2000" in shown
    its = resprout("methods", "lightgcn").stdout
    assert "backbone.hops" in its
    for default in (
        r"training\.batch_size +8192",
        r"stages\.items\.backbone\.l2 +0\.0001 +where items alone have rows",
    ):
        assert re.search(default, its)
    assert "training.patience" in resprout("methods", "training").stdout
    assert resprout("methods", "dense").stdout == "dense has no options\n"


def test_unknown(resprout):
    shown = resprout("methods", "dls")
    assert shown.exit_code == 2
    assert "did you mean 'dsl'?" in shown.stderr
