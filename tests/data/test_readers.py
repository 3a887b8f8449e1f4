import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from resprout.data import read
from resprout.data.readers import Columns, recognise
from resprout.errors import DataError

ROWS = [(10, 7, 4.0, 100), (20, 8, 3.5, 200), (10, 8, 1.0, 300)]
CSV = "user_id,item_id,rating,timestamp\n10,7,4,100\n20,8,3.5,200\n10,8,1,300\n"


def rows_of(dataset):
    interactions = dataset.interactions
    columns = [
        interactions.user_ids.ids_of(interactions.users).tolist(),
        interactions.item_ids.ids_of(interactions.items).tolist(),
    ]
    columns += [column.tolist() for column in (interactions.weights, interactions.timestamps) if column is not None]
    return list(zip(*columns, strict=True))


def written(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(source, *parts, **options):
    """The message of the DataError, which must hold all `parts`."""
    with pytest.raises(DataError) as caught:
        read(source, **options)
    for part in parts:
        assert part in str(caught.value)


# --- CSV and TSV


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("delimiter", "name"), [(",", "x.csv"), ("\t", "x.tsv"), (";", "x.csv"), ("|", "x.csv")])
def test_delimited(tmp_path, end, last, delimiter, name):
    content = CSV.replace("\n", end).replace(",", delimiter)
    path = written(tmp_path, name, content if last else content.removesuffix(end))
    dataset = read(path)
    assert rows_of(dataset) == ROWS
    assert dataset.name == "x"
    assert dataset.interactions.users.dtype == dataset.interactions.items.dtype == np.int32
    assert dataset.interactions.weights.dtype == np.float32
    assert dataset.interactions.timestamps.dtype == np.int64


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv", "interactions"])
def test_delimited_gzipped(tmp_path, name):
    assert rows_of(read(written(tmp_path, name, gzip.compress(CSV.encode())))) == ROWS


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId,rating,timestamp",
        "customer_id,product_id,count,date",
        "visitorid,itemid,weight,time",
        "User ID, SKU, Stars, Created At",
        "uid,iid,score,datetime",
        '"user","item","rating","time"',
        "\ufeffuser_id,item_id,rating,timestamp",
    ],
)
def test_header_aliases(tmp_path, header):
    assert rows_of(read(written(tmp_path, "x.csv", CSV.replace(CSV.split("\n")[0], header)))) == ROWS


def test_columns_in_any_order_and_others_ignored(tmp_path):
    path = written(tmp_path, "x.csv", 'note,item,"long, name",user\nhello,7,"a, b",10\n,8,"two\nlines",20\n')
    assert rows_of(read(path)) == [(10, 7), (20, 8)]


def test_columns_named_by_the_caller(tmp_path):
    path = written(tmp_path, "x.csv", "who,what,user_id,how\n1,2,9,5\n3,4,9,6\n")
    assert rows_of(read(path, columns=Columns(user="who", item="what", weight="how"))) == [(1, 2, 5), (3, 4, 6)]
    refused(path, "no column 'whom' for the user", "who, what, user_id, how", columns=Columns(user="whom"))
    refused(path, "no item column", "accepted names: item_id, item", columns=Columns(user="who"))
    refused(path, "'who' stands there twice or is asked for twice", columns=Columns(user="who", item="who"))


def test_blank_lines_do_not_shift_line_numbers(tmp_path):
    path = written(tmp_path, "x.csv", "user,item,rating\n\n1,7,3\n\n\n2,8,oops\n")
    refused(path, f"{path}, line 6: rating is 'oops'; expected a number")
    assert rows_of(read(written(tmp_path, "y.csv", "\n\nuser,item\n\n1,7\n\n2,8\n\n"))) == [(1, 7), (2, 8)]


def test_quoted_line_breaks_do_not_shift_line_numbers(tmp_path):
    path = written(tmp_path, "x.csv", 'user,note,item\n1,"a\nb\nc",7\n2,x,-8\n')
    refused(path, f"{path}, line 5: item id -8 is negative")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('user,item\n1,7\n2,"8\n3,9\n4,5\n', 3),
        ('user,item\n1,7\n2,"8\n3,9\n4",5\n', 3),
        ('user,item\n1,7\n"2,8\n3,"9\n4,5\n', 3),
        ('user,note,item\n1,"a\nb",7\n2,"c\nd","8\n3,x,9\n', 5),
        ('user,item,note\n1,7,"a\nb"\n2,8,"c\n3,9,d\n', 4),
        ('user,item\n1,7\n2,"8\n' + "3,9\n" * 500_000, 3),
    ],
)
def test_a_quote_left_open_swallows_nothing(tmp_path, content, line):
    refused(written(tmp_path, "x.csv", content), f'x.csv, line {line}: the quote (") that opens field', "close it")


