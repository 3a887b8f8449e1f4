"""The data commands on real sets: RESPROUT_DATA has them."""

import re

import pytest

pytestmark = pytest.mark.usefixtures("real_data")


def cells(text, first):
    """The row of a table that begins with `first`."""
    (row,) = (line for line in text.splitlines() if line.split()[:1] == [first])
    return re.split(r"\s{2,}", row.strip())


def test_list_says_where_each_set_is(resprout, tmp_path, monkeypatch):
    (tmp_path / "citeulike").mkdir()
    (tmp_path / "citeulike" / "users.dat").write_text("1 0\n")
    monkeypatch.setenv("RESPROUT_CACHE", str(tmp_path))
    shown = resprout("data", "list").stdout
    assert cells(shown, "demo")[:2] == ["demo", "bundled"]
    assert cells(shown, "ml-1m")[1] == "RESPROUT_DATA"
    assert cells(shown, "amazon-book")[1] == "not here"
    monkeypatch.delenv("RESPROUT_DATA")
    assert cells(resprout("data", "list").stdout, "citeulike")[1] == "cache"


def test_describe_has_the_counts_of_the_readme(resprout):
    shown = resprout("data", "describe", "gowalla").stdout
    train = ["train", "0..29857", "0..40980", "29,858", "40,981", "810,128", "0"]
    test = ["test", "0..29857", "0..40980", "29,858", "38,546", "217,242", "0"]
    assert cells(shown, "train")[:7] == train
    assert cells(shown, "train")[8] == "8 / 16 / 811"
    assert cells(shown, "test")[:7] == test
    assert cells(shown, "all")[5:] == ["1,027,370", "0", "0.084 %", "9 / 20 / 1014"]


def test_describe_a_file_read_and_filtered_as_told(resprout, tmp_path):
    path = tmp_path / "loans.csv"
    path.write_text("who,what,stars\na,x,5\na,y,1\nb,x,4\nb,x,4\nc,y,5\n")
    options = ("--set", "data.user_column=who", "--set", "data.item_column=what")
    assert "no user column" in resprout("data", "describe", path).stderr
    assert cells(resprout("data", "describe", path, *options).stdout, "all")[1:7] == [
        "text",
        "text",
        "3",
        "2",
        "5",
        "1",
    ]
    strong = resprout("data", "describe", path, *options, "--set", "filter.min_rating=4").stdout
    assert cells(strong, "all")[3:7] == ["3", "2", "3", "0"]


def test_fetch_of_what_is_here_checks_it(resprout):
    shown = resprout("data", "fetch", "citeulike")
    assert (shown.exit_code, shown.stdout) == (0, "citeulike: complete and checked (RESPROUT_DATA)\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fetch", "gowala"], "data set: unknown 'gowala' (did you mean 'gowalla'?)"),
        (["describe", "nowhere"], "'nowhere' is neither a known data set nor an existing path"),
        (["describe", "demo", "--set", "data.colour=red"], "data: unknown 'colour'"),
    ],
)
def test_refused(resprout, arguments, expected):
    shown = resprout("data", *arguments)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert expected in shown.stderr
