import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from resprout.data import Dataset, IdMap, Interactions, Split, SplitSettings, load, read, split
from resprout.data.split import DROPPED, FILE_NAME, TEST, TRAIN, VALIDATION
from resprout.errors import DataError, SettingsError


def dataset_of(pairs, timestamps=None, parts=None):
    users, items = np.array(pairs, dtype=np.int32).T
    interactions = Interactions(
        users=users,
        items=items,
        user_ids=IdMap.numbered(int(users.max()) + 1),
        item_ids=IdMap.numbered(int(items.max()) + 1),
        timestamps=None if timestamps is None else np.array(timestamps, dtype=np.int64),
    )
    return Dataset("small", interactions, None if parts is None else np.array(parts, dtype=np.int8))


def pairs_of(part):
    return set(zip(part.users.tolist(), part.items.tolist(), strict=True))


# --- leave_last_out and global_time, by hand


def test_leave_last_out_by_hand():
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (2, 1), (3, 5), (3, 6), (3, 7)]
    times = [40, 10, 30, 20, 5, 5, 9, 1, 1, 1]
    found = split(dataset_of(pairs, times), SplitSettings(kind="leave_last_out"), seed=0)
    # Of users 1 and 3 all times are equal, so the order of rows decides; user 2 has one interaction and keeps it.
    assert pairs_of(found.test) == {(0, 1), (1, 2), (3, 7)}
    assert pairs_of(found.validation) == {(0, 3), (3, 6)}
    assert pairs_of(found.train) == {(0, 2), (0, 4), (1, 1), (2, 1), (3, 5)}
    without = split(dataset_of(pairs, times), SplitSettings(kind="leave_last_out", validation_share=0), seed=0)
    assert len(without.validation) == 0
    assert pairs_of(without.test) == pairs_of(found.test)


def test_leave_last_out_drops_what_train_has():
    pairs = [(0, 1), (0, 2), (0, 3), (0, 1), (1, 1), (1, 2), (1, 3)]
    found = split(dataset_of(pairs, range(7)), SplitSettings(kind="leave_last_out"), seed=0)
    assert found.assignment.tolist() == [TRAIN, TRAIN, VALIDATION, DROPPED, TRAIN, VALIDATION, TEST]
    assert found.dropped_repeats == 1


def test_global_time_by_hand():
    # 30 % of 10 are the test part, 20 % of the 7 before are 1.4: rows 7, 8, 9 and row 6.
    pairs = [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (0, 4), (0, 9), (2, 1), (0, 1), (1, 3)]
    # Row 6: item 9 is not in train. Row 7: nor is user 2. Row 8: the pair is.
    expected = np.array([TRAIN] * 6 + [DROPPED] * 3 + [TEST])
    order = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    shuffled = dataset_of([pairs[row] for row in order], order * 10)
    found = split(shuffled, SplitSettings(kind="global_time", test_share=0.3, validation_share=0.2), seed=0)
    assert found.assignment.tolist() == expected[order].tolist()
    assert (found.dropped_unknown, found.dropped_repeats) == (2, 1)
    assert found.counts().dropped_unknown == 2