def test_quotes_within_texts_are_no_open_ones(tmp_path):
    path = written(tmp_path, "x.csv", 'user,item,note\n1,7,5" pipe\n2,8,"a ""b""\nc"\n')
    assert rows_of(read(path)) == [(1, 7), (2, 8)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user,item\n1,7\n2,8,9\n", "line 3: 3 fields, expected 2: '2,8,9'"),
        ("user,item,rating\n1,7,1\n2,8\n", "line 3: 2 fields, expected 3: '2,8'"),
        ("user,item\n1,7\n,8\n", "line 3: the user id is empty"),
        ("user,item\n1,7\n2,\n", "line 3: the item id is empty"),
        ("user,item\n1,7\n2,NaN\n", "line 3: the item id is empty"),
        ("user,item\na,x\nb,  \n", "line 3: the item id is empty"),
        ("user,item\n1,7\n-2,8\n", "line 3: user id -2 is negative"),
        ("user,item,rating\n1,7,1\n2,8,nan\n", "line 3: rating is nan; expected a finite number"),
        ("user,item,rating\n1,7,1\n2,8,-inf\n", "line 3: rating is -inf; expected a finite number"),
        ("user,item,rating\n1,7,1\n2,8,1e39\n", "line 3: rating is 1e+39; expected a finite number"),
        ("user,item,rating\n1,7,1\n2,8,\n", "line 3: rating is ''; expected a number"),
        ("user,item,time\n1,7,1\n2,8,soon\n", "line 3: time is 'soon'; expected Unix seconds or a date"),
        ("user,item\n1,7\n2,8\n3,9\nx4,5\n", "line 5: user id 'x4' is not an integer, but most others are"),
        ("user,item\n1,7\n2,8\n3,9\nx4,5\n", "--set data.id_type=text"),
        ("user,item\n1,7\n", "1 user in 1 interactions"),
        ("user,item\n", "no interactions"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("1,7\n2,8\n", "line 1: '1,7' looks like data; expected a header line such as user_id,item_id"),
        ("name,price\n1,7\n", "line 1: no user column; the columns are: name, price; accepted names: user_id, user,"),
        ("user,price\n1,7\n", "line 1: no item column; the columns are: user, price; accepted names: item_id, item,"),
        ("user,user,item\n1,1,7\n", "column 'user' stands there twice"),
        (b"user,item\n1,7\n2,caf\xe9\n", "line 3: byte 0xe9 is not valid UTF-8"),
    ],
)
def test_bad_delimited(tmp_path, content, message):
    path = written(tmp_path, "x.csv", content)
    refused(path, str(path) if "line" in message else "x", message)


@pytest.mark.parametrize(
    ("ids", "read_as"),
    [
        (["1", "0", "20"], [1, 0, 20]),
        (["007", "123", "45"], ["007", "123", "45"]),
        (["b", "a", "7"], ["b", "a", "7"]),
        (["été", "日本", "x y"], ["été", "日本", "x y"]),
        (["9999999999999999999", "1", "2"], ["9999999999999999999", "1", "2"]),
        (["-a", "-1", "b"], ["-a", "-1", "b"]),
        (["NA", "x", "y"], ["NA", "x", "y"]),
        ([" 1", "2 ", "3"], [1, 2, 3]),
    ],
)
def test_integers_or_text(tmp_path, ids, read_as):
    lines = "".join(f"u{number},{one}\n" for number, one in enumerate(ids))
    dataset = read(written(tmp_path, "x.csv", "user,item\n" + lines))
    assert [item for _, item in rows_of(dataset)] == read_as
    assert dataset.interactions.item_ids.ids_of(range(3)).tolist() == sorted(read_as)


