import numpy as np
import pytest

from resprout.data import Dataset, IdMap, Interactions
from resprout.data.interactions import PartCounts
from resprout.errors import DataError


def small() -> Interactions:
    return Interactions(
        users=np.array([0, 2, 2, 2], dtype=np.int32),
        items=np.array([1, 1, 3, 1], dtype=np.int32),
        user_ids=IdMap.of(["a", "b", "c"]),
        item_ids=IdMap.numbered(5),
        weights=np.array([1, 2, 3, 4], dtype=np.float32),
        timestamps=np.array([40, 30, 20, 10]),
    )


@pytest.mark.parametrize("chosen", [np.array([1, 2]), np.array([False, True, True, False])])
def test_select_takes_positions_and_masks(chosen):
    selected = small().select(chosen)
    assert selected.users.tolist() == [2, 2]
    assert selected.items.tolist() == [1, 3]
    assert selected.weights.tolist() == [2, 3]
    assert selected.timestamps.tolist() == [30, 20]
    assert (selected.n_users, selected.n_items, len(selected)) == (3, 5, 2)


def test_compact_drops_unused_rows_and_keeps_ids():
    compact = small().compact()
    assert (compact.n_users, compact.n_items) == (2, 2)
    assert compact.user_ids.ids_of(compact.users).tolist() == ["a", "c", "c", "c"]
    assert compact.item_ids.ids_of(compact.items).tolist() == [1, 1, 3, 1]


def test_describe_counts():
    description = Dataset("small", small(), parts=np.array([0, 0, 0, 2], dtype=np.int8)).describe()
    assert description.whole == PartCounts(
        users=2,
        items=2,
        interactions=4,
        duplicates=1,
        density=0.75,
        per_user_min=1,
        per_user_median=2.0,
        per_user_max=3,
    )
    assert list(description.parts) == ["train", "test"]
    assert description.parts["test"].interactions == 1
    assert description.has_weights
    assert description.has_timestamps
    assert not description.has_item_names


def test_lengths_must_agree():
    one, two = np.zeros(1, dtype=np.int32), np.zeros(2, dtype=np.int32)
    with pytest.raises(DataError, match="2 users but 1 items"):
        Interactions(two, one, IdMap.numbered(1), IdMap.numbered(1))
    with pytest.raises(DataError, match="3 item names for 5 items"):
        Dataset("small", small(), item_names=["x", "y", "z"])
    with pytest.raises(DataError, match="1 parts for 4 interactions"):
        Dataset("small", small(), parts=np.zeros(1, dtype=np.int8))
