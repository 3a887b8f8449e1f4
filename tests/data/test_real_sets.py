import time

import numpy as np
import pytest

from resprout.data import FilterSettings, SplitSettings, apply, load, split
from resprout.data.interactions import PartCounts
from resprout.data.readers import recognise

pytestmark = pytest.mark.usefixtures("real_data")

# part: users, items, interactions, fewest, median and most per user, as in the README of each folder
COUNTS = {
    "ml-100k": {"": (943, 1_682, 100_000, 20, 65, 737)},
    "ml-1m": {
        "": (6_022, 3_043, 895_699, 18, 86, 1935),
        "train": (6_022, 3_043, 796_244, 16, 76, 1720),
        "test": (6_022, 3_021, 99_455, 2, 10, 215),
    },
    "gowalla": {
        "": (29_858, 40_981, 1_027_370, 9, 20, 1014),
        "train": (29_858, 40_981, 810_128, 8, 16, 811),
        "test": (29_858, 38_546, 217_242, 1, 4, 203),
    },
    "yelp2018": {
        "": (31_668, 38_048, 1_561_406, 18, 32, 2311),
        "train": (31_668, 38_048, 1_237_259, 16, 25, 1848),
        "test": (31_668, 36_073, 324_147, 2, 7, 463),
    },
    "citeulike": {"": (7_947, 25_584, 134_860, 3, 7, 1995)},
    "foursquare": {
        "": (7_642, 28_483, 277_405, 10, 30, 445),
        "train": (7_642, 27_771, 190_547, 6, 21, 311),
        "validation": (7_642, 14_667, 27_134, 1, 3, 44),
        "test": (7_642, 21_737, 59_724, 3, 7, 90),
    },
    "movietweetings-100k": {"": (16_554, 10_506, 100_000, 1, 2, 320)},
}


def as_in_readme(counts: PartCounts) -> tuple[int, ...]:
    assert counts.duplicates == 0
    per_user = (counts.per_user_min, counts.per_user_median, counts.per_user_max)
    return (counts.users, counts.items, counts.interactions, *per_user)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_the_readme(name):
    dataset = load(name)
    description = dataset.describe()
    found = {"": description.whole, **description.parts}
    assert {part: as_in_readme(counts) for part, counts in found.items()} == COUNTS[name]
    assert (dataset.interactions.n_users, dataset.interactions.n_items) == COUNTS[name][""][:2]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ml-100k", "recbole"),
        ("ml-1m", "lists"),
        ("gowalla", "lists"),
        ("citeulike", "citeulike"),
        ("foursquare", "foursquare"),
        ("movietweetings-100k", "movielens"),
    ],
)
def test_format_of_folder_and_of_its_files(data_folder, name, expected):
    found = recognise(data_folder / name)
    assert found.format == expected
    for _, file in found.files:
        assert recognise(file).format == expected


def test_first_lines_of_ml_100k():
    interactions = load("ml-100k").interactions
    first = interactions.select(np.arange(1))
    assert first.user_ids.ids_of(first.users).tolist() == [196]
    assert first.item_ids.ids_of(first.items).tolist() == [242]
    assert first.weights.tolist() == [3]
    assert first.timestamps.tolist() == [881250949]


def test_first_lines_of_gowalla():
    dataset = load("gowalla")
    # Ids are 0..n-1 and so equal to rows; the first test line is "0 7580 3730 5983 ...".
    assert dataset.interactions.items[:3].tolist() == [0, 1, 2]
    first = np.flatnonzero(dataset.parts == 2)[:3]
    assert dataset.interactions.users[first].tolist() == [0, 0, 0]
    assert dataset.interactions.items[first].tolist() == [7580, 3730, 5983]


def test_movietweetings_keeps_leading_zeros_and_has_titles():
    dataset = load("movietweetings-100k")
    row = dataset.interactions.item_ids.rows(["0104257"])[0]
    assert dataset.item_names[row] == "A Few Good Men (1992)"
    first = dataset.interactions.item_ids.ids_of(dataset.interactions.items[:1])
    assert first.tolist() == ["1074638"]
    assert not dataset.interactions.user_ids.is_text


def test_gowalla_loads_fast():
    best = min(_seconds_to_load("gowalla") for _ in range(3))
    assert best < 2.0


def _seconds_to_load(name: str) -> float:
    begin = time.perf_counter()
    load(name)
    return time.perf_counter() - begin


def test_citeulike_without_short_users():
    whole = apply(load("citeulike"), FilterSettings(min_user=5)).describe().whole
    assert (whole.users, whole.items, whole.interactions) == (5_219, 25_181, 125_580)


def test_movietweetings_five_core():
    dataset = load("movietweetings-100k")
    core = apply(dataset, FilterSettings(min_user=5, min_item=5))
    whole = core.describe().whole
    assert (whole.users, whole.items, whole.interactions) == (4_333, 2_414, 68_055)
    assert np.bincount(core.interactions.users).min() == 5
    assert np.bincount(core.interactions.items).min() == 5
    assert core.dropped.below_min_user + core.dropped.below_min_item == 100_000 - 68_055
    # Names moved with their items.
    rows = dataset.interactions.item_ids.rows(core.interactions.item_ids.ids_of(range(2_414)))
    assert core.item_names == [dataset.item_names[row] for row in rows]


@pytest.mark.parametrize("name", ["ml-1m", "gowalla", "foursquare"])
def test_official_split_keeps_the_official_test_part(name):
    dataset = load(name)
    found = split(dataset, SplitSettings(), seed=1)
    assert found.kind == "official"
    assert len(found.test) == COUNTS[name]["test"][2]
    assert (found.assignment[dataset.parts == 2] == 2).all()
    assert len(found.train) + len(found.validation) == len(dataset.interactions) - len(found.test)
    assert found.train.histories().counts.min() >= 1
    refit = found.refit()
    assert len(refit.validation) == 0
    assert len(refit.train) == len(dataset.interactions) - len(found.test)
    assert len(refit.test) == len(found.test)


def test_gowalla_validation_is_a_tenth_of_each_user():
    found = split(load("gowalla"), SplitSettings(), seed=1)
    train, validation = found.train.histories().counts, found.validation.histories().counts
    assert (validation == np.floor((train + validation) * 0.1 + 0.5)).all()


def test_foursquare_uses_its_own_validation_part():
    found = split(load("foursquare"), SplitSettings(), seed=1)
    assert (len(found.train), len(found.validation), len(found.test)) == (190_547, 27_134, 59_724)
    assert found.counts().test_items_without_train == 653


def test_leave_last_out_on_ml_100k_is_the_latest():
    found = split(load("ml-100k"), SplitSettings(kind="leave_last_out"), seed=1)
    assert len(found.test) == len(found.validation) == 943
    last = np.full(943, -1)
    np.maximum.at(last, found.train.users, found.train.timestamps)
    assert (found.validation.timestamps[np.argsort(found.validation.users)] >= last).all()
    in_order = np.argsort(found.test.users)
    assert (found.test.timestamps[in_order] >= found.validation.timestamps[np.argsort(found.validation.users)]).all()


def test_global_time_never_looks_ahead_on_ml_100k():
    found = split(load("ml-100k"), SplitSettings(kind="global_time"), seed=1)
    assert found.train.timestamps.max() < found.validation.timestamps.min()
    assert found.validation.timestamps.max() < found.test.timestamps.min()
    for part in (found.validation, found.test):
        assert np.isin(part.users, found.train.users).all()
        assert np.isin(part.items, found.train.items).all()
    assert found.dropped_unknown == 100_000 - len(found.train) - len(found.validation) - len(found.test)
    assert found.dropped_unknown > 0
