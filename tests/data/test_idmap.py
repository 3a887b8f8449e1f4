import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resprout.data import IdMap
from resprout.errors import DataError

INTEGERS = st.lists(st.integers(0, 2**62), min_size=1, max_size=60)
# Everything but surrogates, which no file can hold.
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(ids=st.one_of(INTEGERS, TEXTS))
def test_ids_come_back_from_their_rows(ids):
    id_map = IdMap.of(ids)
    rows = id_map.rows(ids)
    assert rows.dtype == np.int32
    assert list(id_map.ids_of(rows)) == ids
    assert len(id_map) == len(set(ids))
    assert id_map.ids_of(range(len(id_map))).tolist() == sorted(set(ids))


@settings(max_examples=60, deadline=None)
@given(ids=st.one_of(INTEGERS, TEXTS))
def test_arrays_hold_the_whole_map(ids):
    id_map = IdMap.of(ids)
    again = IdMap.from_arrays(id_map.arrays())
    assert again == id_map
    assert again.rows(ids).tolist() == id_map.rows(ids).tolist()


@settings(max_examples=60, deadline=None)
@given(ids=TEXTS, chosen=st.data())
def test_one_lookup_agrees_with_many(ids, chosen):
    # One id of a large map goes through bisection, many through a hash table.
    id_map = IdMap.of([*ids, *(f"filler {number}" for number in range(200))])
    one = chosen.draw(st.sampled_from(ids))
    many = [*ids, *ids, *ids, *ids]
    assert id_map.rows([one])[0] == id_map.rows(many)[many.index(one)]


@pytest.mark.parametrize("n", [3, 300])
def test_integers_as_text_and_text_as_integers(n):
    assert IdMap.numbered(n).rows(["2", "0"]).tolist() == [2, 0]
    texts = IdMap.of([str(number) for number in range(n)])
    assert texts.ids_of(texts.rows([2, 0])).tolist() == ["2", "0"]


@pytest.mark.parametrize("frame", [pd.Series, pl.Series, pa.array, np.array, list, tuple])
def test_every_kind_of_list_is_taken(frame):
    assert IdMap.of([5, 7, 9]).rows(frame([9, 5])).tolist() == [2, 0]
    assert IdMap.of(["a", "b"]).rows(frame(["b", "a"])).tolist() == [1, 0]


@pytest.mark.parametrize("spelling", ["07", "7.0", "", "seven", True, 7.0, None, 10**30, "9" * 30])
def test_integer_ids_have_one_spelling(spelling):
    with pytest.raises(DataError, match="the ids of this map are integers"):
        IdMap.of([7, 9]).rows([spelling])


def test_unknown_integer_names_the_known_range():
    with pytest.raises(DataError, match=r"unknown id 8: the 3 known ids lie in 3\.\.9"):
        IdMap.of([3, 7, 9]).rows([7, 8])


@pytest.mark.parametrize("n_fillers", [0, 1000])
@pytest.mark.parametrize(
    ("wanted", "close"), [("lighthose", "lighthouse"), ("104257", "0104257"), ("NOSFERATU", "Nosferatu")]
)
def test_unknown_text_names_close_spellings(wanted, close, n_fillers):
    id_map = IdMap.of(["lighthouse", "0104257", "Nosferatu", *(f"filler {number}" for number in range(n_fillers))])
    with pytest.raises(DataError, match=f"unknown id '{wanted}' among .* close to it: .*'{close}'"):
        id_map.rows([wanted])


def test_a_bare_text_is_not_a_list_of_letters():
    with pytest.raises(DataError, match=r"not as the text 'ab'; write \['ab'\]"):
        IdMap.of(["a", "b"]).rows("ab")


def test_a_lone_surrogate_is_unknown():
    with pytest.raises(DataError, match="not valid Unicode"):
        IdMap.of(["a", "b"]).rows(["\ud800"])


@pytest.mark.parametrize("rows", [[-1], [3], np.array([0, 7])])
def test_row_numbers_are_checked(rows):
    with pytest.raises(DataError, match=r"is outside 0\.\.2"):
        IdMap.numbered(3).ids_of(rows)


@pytest.mark.parametrize("ids", [np.array([2, 1]), np.array([1, 1]), pa.array(["b", "a"]), pa.array(["a", "a"])])
def test_ids_must_ascend(ids):
    with pytest.raises(DataError, match="must ascend"):
        IdMap(ids)


def test_empty_maps_and_empty_lookups():
    assert len(IdMap.of([])) == 0
    assert IdMap.of(["a"]).rows([]).tolist() == []
    assert IdMap.of([1]).rows([]).tolist() == []
    with pytest.raises(DataError, match="no ids at all"):
        IdMap.of([]).rows([1])


def test_take_keeps_the_order():
    kept = np.array([True, False, True])
    assert IdMap.of(["c", "b", "a"]).take(kept) == IdMap.of(["a", "c"])
    assert IdMap.of([3, 2, 1]).take(kept) == IdMap.of([1, 3])
    assert IdMap.of([1]) != IdMap.of(["1"])
