import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from resprout import catalog
from resprout.artifact.format import ModelParts, save_model
from resprout.backbones.mf import MF
from resprout.budget import Shape
from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.errors import DataError, RunError, SettingsError
from resprout.evaluation.evaluate import DotScorer, rank
from resprout.kernels.contract import PackedRows, starts_of
from resprout.kernels.select import choose
from resprout.serving.recommender import Recommender
from resprout.tables.dense import DenseTable
from resprout.tables.packed import PackedTable

USERS = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
ITEMS = np.array([[4, 1], [3, 2], [2, 3], [1, -4]], np.float32)
NAMES = ["Alien", "Brazil", "Chaplin", "Diva"]
# ann has items 10 and 30, bob has 30, cy has none.
SEEN = Histories(np.array([0, 2, 3, 3]), np.array([0, 2, 2], np.int32), 4)


def dense(name, values):
    return DenseTable(Shape(name, *values.shape), values, choose().backend)


def packed(name, values):
    present = values != 0
    mask = (present * [1, 2]).sum(axis=1, keepdims=True).astype(np.uint8)
    rows = PackedRows(mask, starts_of(present.sum(axis=1)), values[present])
    return PackedTable(Shape(name, *values.shape), rows, choose().backend)


def make(kind=dense, backbone="mf", **fields):
    options = {"width": 2} | ({"hops": 0} if backbone == "lightgcn" else {})
    if backbone == "mf":
        tables = {"user": kind("user", USERS), "item": kind("item", ITEMS)}
    else:
        tables = {"node": kind("node", np.concatenate([USERS, ITEMS]))}
    values = {
        "backbone": backbone,
        "options": options,
        "tables": tables,
        "histories": SEEN,
        "user_ids": IdMap.of(["ann", "bob", "cy"]),
        "item_ids": IdMap(np.array([10, 20, 30, 40])),
        "item_names": NAMES,
    }
    return ModelParts(**(values | fields))


@pytest.fixture
def recommender(tmp_path):
    save_model(tmp_path / "run" / "model", make())
    return Recommender.open(tmp_path / "run")


@pytest.mark.parametrize("backbone", ["mf", "lightgcn"])
@pytest.mark.parametrize("kind", [dense, packed])
def test_a_known_answer(tmp_path, backbone, kind):
    save_model(tmp_path / "model", make(kind, backbone))
    table = Recommender.open(tmp_path / "model").recommend(["bob", "ann", "cy"])
    assert table.column_names == ["user_id", "item_id", "score", "rank", "item_name"]
    assert table.schema.field("score").type == pa.float32()
    assert list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True)) == [
        ("bob", 20, 2, 1, "Brazil"),
        ("bob", 10, 1, 2, "Alien"),
        ("bob", 40, -4, 3, "Diva"),
        ("ann", 20, 3, 1, "Brazil"),
        ("ann", 40, 1, 2, "Diva"),
        ("cy", 10, 0, 1, "Alien"),
        ("cy", 20, 0, 2, "Brazil"),
        ("cy", 30, 0, 3, "Chaplin"),
        ("cy", 40, 0, 4, "Diva"),
    ]


def test_seen_items_stay_in_if_asked_for(recommender):
    table = recommender.recommend(["ann"], k=3, filter_seen=False)
    assert table["item_id"].to_pylist() == [10, 20, 30]
    assert table["rank"].to_pylist() == [1, 2, 3]


def test_only_the_items_given_are_ranked(recommender):
    def items(users, **options):
        return recommender.recommend(users, **options)["item_id"].to_pylist()

    assert items(["bob"], items=[40, 10]) == [10, 40]
    assert items(["bob"], items=[40, 10], k=1) == [10]
    assert items(["bob"], items=[30, 40]) == [40]
    assert items(["bob"], items=[30, 40], filter_seen=False) == [30, 40]
    assert items(["bob"], items=["40", "40"]) == [40]
    assert items(["bob"], items=[30]) == []
    assert items(["bob"], items=[]) == []
    assert items(["bob"]) == [20, 10, 40]