def test_one_moment_is_never_divided():
    pairs = [(user, item) for item in range(4) for user in range(3)]
    times = [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    found = split(
        dataset_of(pairs, times), SplitSettings(kind="global_time", test_share=0.2, validation_share=0), seed=0
    )
    assert set(found.test.timestamps.tolist()) <= {2}
    assert set(found.train.timestamps.tolist()) == {1}
    with pytest.raises(DataError, match="the global_time split leaves no user with a train interaction"):
        split(dataset_of(pairs, [5] * 12), SplitSettings(kind="global_time"), seed=0)


# --- random kinds


@pytest.mark.parametrize(("n", "in_test", "in_validation"), [(1, 0, 0), (2, 0, 0), (3, 1, 0), (8, 2, 1), (20, 4, 2)])
def test_ratio_shares(n, in_test, in_validation):
    found = split(
        dataset_of([(user, item) for user in range(4) for item in range(n)] + [(4, item) for item in range(20)]),
        SplitSettings(kind="ratio"),
        seed=3,
    )
    for user in range(4):
        assert np.count_nonzero(found.test.users == user) == in_test
        assert np.count_nonzero(found.validation.users == user) == in_validation


def test_official_without_validation_by_hand():
    pairs = [(0, item) for item in range(10)] + [(1, 0)] + [(2, item) for item in range(4)] + [(0, 11), (1, 11)]
    dataset = dataset_of(pairs, parts=[0] * 15 + [2, 2])
    found = split(dataset, SplitSettings(validation_share=0.3), seed=0)
    assert found.kind == "official"
    # 3 of 10; none of 1; 1.2 of 4.
    assert np.bincount(found.validation.users, minlength=3).tolist() == [3, 0, 1]
    assert pairs_of(found.test) == {(0, 11), (1, 11)}
    greedy = split(dataset, SplitSettings(validation_share=0.99), seed=0)
    assert np.bincount(greedy.train.users).tolist() == [1, 1, 1]


@pytest.mark.usefixtures("real_data")
def test_held_out_users():
    found = split(load("ml-100k"), SplitSettings(kind="held_out_users"), seed=5)
    groups = [set(part.users.tolist()) for part in (found.train, found.validation, found.test)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    # 20 % of 943 are 188.6; 10 % of the other 754 are 75.4.
    assert [len(group) for group in groups] == [943 - 189 - 75, 75, 189]
    for shown, asked in ((found.validation_fold_in, found.validation), (found.test_fold_in, found.test)):
        n_shown, n_asked = np.bincount(shown.users, minlength=943), np.bincount(asked.users, minlength=943)
        held_out = n_asked > 0
        assert (n_shown[held_out] > 0).all()
        assert not n_shown[~held_out].any()
        assert n_shown.sum() / (n_shown.sum() + n_asked.sum()) == pytest.approx(0.8, abs=0.005)
        assert not pairs_of(shown) & pairs_of(asked)
    refit = found.refit()
    assert set(refit.train.users.tolist()) == groups[0] | groups[1]
    assert len(refit.validation) == len(refit.validation_fold_in) == 0
    assert pairs_of(refit.test_fold_in) == pairs_of(found.test_fold_in)


@pytest.mark.usefixtures("real_data")
def test_fold_in_is_none_for_other_kinds():
    found = split(load("ml-100k"), SplitSettings(), seed=5)
    assert found.kind == "ratio"
    assert found.validation_fold_in is None
    assert found.test_fold_in is None


KINDS = ["ratio", "held_out_users", "leave_last_out", "global_time"]


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=8, max_size=60),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 5),
)
def test_no_pair_is_on_both_sides(pairs, kind, seed):
    dataset = dataset_of(pairs, range(len(pairs)))
    try:
        found = split(dataset, SplitSettings(kind=kind, test_share=0.3, validation_share=0.2), seed)
    except DataError:
        # One user only, or too few pairs for a part: not what is asked here.
        assume(False)
    parts = [pairs_of(found.interactions.select(found.assignment == part)) for part in range(5)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    dropped = np.count_nonzero(found.assignment == DROPPED)
    assert dropped == found.dropped_unknown + found.dropped_repeats
    counts = found.counts()
    assert (
        counts.train + counts.validation + counts.test + counts.validation_fold_in + counts.test_fold_in + dropped
        == len(pairs)
    )
    refit = found.refit()
    assert len(refit.validation) == 0
    assert pairs_of(refit.test) == pairs_of(found.test)


@pytest.mark.parametrize("kind", ["ratio", "held_out_users", "official"])
def test_seed_decides_and_row_order_does_not(kind):
    random = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in random.integers(0, 30, size=(400, 2))})
    parts = [2 if item == 0 else 0 for _, item in pairs]
    settings = SplitSettings(kind=kind)
    one = split(dataset_of(pairs, parts=parts), settings, seed=1)
    order = random.permutation(len(pairs))
    again = split(dataset_of([pairs[row] for row in order], parts=np.array(parts)[order]), settings, seed=1)
    other = split(dataset_of(pairs, parts=parts), settings, seed=2)
    assert again.assignment.tolist() == one.assignment[order].tolist()
    assert other.assignment.tolist() != one.assignment.tolist()