def test_id_type_is_followed(tmp_path):
    path = written(tmp_path, "x.csv", "user,item\n1,07\n2,8\n3,9\nx4,7\n")
    assert rows_of(read(path, id_type="text")) == [("1", "07"), ("2", "8"), ("3", "9"), ("x4", "7")]
    refused(path, "line 5: user id 'x4' is not an integer", id_type="int")
    path = written(tmp_path, "y.csv", "user,item\n1,07\n2,8\n3,7\n")
    assert rows_of(read(path, id_type="int")) == [(1, 7), (2, 8), (3, 7)]
    path = written(tmp_path, "z.csv", f"user,item\n1,7\n2,{'9' * 19}\n")
    refused(path, "line 3: item id 9999999999999999999 has more than 18 digits", id_type="int")


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["1609459200", "-5"], [1609459200, -5]),
        (["1609459200.75", "8.5e8"], [1609459200, 850000000]),
        (["2021-01-01", "1969-12-31"], [1609459200, -86400]),
        (["2021-01-01 00:00:01", "2021-01-01T00:00:02.9"], [1609459201, 1609459202]),
        (["2021-01-01T02:00:00+02:00", "2021-01-01T00:00:00Z"], [1609459200, 1609459200]),
    ],
)
def test_times(tmp_path, texts, seconds):
    path = written(tmp_path, "x.csv", f"user,item,time\n1,7,{texts[0]}\n2,8,{texts[1]}\n")
    assert read(path).interactions.timestamps.tolist() == seconds


def test_ids_over_many_blocks(tmp_path):
    # More than one parsing block, so that each has a dictionary of its own.
    n = 200_000
    users, items = np.arange(n) % 977, (np.arange(n) * 7919) % 50_021
    lines = "".join(f"u{user},{item}\n" for user, item in zip(users.tolist(), items.tolist(), strict=True))
    dataset = read(written(tmp_path, "x.csv", "user,item\n" + lines))
    interactions = dataset.interactions
    assert interactions.item_ids.ids_of(interactions.items).tolist() == items.tolist()
    assert interactions.user_ids.ids_of(interactions.users).tolist() == [f"u{user}" for user in users]


def test_csv_in_parts(tmp_path):
    for name, rows in (("train", "1,7\n2,8\n"), ("valid", "1,8\n"), ("test", "2,9\n")):
        written(tmp_path, f"set/{name}.csv", "user,item\n" + rows)
    dataset = read(tmp_path / "set")
    assert rows_of(dataset) == [(1, 7), (2, 8), (1, 8), (2, 9)]
    assert dataset.parts.tolist() == [0, 0, 1, 2]
    written(tmp_path, "set/test.csv", "user,item\n2,9\n3,-1\n")
    refused(tmp_path / "set", f"{tmp_path / 'set' / 'test.csv'}, line 3: item id -1 is negative")
    written(tmp_path, "set/test.csv", "user,item,rating\n2,9,1\n")
    refused(tmp_path / "set", "some files have weights and some have none")


def test_movielens_csv_folder_has_titles(tmp_path):
    written(tmp_path, "ml/ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.0,10\n2,1,3.5,20\n")
    written(tmp_path, "ml/movies.csv", 'movieId,title,genres\n1,Toy Story (1995),x\n2,"Heat, The (1995)",y\n')
    dataset = read(tmp_path / "ml")
    assert rows_of(dataset) == [(1, 2, 4.0, 10), (2, 1, 3.5, 20)]
    assert dataset.item_names == ["Toy Story (1995)", "Heat, The (1995)"]


# --- Parquet and frames

COLUMNS = {"user_id": [10, 20, 10], "item_id": [7, 8, 8], "rating": [4.0, 3.5, 1.0], "timestamp": [100, 200, 300]}


def test_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pa.table({**COLUMNS, "other": ["a", "b", "c"]}), path)
    assert rows_of(read(path)) == ROWS
    assert rows_of(read(path.rename(tmp_path / "interactions"))) == ROWS
    refused(written(tmp_path, "y.parquet", "no parquet"), f"{tmp_path / 'y.parquet'}: cannot be read as Parquet")
    pyarrow.parquet.write_table(pa.table({"a": [1]}), path)
    refused(path, "no user column; the columns are: a")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        pa.RecordBatch.from_pydict(COLUMNS),
        ROWS,
        (row for row in ROWS),
        [list(row) for row in ROWS],
    ],
    ids=lambda frame: type(frame).__module__.split(".")[0] + "." + type(frame).__name__,
)
def test_frames(frame):
    dataset = read(frame)
    assert rows_of(dataset) == ROWS
    assert dataset.name == "frame"


