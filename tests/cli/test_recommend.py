import csv
import io

import pyarrow as pa
import pyarrow.parquet
import pytest

from resprout.cli.recommend import show_beside
from resprout.serving.recommender import Recommender


def table_of(shown):
    assert shown.exit_code == 0, shown.output
    return list(csv.DictReader(io.StringIO(shown.stdout)))


def test_seen_items_are_left_out_unless_asked_for(resprout, trained):
    history = set(Recommender.open(trained).history("user 3")["item_id"].to_pylist())
    unseen = {row["item_id"] for row in table_of(resprout("recommend", trained, "--user", "user 3", "-k", 40))}
    everything = {
        row["item_id"]
        for row in table_of(resprout("recommend", trained, "--user", "user 3", "-k", 40, "--include-seen"))
    }
    assert history
    assert not unseen & history
    assert unseen | history == everything
    assert len(everything) == 40


def test_a_model_folder_is_as_good_as_its_run(resprout, trained):
    assert table_of(resprout("recommend", trained / "model", "--user", "user 3")) == table_of(
        resprout("recommend", trained, "--user", "user 3")
    )


@pytest.mark.parametrize("name", ["users.txt", "users.csv", "users.tsv", "users.parquet"])
def test_users_from_a_file(resprout, trained, tmp_path, name):
    path = tmp_path / name
    users = ["user 5", "user 1"]
    if name.endswith(".parquet"):
        pa.parquet.write_table(pa.table({"age": [3, 4], "user_id": users}), path)
    elif name.endswith(".txt"):
        path.write_text("user 5\n\nuser 1\n")
    else:
        mark = {".csv": ",", ".tsv": "\t"}[path.suffix]
        path.write_text(f"age{mark}userId\n3{mark}user 5\n4{mark}user 1\n")
    rows = table_of(resprout("recommend", trained, "--users", path, "-k", 2))
    assert [row["user_id"] for row in rows] == ["user 5", "user 5", "user 1", "user 1"]


def test_only_the_items_of_a_file(resprout, trained, tmp_path):
    path = tmp_path / "items.txt"
    path.write_text("book 3\nbook 9\n")
    rows = table_of(resprout("recommend", trained, "--user", "user 0", "--items", path, "--include-seen"))
    assert {row["item_id"] for row in rows} == {"book 3", "book 9"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_written_to_a_file(resprout, trained, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    path.write_text("old")
    shown = resprout("recommend", trained, "--user", "user 3", "-k", 4, "--out", path)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "4 recommendations for 1 users" in shown.stderr
    expected = table_of(resprout("recommend", trained, "--user", "user 3", "-k", 4))
    if ending == "csv":
        found = list(csv.DictReader(io.StringIO(path.read_text())))
    else:
        table = pa.parquet.read_table(path)
        assert table.schema.field("score").type == pa.float32()
        found = [{key: str(value) for key, value in row.items() if key != "score"} for row in table.to_pylist()]
        expected = [{key: value for key, value in row.items() if key != "score"} for row in expected]
    assert found == expected
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--user", "user 99"], "user: unknown id 'user 99' among 60 ids; close to it: "),
        ([], "Give --user ID"),
        (["--users", "nowhere.txt"], "nowhere.txt: no such file; expected user ids"),
        (["--user", "user 1", "--items", "nowhere.txt"], "nowhere.txt: no such file; expected item ids"),
        (["--user", "user 1", "--out", "list.xlsx"], "--out list.xlsx: expected a name that ends in .csv or .parquet"),
        (["--user", "user 1", "--out", "/proc/list.csv"], "/proc/list.csv cannot be written"),
    ],
)
def test_refused(resprout, trained, options, expected):
    shown = resprout("recommend", trained, *options)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert len(shown.stderr.splitlines()) == 1
    assert expected in shown.stderr


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("users.txt", b"", "no user ids in it"),
        ("users.csv", b"", "the file is empty"),
        ("users.csv", b"user_id\n", "no user ids in it"),
        ("users.csv", b"name,age\nuser 1,3\n", "no user column; the columns are: name, age"),
        ("users.csv", b"user_id,age\nuser 1\n", "cannot be parsed"),
        ("users.parquet", b"no parquet", "cannot be parsed"),
        ("users.txt", b"\xff\xfe\n", "not UTF-8"),
    ],
)
def test_refused_files(resprout, trained, tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    shown = resprout("recommend", trained, "--users", tmp_path / name)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert len(shown.stderr.splitlines()) == 1
    assert f"{tmp_path / name}: " in shown.stderr
    assert expected in shown.stderr


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("ids.txt", "{role} 1\n\n{role} x\n", "line 3"),
        ("ids.csv", "age,{role}_id\n\n3,{role} 1\n4,{role} x\n", "line 4"),
        ("ids.parquet", "", "row 1"),
    ],
)
@pytest.mark.parametrize("option", ["--users", "--items"])
def test_an_unknown_id_in_a_file(resprout, trained, tmp_path, option, name, content, place):
    role, path = {"--users": ("user", tmp_path / name), "--items": ("item", tmp_path / name)}[option]
    known = {"user": "user", "item": "book"}[role]
    path.write_text(content.replace("{role} ", f"{known} ").replace("{role}", role))
    if name.endswith(".parquet"):
        pa.parquet.write_table(pa.table({f"{role}_id": [f"{known} 1", f"{known} x"]}), path)
    shown = resprout("recommend", trained, "--user", "user 2", option, path)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert f"{path}, {place}: {role}: unknown id '{known} x' among " in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize(("width", "side_by_side"), [(160, True), (40, False)])
def test_history_beside_where_there_is_room(trained, width, side_by_side):
    from rich.console import Console

    recommender = Recommender.open(trained)
    console = Console(width=width, record=True, file=io.StringIO())
    show_beside(console, recommender, "user 3", recommender.recommend(["user 3"], 4))
    lines = console.export_text().splitlines()
    (first,) = (number for number, line in enumerate(lines) if "user user 3 has" in line)
    (second,) = (number for number, line in enumerate(lines) if "recommended" in line)
    assert (first == second) == side_by_side
    for item in recommender.history("user 3")["item_id"].to_pylist():
        assert any(item in line for line in lines)


def test_new_users_from_a_file_of_what_they_had(resprout, books_csv, tmp_path):
    run = tmp_path / "run"
    trained = resprout(
        "train", "--data", books_csv, "--backbone", "multvae", "--epochs", "60", "--out", run,
        *("--set", "backbone.width=16", "--set", "backbone.latent=8", "--set", "training.batch_size=20"),
        *("--set", "training.learning_rate=0.02", "--set", "split.kind=held_out_users"),
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    path = tmp_path / "new.csv"
    path.write_text("user_id,item_id\n" + "".join(f"stranger,book {k}\n" for k in (1, 5, 9, 13, 17)))
    offered = table_of(resprout("recommend", run, "--histories", path, "-k", 3))
    assert {row["user_id"] for row in offered} == {"stranger"}
    # readers of books 1, 5, 9 ... read those that leave a rest of 1 when divided by 4
    assert all(int(row["item_id"].split()[1]) % 4 == 1 for row in offered)


def test_new_users_are_refused_by_a_backbone_with_rows_for_users(resprout, trained, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("user_id,item_id\nstranger,book 1\n")
    shown = resprout("recommend", trained, "--histories", path)
    assert shown.exit_code == 2
    assert "cannot rank others" in shown.output
    assert resprout("recommend", trained, "--histories", path, "--user", "user 1").exit_code == 2
