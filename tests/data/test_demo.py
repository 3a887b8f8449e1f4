import hashlib
import time

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from resprout.data import SplitSettings, demo, load, split

DATASET = demo.generate()
CHECKSUM = "1d62b1adca2bbfbf5ae5947237481d11dd20a31b39ff55f758bf0396ba34b416"


def test_bits_are_pinned():
    interactions = DATASET.interactions
    digest = hashlib.sha256()
    for column in (interactions.users, interactions.items, interactions.timestamps):
        digest.update(column.astype("<i8").tobytes())
    assert digest.hexdigest() == CHECKSUM


def test_size_and_lengths():
    whole = DATASET.describe().whole
    assert (whole.users, whole.items, whole.interactions) == (6_000, 3_000, demo.N_INTERACTIONS)
    assert 195_000 < whole.interactions < 210_000
    assert whole.duplicates == 0
    assert whole.per_user_min == 5
    assert whole.per_user_max > 300


def test_generated_in_time():
    begin = time.perf_counter()
    demo.generate()
    assert time.perf_counter() - begin < 1.5


def test_popularity_has_a_long_tail():
    counts = np.sort(np.bincount(DATASET.interactions.items, minlength=3_000))[::-1]
    assert counts[0] > 20 * np.median(counts)
    assert counts[:600].sum() > 0.5 * counts.sum()


def test_timestamps_lie_in_two_years_and_ascend_within_users():
    interactions = DATASET.interactions
    assert interactions.timestamps.min() >= 1_640_995_200
    assert interactions.timestamps.max() < 1_640_995_200 + 730 * 86_400
    same_user = interactions.users[1:] == interactions.users[:-1]
    assert (np.diff(interactions.timestamps)[same_user] >= 0).all()


def test_titles_are_unique_and_carry_the_theme():
    names = DATASET.item_names
    assert len(set(names)) == 3_000
    assert names[0] == "The Lighthouse Keeper's Almanac (sea stories)"
    assert len({name.rpartition("(")[2] for name in names}) == 24


def test_readers_stay_with_few_themes():
    # Half of a reader's books come from at most three of the 24 themes, for nearly all readers with a usual history.
    interactions = DATASET.interactions
    books = scipy.sparse.coo_array(
        (np.ones(len(interactions)), (interactions.users, interactions.items // 125)), shape=(6_000, 24)
    ).toarray()
    top_three = np.sort(books, axis=1)[:, -3:].sum(axis=1) / books.sum(axis=1)
    usual = books.sum(axis=1) <= 60
    assert np.mean(top_three[usual] > 0.5) > 0.95


def test_a_latent_factor_model_beats_popularity_twofold():
    found = split(DATASET, SplitSettings(), seed=0)
    train, held_out = found.train, found.test.histories()
    seen = scipy.sparse.csr_array((np.ones(len(train)), (train.users, train.items)), shape=(6_000, 3_000))
    _, _, factors = scipy.sparse.linalg.svds(seen, k=64, v0=np.ones(3_000))

    def recall(scores):
        scores[train.users, train.items] = -np.inf
        top = np.argpartition(-scores, 20, axis=1)[:, :20]
        hits = [np.isin(held_out.of(user), top[user]).mean() for user in np.flatnonzero(held_out.counts)]
        return np.mean(hits)

    popularity = recall(np.tile(seen.sum(axis=0), (6_000, 1)))
    assert recall((seen @ factors.T) @ factors) > 2 * popularity


def test_known_under_its_name():
    dataset = load("demo")
    assert dataset.name == "demo"
    assert dataset.interactions.user_ids.ids_of([0, 5_999]).tolist() == ["u0000", "u5999"]
    assert dataset.interactions.item_ids.ids_of([0, 2_999]).tolist() == ["b0000", "b2999"]