@pytest.mark.parametrize(
    "users",
    [
        pd.Series(["b", "a", "b"]),
        pd.Series(["b", "a", "b"], dtype="category"),
        pd.Series(["b", "a", "b"], dtype=object),
        pa.array(["b", "a", "b"], pa.large_string()),
        pa.array(["b", "a", "b"], pa.string_view()),
    ],
    ids=lambda users: str(getattr(users, "dtype", "") or users.type),
)
def test_text_ids_in_frames(users):
    frame = pd.DataFrame({"user": users, "item": [1, 2, 3]}) if isinstance(users, pd.Series) else None
    assert rows_of(read(pa.table({"user": users, "item": [1, 2, 3]}) if frame is None else frame)) == [
        ("b", 1),
        ("a", 2),
        ("b", 3),
    ]


def test_times_in_frames():
    times = pd.to_datetime(["2021-01-01", "2021-01-01 00:00:01.5"], format="ISO8601")
    for column in (times, times.tz_localize("UTC"), times.tz_localize("UTC").tz_convert("Asia/Tokyo")):
        dataset = read(pd.DataFrame({"user": [1, 2], "item": [1, 2], "time": column}))
        assert dataset.interactions.timestamps.tolist() == [1609459200, 1609459201]
    dates = pl.DataFrame({"user": [1, 2], "item": [1, 2], "date": ["2021-01-01", "1970-01-02"]})
    assert read(dates.with_columns(pl.col("date").str.to_date())).interactions.timestamps.tolist() == [
        1609459200,
        86400,
    ]


def test_float_ids_that_pandas_made():
    assert rows_of(read(pd.DataFrame({"user": [1.0, 2.0], "item": [3, 4]}))) == [(1, 3), (2, 4)]
    refused(pd.DataFrame({"user": [1.0, 2.5], "item": [3, 4]}), "row 1 of the data frame: user id 2.5 is not a whole")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"user": [1, None], "item": [3, 4]}), "row 1 of the data frame"),
        (pd.DataFrame({"user": ["a", None], "item": [3, 4]}), "row 1 of the data frame: the user id is empty"),
        (pd.DataFrame({"user": [1, 2], "item": [3, -4]}), "row 1 of the data frame: item id -4 is negative"),
        (
            pl.DataFrame({"user": [1, 2], "item": [3, 4], "rating": [1, None]}),
            "row 1 of the data frame: rating is empty",
        ),
        (
            pd.DataFrame({"user": [1, 2], "item": [3, 4], "rating": [1, np.inf]}),
            "rating is inf; expected a finite number",
        ),
        (
            pd.DataFrame({"user": [1, 2], "thing": [3, 4]}),
            "the data frame: no item column; the columns are: user, thing",
        ),
        (pd.DataFrame({"user": [], "item": []}), "the data frame is empty"),
        (pa.table({"user": pa.array([1, 2**64 - 1], pa.uint64()), "item": [1, 2]}), "does not fit 64 bits"),
        (pd.DataFrame({"user": [True, False], "item": [3, 4]}), "user ids are of type bool"),
        ([], "the data frame is empty"),
        ([(1, 2), (1, 2, 3)], "row 1 of the list is (1, 2, 3); expected tuples"),
        ([1, 2], "row 0 of the list is 1; expected tuples"),
        ([(1, 2), (3, 4, 5, 6, 7)], "row 1 of the list"),
        ([(1, 2), ("x", 4), (3, 5)], "row 1 of the data frame: user id 'x' is not an integer"),
        ([(1, 2, "a"), (2, 3, 4)], "column weight of the list has values of different types"),
        (7, "cannot read interactions from int; expected a path, a data frame"),
    ],
)
def test_bad_frames(frame, message):
    refused(frame, message)


# --- RecBole


def test_recbole(tmp_path):
    content = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + CSV.split("\n", 1)[1].replace(",", "\t")
    path = written(tmp_path, "set/set.inter", content)
    written(tmp_path, "set/set.item", "item_id:token\tmovie_title:token_seq\n7\tSeven\n8\tEight\n")
    for source in (path, path.parent):
        dataset = read(source)
        assert rows_of(dataset) == ROWS
        assert dataset.item_names == ["Seven", "Eight"]
    assert rows_of(read(path, columns=Columns(weight="timestamp:float", time="rating"))) == [
        (10, 7, 100, 4),
        (20, 8, 200, 3),
        (10, 8, 300, 1),
    ]


