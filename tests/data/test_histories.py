import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resprout.data import Histories
from resprout.errors import DataError


def pairs_of(pairs, n_users=5, n_items=7):
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return Histories.from_pairs(users, items, n_users, n_items)


def test_known_answer():
    histories = pairs_of([(2, 6), (0, 3), (2, 0), (0, 3), (4, 1)])
    assert histories.starts.tolist() == [0, 1, 1, 3, 3, 4]
    assert histories.items.tolist() == [3, 0, 6, 1]
    assert (histories.starts.dtype, histories.items.dtype) == (np.int64, np.int32)
    assert histories.counts.tolist() == [1, 0, 2, 0, 1]
    assert histories.users.tolist() == [0, 2, 2, 4]
    assert histories.of(2).tolist() == [0, 6]
    assert histories.of(3).tolist() == []
    assert len(histories) == 4
    backwards = histories.transposed()
    assert backwards.starts.tolist() == [0, 1, 2, 2, 3, 3, 3, 4]
    assert backwards.items.tolist() == [2, 4, 0, 2]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=50))
def test_agrees_with_sets(pairs):
    histories = pairs_of(pairs)
    for user in range(5):
        assert histories.of(user).tolist() == sorted({item for one, item in pairs if one == user})
    twice = histories.transposed().transposed()
    assert twice.items.tolist() == histories.items.tolist()
    assert twice.starts.tolist() == histories.starts.tolist()
    assert twice.n_items == histories.n_items


@pytest.mark.parametrize(("pair", "kind"), [((5, 0), "user"), ((0, 7), "item"), ((-1, 0), "user"), ((0, -1), "item")])
def test_rows_outside_are_refused(pair, kind):
    with pytest.raises(DataError, match=f"{kind} row numbers run from"):
        pairs_of([(0, 0), pair])


def test_large_row_numbers_do_not_overflow():
    n = 2**31 - 1
    histories = Histories.from_pairs(np.array([2, 0]), np.array([n - 1, 5]), 3, n)
    assert histories.of(2).tolist() == [n - 1]
