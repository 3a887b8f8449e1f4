import numpy as np
import pytest
from pydantic import ValidationError

from resprout.data import FilterSettings, apply, read
from resprout.errors import DataError, SettingsError

# user, item, rating, time; (1, 7) three times, not in the order of time
RATED = [(1, 7, 2.0, 30), (1, 8, 5.0, 10), (1, 7, 4.0, 50), (2, 7, 1.0, 20), (1, 7, 3.0, 40), (2, 9, 4.0, 60)]


def kept(dataset, settings):
    result = apply(dataset, settings)
    interactions = result.interactions
    users = interactions.user_ids.ids_of(interactions.users).tolist()
    items = interactions.item_ids.ids_of(interactions.items).tolist()
    weights = [None] * len(users) if interactions.weights is None else interactions.weights.tolist()
    return list(zip(users, items, weights, strict=True)), result.dropped


@pytest.mark.parametrize(
    ("rule", "weight", "duplicates", "copies"),
    [("keep_last", 4.0, 2, 1), ("keep_first", 2.0, 2, 1), ("sum", 9.0, 2, 1), ("keep", None, 0, 3)],
)
def test_duplicates(rule, weight, duplicates, copies):
    rows, dropped = kept(read(RATED), FilterSettings(duplicates=rule))
    repeated = [row for row in rows if row[:2] == (1, 7)]
    assert len(repeated) == copies
    assert weight is None or repeated[0][2] == weight
    assert dropped.duplicates == duplicates
    assert len(rows) == 6 - duplicates
    assert (2, 9, 4.0) in rows


def test_duplicates_without_timestamps_follow_the_file():
    rows = [(1, 7, 5.0), (2, 7, 1.0), (1, 7, 3.0)]
    assert (1, 7, 3.0) in kept(read(rows), FilterSettings(duplicates="keep_last"))[0]
    assert (1, 7, 5.0) in kept(read(rows), FilterSettings(duplicates="keep_first"))[0]


def test_sum_counts_interactions_without_weights():
    rows, _ = kept(read([(1, 7), (1, 7), (2, 7)]), FilterSettings(duplicates="sum"))
    assert sorted(rows) == [(1, 7, 2.0), (2, 7, 1.0)]


def test_duplicates_are_looked_for_within_a_part(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2 1\n1 2\n")
    (tmp_path / "test.txt").write_text("0 1\n1 3\n")
    result = apply(read(tmp_path), FilterSettings())
    assert result.dropped.duplicates == 1
    assert result.parts.tolist() == [0, 0, 0, 2, 2]


def test_min_rating_comes_after_duplicates():
    # The pair (1, 7) counts with its last rating, 4; (2, 7) has 1.
    rows, dropped = kept(read(RATED), FilterSettings(min_rating=4))
    assert sorted(rows) == [(1, 7, 4.0), (1, 8, 5.0), (2, 9, 4.0)]
    assert (dropped.below_min_rating, dropped.duplicates) == (1, 2)


def test_core_is_iterated():
    # Item 9 has one user, so it goes; then user 3 has one item left and goes; then item 8 has two users still.
    pairs = [(1, 7), (1, 8), (2, 7), (2, 8), (3, 8), (3, 9)]
    rows, dropped = kept(read(pairs), FilterSettings(min_user=2, min_item=2))
    assert sorted(row[:2] for row in rows) == [(1, 7), (1, 8), (2, 7), (2, 8)]
    assert (dropped.below_min_item, dropped.below_min_user, dropped.users, dropped.items) == (1, 1, 1, 1)


def test_parts_and_names_go_along(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::7::5::10\n1::8::1::11\n2::8::1::12\n2::9::5::13\n")
    (tmp_path / "movies.dat").write_text("7::Seven::x\n8::Eight::x\n9::Nine::x\n")
    result = apply(read(tmp_path), FilterSettings(min_rating=3))
    assert result.item_names == ["Seven", "Nine"]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("0 1 2 3\n1 1\n2 1 2\n")
    (tmp_path / "lists" / "test.txt").write_text("0 4\n2 3\n")
    result = apply(read(tmp_path / "lists"), FilterSettings(min_user=2))
    assert result.parts.tolist() == [0, 0, 0, 0, 0, 2, 2]
    assert result.interactions.user_ids.ids_of(range(2)).tolist() == [0, 2]


def test_nothing_to_drop_changes_nothing():
    dataset = read([(1, 7), (2, 8)])
    result = apply(dataset, FilterSettings())
    assert result.interactions is dataset.interactions
    assert result.dropped.users == result.dropped.duplicates == 0


def test_the_filter_that_empties_is_named():
    with pytest.raises(DataError, match=r"filter\.min_rating = 6\.0 leaves no interaction; ratings go up to 5"):
        apply(read(RATED), FilterSettings(min_rating=6))
    with pytest.raises(DataError, match=r"filter\.min_user = 9 with filter\.min_item = 0 leaves no interaction"):
        apply(read(RATED), FilterSettings(min_user=9))
    with pytest.raises(SettingsError, match=r"filter\.min_rating is 3\.0, but frame has no ratings"):
        apply(read([(1, 7), (2, 7)]), FilterSettings(min_rating=3))


@pytest.mark.parametrize("wrong", [{"min_users": 5}, {"min_user": -1}, {"duplicates": "drop"}, {"min_rating": np.nan}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        FilterSettings(**wrong)


def test_every_setting_is_described():
    assert all(field.description for field in FilterSettings.model_fields.values())