def test_recbole_benchmark_files(tmp_path):
    for name, row in (("train", "1\t7\n2\t7\n"), ("valid", "1\t8\n"), ("test", "2\t9\n")):
        written(tmp_path, f"set/ml.{name}.inter", "user_id:token\titem_id:token\n" + row)
    dataset = read(tmp_path / "set")
    assert dataset.parts.tolist() == [0, 0, 1, 2]
    assert rows_of(dataset)[2:] == [(1, 8), (2, 9)]


def test_bad_recbole(tmp_path):
    path = written(tmp_path, "x.inter", "user_id\titem_id:token\n1\t2\n")
    refused(path, f"{path}, line 1: header field 'user_id' is not name:type")
    path = written(tmp_path, "y.inter", "user_id:token\titem_id:token\n1\t2\n1\n")
    refused(path, f"{path}, line 3: 1 fields, expected 2")


# --- lists of numbers


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("validation", ["", "valid", "val", "validation"])
def test_lists(tmp_path, end, last, validation):
    parts = {"train": "0 5 3\n1 5\n3 2 6\n", "test": "0 4\n1 \n3 5\n"} | ({validation: "1 4\n"} if validation else {})
    for name, content in parts.items():
        content = content.replace("\n", end)
        written(tmp_path, f"set/{name}.txt", content if last else content.removesuffix(end))
    dataset = read(tmp_path / "set")
    expected = [(0, 5), (0, 3), (1, 5), (3, 2), (3, 6), *([(1, 4)] if validation else []), (0, 4), (3, 5)]
    assert rows_of(dataset) == expected
    assert dataset.parts.tolist() == [0] * 5 + [1] * bool(validation) + [2, 2]


def test_a_user_without_items_is_known(tmp_path):
    dataset = read(written(tmp_path, "list.txt", "0 1 2 3\n7\n4 1\n\n9 5\n"))
    assert dataset.parts is None
    assert dataset.interactions.user_ids.ids_of(range(4)).tolist() == [0, 4, 7, 9]
    assert rows_of(dataset) == [(0, 1), (0, 2), (0, 3), (4, 1), (9, 5)]


def test_large_sparse_ids_in_lists(tmp_path):
    dataset = read(written(tmp_path, "list.txt", "123456789012345678 1 2 9\n5 999999999999999999\n"))
    assert rows_of(dataset)[-1] == (5, 999999999999999999)
    assert dataset.interactions.user_ids.ids_of([0, 1]).tolist() == [5, 123456789012345678]
    assert rows_of(read(tmp_path / "list.txt", id_type="text"))[-1] == ("5", "999999999999999999")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1 2\n1 3 x7\n", "line 2: 'x7' is not a whole number"),
        ("0 1 2\r\n1 3 -7\r\n", "line 2: -7 is negative"),
        ("0 1 2\n1 3 7.5\n", "line 2: '7.5' is not a whole number"),
        ("0 1 2\n\n1 1234567890123456789\n", "line 3: a number of 19 digits; at most 18 are taken"),
        ("0\n1\n", "no interactions"),
        ("0 1 2\n", "1 user in 2 interactions"),
        ("", "the file is empty"),
    ],
)
def test_bad_lists(tmp_path, content, message):
    path = written(tmp_path, "train.txt", content)
    refused(path, str(path) if "line" in message else "train", message, format="lists")


def test_movielens(tmp_path):
    content = "1::0012::4::100\n2::0345::3.5::200\n1::1999::0.5::300\n"
    path = written(tmp_path, "ml/ratings.dat", content)
    expected = [(1, "0012", 4.0, 100), (2, "0345", 3.5, 200), (1, "1999", 0.5, 300)]
    assert rows_of(read(path)) == expected
    assert read(path).item_names is None
    written(tmp_path, "ml/movies.dat", "0012::Re::Animator (1985)::Horror\n1999::Caf\u00e9 (2011)::\n".encode())
    dataset = read(path.parent)
    assert rows_of(dataset) == expected
    assert dataset.item_names == ["Re::Animator (1985)", "0345", "Caf\u00e9 (2011)"]
    written(tmp_path, "ml/movies.dat", "0012::Caf\u00e9::x\n".encode("latin-1"))
    assert read(path).item_names[0] == "Caf\u00e9"
    path = written(tmp_path, "ml/ratings.dat", content + "3::0012::5\n")
    refused(path, f"{path}, line 4: 3 fields, expected 4")


