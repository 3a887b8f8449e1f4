"""Runs from settings to result, on a small data set from a file."""

import itertools
import json
import time

import numpy as np
import pytest
from run_makers import METHODS, UNSUITED, Stop, StopAt, files_of

from resprout.artifact.files import read_tensors
from resprout.artifact.format import load_model
from resprout.data import Split
from resprout.errors import BudgetExceeded, RunError, SettingsError, TrainingError
from resprout.evaluation.evaluate import evaluate_per_user
from resprout.kernels import compiling
from resprout.rng import stream
from resprout.serving.recommender import Recommender, model_of
from resprout.training import checkpoint, run
from resprout.training.checkpoint import Checkpoints
from resprout.training.observers import Observer
from resprout.training.prepare import load_dataset, measure, prepare
from resprout.training.settings import read_toml

NETWORKS = {
    "neumf": ["backbone.dropout=0.2"],
    "convncf": ["backbone.channels=4"],
    "multvae": ["backbone.latent=8"],
    "cdae": [],
    "ultragcn": ["backbone.negatives=10"],
}


@pytest.mark.parametrize(
    ("method", "backbone"),
    [
        *(case for case in itertools.product(METHODS, ["lightgcn", "mf", "multvae"]) if case not in UNSUITED),
        *itertools.product(["dense", "dsl"], [name for name in NETWORKS if name != "multvae"]),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(settings, tmp_path, method, backbone):
    whole_users = ["training.batch_size=6"] if backbone in ("multvae", "cdae") else []
    # of each method with one backbone, and of two with each
    refit = backbone == "mf" or (method, "mf") in UNSUITED or method in ("dense", "dsl")
    again = [f"training.{name}=true" for name, wanted in (("refit", refit), ("final", backbone == "mf")) if wanted]
    common = [*again, "training.evaluate_every=2", *whole_users, *NETWORKS.get(backbone, [])]
    chosen = settings(method, f"backbone.name={backbone}", *common)
    run.start(chosen, tmp_path / "whole", Observer())
    with pytest.raises(Stop):
        run.start(chosen, tmp_path / "halves", StopAt(9))
    stops = 0
    for stop_at in itertools.cycle((1, 10, 16, 37)):
        try:
            run.resume(tmp_path / "halves", StopAt(stop_at))
            break
        except Stop:
            stops += 1
    assert stops >= 3
    assert files_of(tmp_path / "halves") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("after", [False, True])
def test_a_stop_beside_a_checkpoint_loses_no_record(settings, tmp_path, monkeypatch, after):
    chosen = settings("dsl")
    run.start(chosen, tmp_path / "whole", Observer())
    save, saved = Checkpoints.save, []

    def stopping(self, *state):
        if after:
            save(self, *state)
        saved.append(state)
        if len(saved) == 2:
            raise Stop
        if not after:
            save(self, *state)

    monkeypatch.setattr(Checkpoints, "save", stopping)
    with pytest.raises(Stop):
        run.start(chosen, tmp_path / "halves", Observer())
    monkeypatch.setattr(Checkpoints, "save", save)
    run.resume(tmp_path / "halves", Observer())
    assert files_of(tmp_path / "halves") == files_of(tmp_path / "whole")


def test_checkpoints_that_cost_more_than_epochs_are_fewer(settings, tmp_path, monkeypatch):
    chosen = settings("dsl", "training.evaluate_every=6")
    run.start(chosen, tmp_path / "whole", Observer())
    write, written = checkpoint.write_tensors, []

    def slowly(path, arrays, about):
        time.sleep(0.11)
        written.append(path.name)
        write(path, arrays, about)

    monkeypatch.setattr(checkpoint, "write_tensors", slowly)
    monkeypatch.setattr(checkpoint, "_SHARE", 1e-6)  # however slow the machine: the next one in days
    with pytest.raises(Stop):
        run.start(chosen, tmp_path / "halves", StopAt(19))
    assert written == ["last.safetensors"]
    run.resume(tmp_path / "halves", Observer())
    assert files_of(tmp_path / "halves") == files_of(tmp_path / "whole")


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(settings, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run.start(settings("dsl", f"training.seed={seed}"), tmp_path / name, Observer())
    a, b, c = (files_of(tmp_path / name) for name in "abc")
    assert a == b
    assert a[0] != c[0]


@pytest.mark.parametrize("backbone", ["mf", "lightgcn", "multvae"])
@pytest.mark.parametrize("method", METHODS)
def test_the_model_that_is_deployed_ranks_as_it_was_measured(settings, tmp_path, method, backbone):
    if (method, backbone) in UNSUITED:
        return
    chosen = settings(method, f"backbone.name={backbone}", *NETWORKS.get(backbone, []))
    result = run.start(chosen, tmp_path / "run", Observer())
    split = Split.load(tmp_path / "run", load_dataset(chosen).interactions)
    model = model_of(load_model(tmp_path / "run" / "model"))
    assert measure(model, split, "test", chosen.evaluation) == result["test"]


@pytest.mark.parametrize("method", METHODS)
def test_result_has_the_promised_keys_and_keeps_to_the_budget(settings, tmp_path, method):
    result = run.start(settings(method), tmp_path / "run", Observer())
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert {"dataset", "backbone", "method", "seed", "budget", "validation", "test", "cost"} <= result.keys()
    assert {"share", "slots", "dense_weights", "deployed_bytes", "dense_bytes"} <= result["budget"].keys()
    assert {
        "train_seconds", "peak_table_bytes", "peak_rss_bytes", "macs_nominal_training", "macs_executed_training",
        "macs_nominal_inference", "macs_executed_inference", "stages",
    } <= result["cost"].keys()  # fmt: skip
    assert {"recall@20", "ndcg@20", "hr@20", "recall_capped@5", "precision@5", "mrr@5"} <= result["test"].keys()
    assert result["budget"]["dense_weights"] == 70 * 16
    limit, kind = result["budget"]["limit"] or "100%", "share"
    if method.startswith(("quantised", "resprout")):  # whose weights have fewer bytes
        result["budget"]["bytes"], kind = result["budget"]["deployed_bytes"] / result["budget"]["dense_bytes"], "bytes"
    if result["budget"]["of"] != "training":  # of which there is a test of its own
        assert 0 < result["budget"][kind] <= (float(limit[:-1]) / 100 if limit.endswith("%") else 1)
    if limit.endswith("B"):
        slack, limit = 1 if method.endswith("int8") else 4, int(limit[:-1])
        assert limit - slack < result["budget"]["deployed_bytes"] <= limit
    tables, _ = read_tensors(tmp_path / "run/model/tables.safetensors")
    assert sum(array.nbytes for array in tables.values()) == result["budget"]["deployed_bytes"]
    (table,) = result["budget"]["tables"]
    assert (table["slots"], table["deployed_bytes"]) == tuple(result["budget"][k] for k in ("slots", "deployed_bytes"))
    one_sided = {"items": ("item", 30), "users": ("user", 40)}
    assert (table["name"], table["rows"]) == one_sided.get(method.rpartition(", ")[2], ("node", 70))


def weights_of(folder):
    """The deployed weights of a model of one table, zeros where it has none."""
    model = load_model(folder / "model")
    return model.tables["node"].read_range(0, 70)


def test_what_is_cut_is_the_best_dense_table(settings, tmp_path):
    run.start(settings("dense"), tmp_path / "dense", Observer())
    for name in ("one_shot, none", "one_shot"):
        run.start(settings(name), tmp_path / name, Observer())
    dense, cut, again = (weights_of(tmp_path / name) for name in ("dense", "one_shot, none", "one_shot"))
    largest = np.abs(dense) >= np.sort(np.abs(dense).reshape(-1))[-int(0.3 * 70 * 16)]
    np.testing.assert_array_equal(cut, np.where(largest, dense, 0))
    np.testing.assert_array_equal(again != 0, largest)


def test_the_ledger_has_every_training_of_a_method(settings, tmp_path):
    result = run.start(settings("lottery", "training.refit=true"), tmp_path / "run", Observer())
    stages, dense = result["cost"]["stages"], run.start(settings("dense"), tmp_path / "dense", Observer())
    assert [(each["phase"], each["name"]) for each in stages] == [
        (phase, name) for phase in ("train", "refit") for name in ("dense", "round 1", "train")
    ]
    assert [sum(each["slots"]) for each in stages[:3]] == [0, 672, 560]
    assert result["budget"]["slots"] == 560
    assert result["cost"]["peak_table_bytes"] == dense["cost"]["peak_table_bytes"] == stages[0]["peak_table_bytes"]
    for figure in ("nominal", "executed"):
        assert result["cost"][f"macs_{figure}_training"] == sum(each[f"macs_{figure}"] for each in stages)
    assert len(list((tmp_path / "run/checkpoint").iterdir())) == 2


def test_seconds_of_training_are_without_those_of_compiling(settings, tmp_path):
    class Compiles(Observer):
        told = 0

        def compiling(self):
            self.told += 1

        def step(self, step):
            if step == 1:
                compiling.begin()
                time.sleep(0.3)
                compiling.end()

    watch, begun, before = Compiles(), time.perf_counter(), compiling.seconds()
    result = run.start(settings("narrow"), tmp_path / "run", watch)
    compiled = compiling.seconds() - before
    assert watch.told >= 1
    assert compiled >= 0.3
    assert 0 < result["cost"]["train_seconds"] < time.perf_counter() - begun - compiled


def test_it_learns_and_deploys_the_best_epoch(settings, tmp_path):
    result = run.start(settings("dense", "training.epochs=40", "backbone.l2=0.05"), tmp_path / "run", Observer())
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    values = [record["metrics"]["recall@20"] for record in records]
    assert result["validation"]["recall@20"] == max(values)
    assert result["epochs"]["chosen"] == 1 + values.index(max(values))
    assert result["test"]["recall@20"] > 0.95


def test_patience_stops_early_and_none_never(settings, tmp_path):
    stopped = run.start(settings("dense", "training.epochs=60", "training.patience=2"), tmp_path / "a", Observer())
    assert stopped["epochs"]["trained"] == stopped["epochs"]["chosen"] + 2 < 60
    patient = run.start(settings("dense", "training.epochs=30", "training.patience=0"), tmp_path / "b", Observer())
    assert patient["epochs"]["trained"] == 30


@pytest.mark.parametrize(("factor_share", "earliest"), [(0.5, 6), (0.55, 6), (1.0, 10)])
def test_no_epoch_is_chosen_before_the_network_is_trained(settings, tmp_path, factor_share, earliest):
    """Nor do those before it try patience; where it never is, it is the last one. So it is after a stop, too."""
    own = ["training.epochs=10", "training.patience=1", *NETWORKS["convncf"], f"backbone.factor_share={factor_share}"]
    chosen = settings("dense", "backbone.name=convncf", *own)
    result = run.start(chosen, tmp_path / "whole", Observer())
    assert result["epochs"]["chosen"] >= earliest
    records = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert all(record["metrics"] for record in records)
    assert [record["epoch"] for record in records if record["best"]][:1] == ([] if factor_share == 1 else [earliest])
    with pytest.raises(Stop):
        run.start(chosen, tmp_path / "halves", StopAt(20))
    run.resume(tmp_path / "halves", Observer())
    assert files_of(tmp_path / "halves") == files_of(tmp_path / "whole")


def test_a_method_plans_with_what_is_learnt_from(settings):
    """Whether one side goes without rows: 100 interactions in the mean, but not of those that training sees."""
    prepared = prepare(settings())
    allowance = run._allowance(settings(), prepared)
    assert allowance.interactions == {"users": len(prepared.split.train) / 40, "items": len(prepared.split.train) / 30}
    assert len(prepared.split.train) < len(prepared.dataset.interactions)


def test_refit_trains_on_validation_data_too_for_the_chosen_epochs(settings, tmp_path):
    result = run.start(settings("dense", "training.refit=true"), tmp_path / "run", Observer())
    phases = {stage["phase"]: stage for stage in result["cost"]["stages"]}
    assert phases["refit"]["epochs"] == result["epochs"]["chosen"]
    history, _ = read_tensors(tmp_path / "run/model/interactions.safetensors")
    plain = run.start(settings("dense"), tmp_path / "plain", Observer())
    without, _ = read_tensors(tmp_path / "plain/model/interactions.safetensors")
    sizes = [next(a.size for name, a in arrays.items() if name.endswith("items")) for arrays in (history, without)]
    assert sizes[0] > sizes[1]
    assert plain["validation"] == result["validation"]
    for figure in ("macs_nominal_training", "macs_executed_training", "macs_executed_inference"):
        assert plain["cost"][figure] < result["cost"][figure]


@pytest.mark.parametrize("refit", ["false", "true"])
def test_the_final_training_is_on_all_data_and_leaves_metrics_as_they_are(settings, tmp_path, refit):
    plain = run.start(settings("dsl", f"training.refit={refit}"), tmp_path / "plain", Observer())
    chosen = settings("dsl", f"training.refit={refit}", "training.final=true")
    result = run.start(chosen, tmp_path / "run", Observer())
    assert (result["validation"], result["test"]) == (plain["validation"], plain["test"])
    assert result["final"]
    assert not plain["final"]
    phases = [stage["phase"] for stage in result["cost"]["stages"]]
    assert phases == ["train", "refit", "final"] if refit == "true" else ["train", "final"]
    assert result["cost"]["stages"][-1]["epochs"] == result["epochs"]["chosen"]
    interactions = prepare(chosen).dataset.interactions
    recommender = Recommender.open(tmp_path / "run")
    for user in (0, 7):
        expected = interactions.item_ids.ids.take(np.unique(interactions.items[interactions.users == user]))
        assert sorted(recommender.history(interactions.user_ids.ids[user].as_py())["item_id"].to_pylist()) == sorted(
            expected.to_pylist()
        )
    users = [read_tensors(tmp_path / name / "users.safetensors")[0] for name in ("plain", "run")]
    for name, values in users[0].items():
        np.testing.assert_array_equal(values, users[1][name])


def test_methods_under_comparison_share_split_starting_values_and_batches(settings, tmp_path):
    for method in ("dense", "random"):
        run.start(settings(method), tmp_path / method, Observer())
    splits = [read_tensors(tmp_path / method / "split.safetensors")[0] for method in ("dense", "random")]
    np.testing.assert_array_equal(splits[0]["assignment"], splits[1]["assignment"])


def test_a_loss_that_is_no_number_stops_the_run_with_its_step(settings, tmp_path):
    with pytest.raises(TrainingError, match=r"loss is nan at step [0-9]+ \(epoch [0-9]+\)|loss is inf"):
        run.start(settings("dense", "training.learning_rate=1e30"), tmp_path / "run", Observer())


@pytest.mark.parametrize(
    ("method", "more", "error", "message"),
    [
        ("dense", ["budget.limit=50%"], SettingsError, "cannot keep to a budget"),
        ("dsl", ["budget.limit=150B"], BudgetExceeded, "too small"),
        ("dsl", ["budget.limit=9MB"], SettingsError, "above the 4,480 bytes"),
        ("narrow", ["budget.limit=1%"], BudgetExceeded, "no column left"),
        ("dsl", ["split.kind=held_out_users"], SettingsError, "cannot rank others"),
    ],
)
def test_what_can_be_refused_is_refused_before_a_folder_is_made(settings, tmp_path, method, more, error, message):
    with pytest.raises(error, match=message):
        run.start(settings(method, *more), tmp_path / "run", Observer())
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_another_run_is_left_alone(settings, tmp_path):
    run.start(settings("dense"), tmp_path / "run", Observer())
    before = files_of(tmp_path / "run")
    with pytest.raises(RunError, match="holds another run"):
        run.start(settings("dense"), tmp_path / "run", Observer())
    assert files_of(tmp_path / "run") == before


def test_a_budget_of_training_bytes_is_beyond_a_dense_table(settings, tmp_path):
    for method in ("one_shot", "pep", "autoemb", "rkd"):
        with pytest.raises(BudgetExceeded, match=f"method '{method}' holds .* bytes of tables and moments while it"):
            run.start(settings(method, "budget.limit=50%", "budget.of=training"), tmp_path / "run", Observer())
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["narrow", "random", "dsl", "resprout"])
def test_a_budget_of_training_bytes_is_kept(settings, tmp_path, method):
    result = run.start(settings(method, "budget.limit=45%", "budget.of=training"), tmp_path / method, Observer())
    held = result["cost"]["table_bytes"]
    dense = 12 * result["budget"]["dense_weights"]
    assert sum(size for kind, size in held.items() if kind != "gradient_block") <= 0.45 * dense
    assert (result["budget"]["limit"], result["budget"]["of"]) == ("45%", "training")


def test_what_a_kill_has_left_half_written_is_removed(settings, tmp_path):
    with pytest.raises(Stop):
        run.start(settings("dense"), tmp_path / "run", StopAt(9))
    left = tmp_path / "run" / "checkpoint" / ".last.safetensors.77.part"
    left.write_bytes(b"half")
    run.resume(tmp_path / "run", Observer())
    assert not left.exists()


def test_resuming_a_finished_run_gives_its_result(settings, tmp_path):
    result = run.start(settings("dense"), tmp_path / "run", Observer())
    assert run.resume(tmp_path / "run", Observer()) == result


def test_validation_looks_at_so_many_users_at_most(settings, tmp_path):
    chosen = settings("dsl", "evaluation.validation_users=10")
    run.start(chosen, tmp_path / "run", Observer())
    model = model_of(load_model(tmp_path / "run" / "model"))
    split = Split.load(tmp_path / "run", load_dataset(chosen).interactions)
    known = split.known("validation").histories()
    each = evaluate_per_user(model.scorer(known), split.validation.histories(), known, (20,))
    assert len(each.users) > 20
    drawn = np.isin(each.users, stream(0, "validation users").choice(each.users, 10, replace=False))
    expected = each.values["recall@20"][drawn].mean()
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["validation"]["recall@20"] == pytest.approx(expected)
    assert measure(model, split, "validation", chosen.evaluation)["recall@20"] == pytest.approx(expected)
    of_all = settings("dsl").evaluation
    assert measure(model, split, "validation", of_all)["recall@20"] == pytest.approx(each.values["recall@20"].mean())
    assert found["test"] == pytest.approx(measure(model, split, "test", of_all))


def test_the_sampled_protocol_has_figures_of_its_own(settings, tmp_path):
    with pytest.raises(SettingsError, match=r"training.monitor: unknown 'recall'.*sampled_hr"):
        settings("dense", "evaluation.protocol=sampled")
    chosen = settings(
        "dense", "evaluation.protocol=sampled", "evaluation.sampled_negatives=9", "evaluation.cutoffs=[1,5]",
        "training.monitor=sampled_ndcg@5", "training.epochs=30",
    )  # fmt: skip
    result = run.start(chosen, tmp_path / "run", Observer())
    assert result["test"].keys() == {"sampled_hr@1", "sampled_hr@5", "sampled_ndcg@1", "sampled_ndcg@5"}
    assert result["test"]["sampled_hr@5"] > 0.9
    assert result["test"]["sampled_ndcg@1"] == result["test"]["sampled_hr@1"] < result["test"]["sampled_hr@5"]


@pytest.mark.parametrize("backbone", ["multvae", "cdae"])
def test_held_out_users_are_ranked_from_what_they_show(settings, tmp_path, backbone):
    chosen = settings(
        "dense", f"backbone.name={backbone}", "split.kind=held_out_users", "training.epochs=60",
        "training.batch_size=8", *NETWORKS[backbone],
    )  # fmt: skip
    result = run.start(chosen, tmp_path / "run", Observer())
    assert result["test"]["recall_capped@5"] > 0.6  # chance gives 0.3


def test_stages_have_settings_of_their_own(settings, tmp_path):
    """A name is stronger than a storage; what is not said stays."""
    own = ["stages.packed.training.learning_rate=0.01", "stages.dense.backbone.l2=0.5", "stages.train.backbone.l2=0.25"]
    run.start(settings("one_shot", *own), tmp_path / "run", Observer())
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    rates = {
        stage: max(each["learning_rate"] for each in records if each["stage"] == stage) for stage in ("dense", "train")
    }
    assert rates["dense"] / rates["train"] == pytest.approx(5)
    assert load_model(tmp_path / "run" / "model").options["l2"] == 0.25
    assert read_toml(tmp_path / "run" / "run.toml")["stages"]["dense"] == {"backbone": {"l2": 0.5}}
    plain = run.start(settings("one_shot"), tmp_path / "plain", Observer())
    assert plain["test"] != json.loads((tmp_path / "run/result.json").read_text())["test"]


def test_a_stage_that_the_method_has_not_is_refused(settings, tmp_path):
    with pytest.raises(
        SettingsError, match=r"stages: unknown 'pakced' \(did you mean 'packed'\?\); valid are: dense, pack"
    ):
        run.start(settings("one_shot", "stages.pakced.backbone.l2=1"), tmp_path / "run", Observer())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages.dense.split.kind=x", r"stages\.dense: unknown 'split'; valid are: backbone, training"),
        ("stages.dense.training.seed=1", r"stages\.dense\.training: unknown 'seed'; valid are: .*learning_rate"),
        ("stages.dense.backbone.width=8", r"stages\.dense\.backbone: unknown 'width'; valid are"),
        ("stages.dense.training.learning_rate=-1", r"stages\.dense\.training\.learning_rate = -1: input should be"),
        ("stages.dense=1", r"expected section\.key=value, .* stages\.NAME\.section\.key=value"),
    ],
)
def test_settings_of_stages_that_are_refused(settings, text, message):
    with pytest.raises(SettingsError, match=message):
        settings("one_shot", text)