@pytest.mark.parametrize(
    "users",
    [
        ["cy", "ann"],
        ("cy", "ann"),
        np.array(["cy", "ann"]),
        np.array(["cy", "ann"], object),
        pd.Series(["cy", "ann"], index=[7, 3]),
        pl.Series(["cy", "ann"]),
        pa.array(["cy", "ann"]),
        pa.chunked_array([["cy"], ["ann"]]),
        pa.array(["cy", "ann"]).dictionary_encode(),
    ],
    ids=lambda users: f"{type(users).__module__}.{type(users).__name__}",
)
def test_users_may_come_in_any_column(recommender, users):
    assert recommender.recommend(users, k=1)["user_id"].to_pylist() == ["cy", "ann"]


@pytest.mark.parametrize(
    "users", [[300, 1], ["300", "1"], np.array([300, 1], np.uint16), pd.Series([300, 1]), pl.Series([300, 1])]
)
def test_integer_user_ids_and_text_item_ids_without_names(tmp_path, users):
    ids = {"user_ids": IdMap(np.array([1, 20, 300])), "item_ids": IdMap.of("wxyz"), "item_names": None}
    save_model(tmp_path / "model", make(**ids))
    recommender = Recommender.open(tmp_path / "model")
    table = recommender.recommend(users, k=1)
    assert table.column_names == ["user_id", "item_id", "score", "rank"]
    assert table["user_id"].to_pylist() == [300, 1]
    assert table["item_id"].to_pylist() == ["w", "x"]
    assert recommender.recommend([20], items=["z", "w"])["item_id"].to_pylist() == ["w", "z"]
    assert recommender.history(1).to_pydict() == {"item_id": ["w", "y"]}


def test_no_users_and_users_named_twice(recommender):
    empty = recommender.recommend([])
    assert empty.num_rows == 0
    assert empty.schema == recommender.recommend(["ann"]).schema
    assert recommender.recommend(["ann", "ann"], k=1)["user_id"].to_pylist() == ["ann", "ann"]


def test_row_numbers(recommender):
    items, scores = recommender.recommend_rows(np.array([1, 0], np.int32), k=9)
    assert items.tolist() == [[1, 0, 3, -1], [1, 3, -1, -1]]
    assert scores.tolist() == [[2, 1, -4, -np.inf], [3, 1, -np.inf, -np.inf]]
    assert recommender.recommend_rows(np.array([0]), 1, filter_seen=False)[0].tolist() == [[0]]
    assert recommender.recommend_rows(np.array([], np.int32))[0].shape == (0, 4)
    for row in (-1, 3):
        with pytest.raises(DataError, match=rf"user rows run from .*{row}.*, expected 0\.\.2"):
            recommender.recommend_rows(np.array([row], np.int32))


def test_history(recommender):
    assert recommender.history("ann").to_pydict() == {"item_id": [10, 30], "item_name": ["Alien", "Chaplin"]}
    assert recommender.history("cy").to_pydict() == {"item_id": [], "item_name": []}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.recommend(["ann", "Bob"]), r"user: unknown id 'Bob' .*close to it: 'bob'; leave it out, or train"),
        (lambda r: r.recommend("ann"), r"user: ids must come as a list.*write \['ann'\]"),
        (lambda r: r.recommend(5), r"user ids must come as a list, not as the number 5; write \[5\]"),
        (lambda r: r.recommend(["ann"], items=[11]), r"item: unknown id 11: the 4 known ids lie in 10\.\.40; leave it"),
        (lambda r: r.history("dan"), "user: unknown id 'dan'"),
    ],
)
def test_unknown_ids(recommender, call, message):
    with pytest.raises(DataError, match=message):
        call(recommender)


@pytest.mark.parametrize("k", [0, -3])
def test_k_must_be_positive(recommender, k):
    with pytest.raises(SettingsError, match=f"k = {k}: expected at least 1"):
        recommender.recommend(["ann"], k)


class Vectors(DotScorer):
    def item_vectors(self, begin, end):
        return ITEMS[begin:end]


