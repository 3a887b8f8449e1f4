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
    assert "backbone.hops" in resprout("methods", "lightgcn").stdout
    assert "training.patience" in resprout("methods", "training").stdout
    assert resprout("methods", "dense").stdout == "dense has no options\n"


def test_unknown(resprout):
    shown = resprout("methods", "dls")
    assert shown.exit_code == 2
    assert "did you mean 'dsl'?" in shown.stderr