def test_assignment_is_pinned():
    # Changes only if the split of every past run changes with it.
    pairs = [(user, item) for user in range(3) for item in range(8)]
    ratio = split(dataset_of(pairs), SplitSettings(kind="ratio"), seed=7).assignment
    users = split(dataset_of(pairs), SplitSettings(kind="held_out_users", test_share=0.4), seed=7).assignment
    assert "".join(map(str, ratio)) == "100200020201002010002020"
    assert "".join(map(str, users)) == "000000004444442200000000"


# --- what cannot be split


@pytest.mark.parametrize("kind", ["leave_last_out", "global_time"])
def test_time_splits_need_timestamps(kind):
    with pytest.raises(SettingsError, match=rf"split\.kind is {kind}, but small has no timestamps; choose ratio"):
        split(dataset_of([(0, 1), (1, 1)]), SplitSettings(kind=kind), seed=0)


def test_official_needs_parts():
    with pytest.raises(SettingsError, match=r"split\.kind is official, but small comes without parts"):
        split(dataset_of([(0, 1), (1, 1)]), SplitSettings(kind="official"), seed=0)


def test_one_user_and_empty_parts_are_refused():
    with pytest.raises(DataError, match="1 user with interactions; a split needs at least 2"):
        split(dataset_of([(0, 1), (0, 2)]), SplitSettings(), seed=0)
    with pytest.raises(DataError, match="the ratio split leaves no test interaction"):
        split(dataset_of([(0, 1), (1, 2)]), SplitSettings(), seed=0)
    with pytest.raises(DataError, match="the official split leaves no user with a train interaction"):
        split(dataset_of([(0, 1), (1, 2)], parts=[2, 2]), SplitSettings(), seed=0)


def test_users_without_train_are_counted(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2\n1 2 3\n")
    (tmp_path / "test.txt").write_text("0 3\n1 9\n5 1\n6 8\n")
    counts = split(read(tmp_path), SplitSettings(), seed=0).counts()
    assert (counts.users_without_train, counts.test_items_without_train) == (2, 2)


@pytest.mark.parametrize("wrong", [{"test_share": 0}, {"test_share": 1}, {"kind": "random"}, {"seed": 1}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValidationError):
        SplitSettings(**wrong)


def test_every_setting_is_described():
    assert all(field.description for field in SplitSettings.model_fields.values())


# --- files


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("kind", ["ratio", "held_out_users", "global_time"])
def test_saved_and_loaded(tmp_path, kind):
    dataset = load("ml-100k")
    found = split(dataset, SplitSettings(kind=kind), seed=3)
    found.save(tmp_path / "run")
    found.save(tmp_path / "run")
    again = Split.load(tmp_path / "run", dataset.interactions)
    assert again.assignment.tolist() == found.assignment.tolist()
    assert (again.kind, again.seed, again.counts()) == (found.kind, 3, found.counts())
    assert (again.test_fold_in is None) == (kind != "held_out_users")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE_NAME]
    assert (tmp_path / "run" / FILE_NAME).stat().st_size < 101_000


@pytest.mark.usefixtures("real_data")
def test_a_split_of_other_data_is_refused(tmp_path):
    dataset = load("ml-100k")
    split(dataset, SplitSettings(), seed=3).save(tmp_path)
    backwards = dataset.interactions.select(np.arange(99_999, -1, -1))
    with pytest.raises(DataError, match="made of other interactions"):
        Split.load(tmp_path, backwards)
    with pytest.raises(DataError, match=r"made of other interactions \(100,000, here 10\)"):
        Split.load(tmp_path, dataset.interactions.select(np.arange(10)))
    (tmp_path / FILE_NAME).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"split\.safetensors: the split cannot be read"):
        Split.load(tmp_path, dataset.interactions)
    with pytest.raises(DataError, match="cannot be read"):
        Split.load(tmp_path / "nowhere", dataset.interactions)