def with_scorer(monkeypatch, scorer):
    class Model(MF):
        def scorer(self, known=None):
            return scorer

    monkeypatch.setattr(catalog, "load_backbone", lambda name: Model)
    return Recommender(make())


def test_similar_items_by_cosine(monkeypatch):
    table = with_scorer(monkeypatch, Vectors(USERS, ITEMS)).similar_items([40, 10], k=2)
    assert table.column_names == ["query_id", "item_id", "score", "rank", "item_name"]
    assert table["query_id"].to_pylist() == [40, 40, 10, 10]
    assert table["item_id"].to_pylist() == [10, 20, 20, 30]
    assert table["rank"].to_pylist() == [1, 2, 1, 2]
    expected = [0, -5 / np.sqrt(13 * 17), 14 / np.sqrt(17 * 13), 11 / np.sqrt(17 * 13)]
    np.testing.assert_allclose(table["score"].to_numpy(), expected, atol=1e-6)


def test_items_without_weights_are_similar_to_nothing(monkeypatch):
    monkeypatch.setitem(globals(), "ITEMS", np.array([[0, 0], [3, 2], [2, 3], [1, -4]], np.float32))
    recommender = with_scorer(monkeypatch, Vectors(USERS, ITEMS))
    assert recommender.similar_items([10])["score"].to_pylist() == [0, 0, 0]
    assert recommender.similar_items([10])["item_id"].to_pylist() == [20, 30, 40]
    assert recommender.similar_items([20], k=9)["item_id"].to_pylist() == [30, 10, 40]
    with pytest.raises(DataError, match="item: unknown id 11"):
        recommender.similar_items([11])


def test_a_backbone_without_item_vectors_has_no_similar_items(monkeypatch):
    class NoVectors:
        n_items = 4

        def queries(self, users):
            return users

        def scores(self, queries, begin, end):
            return np.zeros((len(queries), end - begin), np.float32)

    with pytest.raises(SettingsError, match="backbone 'mf' has no item vectors to compare"):
        with_scorer(monkeypatch, NoVectors()).similar_items([10])


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(
        RunError, match=r"is not a model folder: it has no model\.json; name the folder of a run that has"
    ):
        Recommender.open(tmp_path)


def test_a_model_is_opened_by_run_folder_or_model_folder_even_if_its_writer_was_killed(tmp_path):
    save_model(tmp_path / "model", make())
    for aside in (False, True):
        if aside:
            (tmp_path / "model").rename(tmp_path / ".model.old")
        for folder in (tmp_path, tmp_path / "model", str(tmp_path)):
            assert Recommender.open(folder).history("bob")["item_id"].to_pylist() == [30]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "mf2", "options": {}}, "backbone.name: unknown 'mf2'"),
        ({"name": "mf", "options": {"width": 2, "depth": 3}}, "option depth of 'mf'"),
        (
            {"name": "lightgcn", "options": {"width": 2}},
            r"tables with rows \{'user': 3, 'item': 4\}, expected \{'node': 7",
        ),
    ],
)
def test_a_model_that_its_backbone_does_not_fit(tmp_path, backbone, message):
    save_model(tmp_path / "model", make())
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"backbone": backbone}))
    with pytest.raises(RunError, match=f"cannot be used by this version of resprout: {message}"):
        Recommender.open(tmp_path)


def test_many_users_and_items_in_blocks_agree_with_a_whole_product(tmp_path):
    rng = np.random.default_rng(0)
    n_users, n_items = 1500, 9000
    users, items = rng.normal(size=(n_users, 2)).astype("f4"), rng.normal(size=(n_items, 2)).astype("f4")
    pairs = rng.integers(0, n_users, 5000, np.int32), rng.integers(0, n_items, 5000, np.int32)
    seen = Histories.from_pairs(*pairs, n_users, n_items)
    ids = {"user_ids": IdMap.numbered(n_users), "item_ids": IdMap.numbered(n_items), "item_names": None}
    tables = {"user": dense("user", users), "item": dense("item", items)}
    save_model(tmp_path / "model", make(tables=tables, histories=seen, **ids))
    table = Recommender.open(tmp_path).recommend(np.arange(n_users), k=7)
    scores = users @ items.T
    scores[seen.users, seen.items] = -np.inf
    best = -np.sort(-np.partition(scores, -7, axis=1)[:, -7:], axis=1)
    assert table["user_id"].to_pylist() == np.repeat(np.arange(n_users), 7).tolist()
    np.testing.assert_allclose(table["score"].to_numpy(), best.reshape(-1), rtol=1e-5, atol=1e-6)
    rows = table["user_id"].to_numpy(), table["item_id"].to_numpy()
    np.testing.assert_allclose(scores[rows], table["score"].to_numpy(), rtol=1e-5, atol=1e-6)


