"""The demo, once: it trains five models; with fewer epochs than a user's has."""

import json

from resprout.cli import demo


def test_demo_compares_five_methods_and_recommends(resprout, monkeypatch, tmp_path):
    monkeypatch.setitem(demo.SHARED["training"], "epochs", 8)
    shown = resprout("demo", "--out", tmp_path / "demo")
    assert shown.exit_code == 0, shown.output
    results = {
        method: json.loads((tmp_path / "demo" / method / "result.json").read_text())
        for method in ("dense", "narrow", "random", "dsl", "resprout")
    }
    rows = {
        line.split()[0]: line for line in shown.stdout.splitlines() if line.split()[:1] and line.split()[0] in results
    }
    for method, result in results.items():
        assert f"{result['test']['recall@20']:.4f}" in rows[method]
        assert f"{result['test']['ndcg@20']:.4f}" in rows[method]
    recall = {method: result["test"]["recall@20"] for method, result in results.items()}
    assert recall["dense"] > recall["dsl"] > recall["narrow"] > recall["random"] > 0.1
    assert recall["resprout"] > recall["dsl"]
    dense = results["dense"]
    for method in ("narrow", "random", "dsl"):
        assert results[method]["budget"]["slots"] <= 0.2 * dense["budget"]["dense_weights"]
        assert results[method]["cost"]["peak_table_bytes"] < 0.5 * dense["cost"]["peak_table_bytes"]
    assert results["resprout"]["budget"]["deployed_bytes"] <= 0.2 * dense["budget"]["dense_bytes"]
    assert results["resprout"]["cost"]["peak_table_bytes"] < 0.5 * dense["cost"]["peak_table_bytes"]
    assert "user u0003 has" in shown.stdout
    assert "recommended" in shown.stdout
    assert "(epic fantasy)" in shown.stdout
