import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from resprout.data import KNOWN, DataSettings, known, load
from resprout.errors import DataError

ON_DISK = [name for name in KNOWN if name not in ("demo", "amazon-book")]


@pytest.mark.parametrize("name", ON_DISK)
def test_checksums_and_sizes_are_those_of_the_files(data_folder, name):
    for file in KNOWN[name].files:
        content = (data_folder / KNOWN[name].folder / file.name).read_bytes()
        # The rebuilt train files are not the ones to download, which have another order of items.
        if file.sha256 is not None:
            assert hashlib.sha256(content).hexdigest() == file.sha256
            assert len(content) == file.size


@pytest.mark.parametrize("name", ON_DISK)
def test_source_and_commit_are_those_of_the_readme(data_folder, name):
    readme = (data_folder / KNOWN[name].folder / "README.md").read_text()
    _, _, _, owner, repository, commit, *_ = KNOWN[name].base_urls[0].split("/")
    assert f"`{owner}/{repository}`" in readme
    assert commit in readme


def test_every_set_says_where_it_comes_from():
    for one in KNOWN.values():
        assert one.title
        assert one.licence
        assert one.name == "demo" or (one.page.startswith("https://") and one.citation and one.files)


def test_amazon_book_is_described():
    one = KNOWN["amazon-book"]
    assert (one.users, one.items, one.interactions) == (52_643, 91_599, 2_984_108)
    assert [file.name for file in one.files] == ["train.txt", "test.txt"]


def test_settings_name_the_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("who,what,how,when\n01,2,3,4\n02,3,4,5\n")
    settings = DataSettings(
        source=str(path),
        user_column="who",
        item_column="what",
        weight_column="how",
        time_column="when",
        id_type="int",
    )
    interactions = load(settings).interactions
    assert interactions.user_ids.ids_of([0, 1]).tolist() == [1, 2]
    assert interactions.weights.tolist() == [3, 4]
    assert interactions.timestamps.tolist() == [4, 5]
    with pytest.raises(DataError, match="no user column"):
        load(path)


def test_format_is_passed_on(tmp_path):
    path = tmp_path / "numbers"
    path.write_text("0 1 2\n1 2 3\n")
    with pytest.raises(DataError, match="the format is unclear"):
        load(path)
    assert len(load(DataSettings(source=str(path), format="lists")).interactions) == 4


@pytest.mark.parametrize(
    ("wrong", "meant"), [("gowala", "gowalla"), ("movielens-100k", "movietweetings-100k"), ("yelp", "yelp2018")]
)
def test_unknown_names_get_close_ones(wrong, meant):
    with pytest.raises(
        DataError, match=f"'{wrong}' is neither a known data set nor an existing path; did you mean .*{meant}"
    ):
        load(wrong)


def test_unknown_paths_name_the_known_sets(tmp_path):
    with pytest.raises(DataError, match="known sets: ml-100k, ml-1m, gowalla"):
        load(tmp_path / "missing.csv")


def test_a_known_set_is_read_as_it_is():
    with pytest.raises(DataError, match="gowalla is a known data set; leave format, columns and id_type out"):
        load(DataSettings(source="gowalla", format="csv"))


def test_a_known_name_wins_over_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("user,item\n1,2\n3,4\n")
    assert len(load("demo").interactions) == KNOWN["demo"].interactions
    assert len(load("./demo").interactions) == 2


def test_the_cache_is_used_and_counts_are_checked(tmp_path, monkeypatch):
    monkeypatch.delenv("RESPROUT_DATA", raising=False)
    monkeypatch.setenv("RESPROUT_CACHE", str(tmp_path))
    folder = tmp_path / "citeulike"
    folder.mkdir()
    (folder / "users.dat").write_text("2 1 2\n1 1\n")
    with pytest.raises(DataError, match=f"citeulike: 2 users, 2 items, 3 interactions, expected 7,947 users.*{folder}"):
        load("citeulike")


def test_cache_folder_is_the_platforms_unless_given(monkeypatch, tmp_path):
    assert known.cache_folder() == Path(os.environ["RESPROUT_CACHE"])
    monkeypatch.delenv("RESPROUT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert known.cache_folder().name == "resprout"


@pytest.mark.parametrize("wrong", [{"sources": "demo"}, {"source": ""}, {"id_type": "float"}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        DataSettings(**wrong)


def test_every_setting_is_described():
    assert all(field.description for field in DataSettings.model_fields.values())


def test_a_known_set_can_be_fetched_from_elsewhere(data_folder, tmp_path, file_server):
    moved = replace(KNOWN["citeulike"], base_urls=(file_server.url("citeulike/"),))
    file_server.files["/citeulike/users.dat"] = (data_folder / "citeulike" / "users.dat").read_bytes()
    folder = known.fetch_files(moved, tmp_path / "citeulike")
    assert len(load(folder).interactions) == 134_860
    known.fetch_files(moved, folder)
    assert len(file_server.requests) == 1


def test_a_missing_set_is_downloaded_into_the_cache(data_folder, tmp_path, file_server, monkeypatch):
    file_server.files["/users.dat"] = (data_folder / "citeulike" / "users.dat").read_bytes()
    monkeypatch.setitem(KNOWN, "citeulike", replace(KNOWN["citeulike"], base_urls=(file_server.url(""),)))
    monkeypatch.setenv("RESPROUT_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("RESPROUT_CACHE", str(tmp_path / "cache"))
    seen = []
    assert len(load("citeulike", progress=lambda done, total: seen.append((done, total))).interactions) == 134_860
    assert seen[-1] == (770_649, 770_649)
    assert (tmp_path / "cache" / "citeulike" / "users.dat").stat().st_size == 770_649
    file_server.files.clear()
    assert len(load("citeulike").interactions) == 134_860