def test_threads_take_turns():
    recommender = Recommender(make())
    users = np.tile(np.arange(3, dtype=np.int32), 500)
    expected = rank(DotScorer(USERS, ITEMS), users, SEEN, 4)[0]
    with ThreadPoolExecutor(4) as pool:
        for items, _ in pool.map(lambda _: recommender.recommend_rows(users, 4), range(40)):
            np.testing.assert_array_equal(items, expected)


@pytest.fixture
def autoencoder():
    """Items of a pair share the direction of their rows: whoever had one of a pair is offered the other."""
    rows = np.array([[3, 0], [3, 0], [0, 3], [0, 2]], np.float32)
    tables = {name: dense(name, rows) for name in ("item_in", "item_out")} | {"user": dense("user", USERS * 0)}
    network = {"hidden": np.zeros(2, np.float32), "output": np.zeros(4, np.float32)}
    return Recommender(make(backbone="cdae", tables=tables, network=network))


def test_new_users_are_ranked_by_their_histories(autoencoder, tmp_path):
    table = autoencoder.recommend_new({"dora": [10], "eve": [30, 10, 20], "finn": []}, k=2)
    offered = list(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    assert offered[:3] == [("dora", 20), ("dora", 30), ("eve", 40)]
    assert [user for user, _ in offered[3:]] == ["finn", "finn"]
    alone = autoencoder.recommend_new({"finn": []}, k=2)
    assert alone["item_id"].to_pylist() == [item for user, item in offered if user == "finn"]
    save_model(tmp_path / "model", autoencoder.parts)
    assert Recommender.open(tmp_path / "model").recommend_new({"dora": [10]}, k=1)["item_id"].to_pylist() == [20]
    only = autoencoder.recommend_new({"dora": [10]}, items=[30, 40])
    assert only["item_id"].to_pylist() == [30, 40]
    with_seen = autoencoder.recommend_new({"dora": [10]}, k=2, filter_seen=False)
    assert with_seen["item_id"].to_pylist() == [10, 20]


def test_new_users_of_a_graph_whose_users_have_no_rows(tmp_path):
    """One hop: a user is half the sum of his items' rows over the roots of both degrees, an item half its row."""
    tables = {"item": dense("item", ITEMS)}
    save_model(tmp_path / "model", make(backbone="lightgcn", options={"width": 2, "hops": 1}, tables=tables))
    recommender = Recommender.open(tmp_path / "model")
    expected = (ITEMS[0] + ITEMS[2] / np.sqrt(2)) / np.sqrt(2) / 2  # ann and bob have item 30
    for table in (recommender.recommend(["ann"]), recommender.recommend_new({"dora": [10, 30]})):
        assert table["item_id"].to_pylist() == [20, 40]
        np.testing.assert_allclose(table["score"], ITEMS[[1, 3]] / 2 @ expected, rtol=1e-6)


def test_new_users_need_a_backbone_that_reads_histories_and_items_that_it_knows(autoencoder, recommender):
    with pytest.raises(SettingsError, match=r"'mf' has a row for each user.*cdae, multvae"):
        recommender.recommend_new({"dora": [10]})
    with pytest.raises(DataError, match=r"item.*99"):
        autoencoder.recommend_new({"dora": [99]})


def test_a_network_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="network weights"):
        Recommender(make(network={"w": np.zeros(3, np.float32)}))