def test_movielens_with_tabs(tmp_path):
    path = written(tmp_path, "ml/u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    written(tmp_path, "ml/u.item", "242|Kolya (1996)|x\n302|L.A. Confidential (1997)|y\n")
    for source in (path, path.parent):
        dataset = read(source)
        assert rows_of(dataset) == [(196, 242, 3.0, 881250949), (186, 302, 3.0, 891717742)]
        assert dataset.item_names == ["Kolya (1996)", "L.A. Confidential (1997)"]


def test_citeulike(tmp_path):
    path = written(tmp_path, "users.dat", "2 5 9\n0\n1 5")
    dataset = read(path)
    assert recognise(path).format == "citeulike"
    assert rows_of(dataset) == [(0, 5), (0, 9), (2, 5)]
    assert dataset.interactions.n_users == 3
    path = written(tmp_path, "users.dat", "2 5 9\n3 1 2\n")
    refused(path, f"{path}, line 2: 2 item ids, but its first number says 3", format="citeulike")
    path = written(tmp_path, "users.dat", "2 5 9\n\n1 1\n")
    refused(path, f"{path}, line 2: the line is blank", format="citeulike")


def test_foursquare(tmp_path):
    parts = {"train": "0\t1\t2\r\n1\t0\t1\r\n", "tune": "0\t3\t1", "test": "1\t1\t7\r\n"}
    for name, content in parts.items():
        written(tmp_path, f"set/US_{name}.txt", content)
    sizes = written(tmp_path, "set/US_data_size.txt", "3\t5\r\n")
    dataset = read(tmp_path / "set")
    assert rows_of(dataset) == [(0, 1, 2), (1, 0, 1), (0, 3, 1), (1, 1, 7)]
    assert dataset.parts.tolist() == [0, 0, 1, 2]
    assert (dataset.interactions.n_users, dataset.interactions.n_items) == (3, 5)
    written(tmp_path, "set/US_data_size.txt", "3\t3\r\n")
    refused(tmp_path / "set", "US_tune.txt, line 1: item 3, but the data size file says 3 items")
    sizes.unlink()
    assert read(tmp_path / "set").interactions.n_items == 3
    written(tmp_path, "set/US_test.txt", "1\t1\t7\n1\t2\n")
    refused(tmp_path / "set", "US_test.txt, line 2: 2 numbers, expected 3")


# --- recognising


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("user,item\n1,2\n", "csv"),
        ("1::2::3::4\n", "movielens"),
        ("user_id:token\titem_id:token\n1\t2\n", "recbole"),
        ("0 1 2 3\n1 4\n", "lists"),
        ("0 1\n1 4\n", "lists"),
        ("2 1 2\n1 4\n", "citeulike"),
        ("0\t1\t2\n1\t4\t1\n", "foursquare"),
        ("0\t1\t2\t9\n1\t4\t1\t9\n", "movielens"),
    ],
)
def test_format_by_content(tmp_path, content, expected):
    assert recognise(written(tmp_path, "unnamed", content)).format == expected


@pytest.mark.parametrize("content", ["hello world\n", "0 1 2\n1 4 5\n", "name,price\n1,2\n", b"\x00\x01\x02\n"])
def test_unclear_files_name_the_formats(tmp_path, content):
    path = written(tmp_path, "unnamed", content)
    refused(path, f"{path}: the format is unclear (line 1:", "--set data.format=", "foursquare: user, place, count")


def test_bad_paths(tmp_path):
    refused(tmp_path / "missing.csv", f"{tmp_path / 'missing.csv'}: no such file or folder")
    refused(
        tmp_path, "no file of interactions that is known by its name (found: nothing)", "citeulike: one line a user"
    )
    written(tmp_path, "notes.md", "hello")
    refused(tmp_path, "found: notes.md")
    written(tmp_path, "a_train.csv", CSV)
    written(tmp_path, "a_test.csv", CSV)
    assert len(read(tmp_path).interactions) == 6
    written(tmp_path, "b_train.csv", CSV)
    written(tmp_path, "b_test.csv", CSV)
    refused(tmp_path, "more than one train file")
    refused(tmp_path / "a_train.csv", "unknown format 'cvs'; the formats are:", "csv: CSV or TSV", format="cvs")
    refused(written(tmp_path, "x.csv.gz", b"\x1f\x8bbroken"), "x.csv.gz: cannot be read")


def test_columns_of_a_format_without_names(tmp_path):
    path = written(tmp_path, "list.txt", "0 1 2 3\n1 4\n")
    refused(path, "the format lists has no named columns", columns=Columns(user="u"))
