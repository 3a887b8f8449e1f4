"""The bundled data set: invented readers with tastes, and invented books, from a generator of integers only.

6,000 users, 3,000 books. Everything is drawn from raw 64-bit words of Philox, `rng.stream(20240229, "demo", purpose)`,
and computed in integers, so every platform and NumPy version gives the same bits. A draw below n is
`(word >> 32) * n >> 32`.

1. Books. 24 themes x 5 characters x 25 title forms, in this order; a book's kind is its theme and character. The title
   is the form with the character filled in, then the theme: "The Lighthouse Keeper's Almanac (sea stories)".
2. Popularity. A random order gives each book a rank 0..2999; its weight is 1,000,000 // (rank + 15), close to Zipf.
3. Length. A word below the next threshold of `_LENGTHS` picks a range of lengths, a second one the length within it.
4. Tastes. A user has 2 + length // 20 tastes, 12 at most. A taste is the kind of a book drawn by weight.
5. Reading. A user draws 2 * length + 20 books. Of 32 draws 20 are from the kind of one of the user's tastes, 8 from its
   theme and 4 from all books, by weight each time. The first `length` distinct books are the user's history.
6. Time. A user reads between a first day and a last day in 2022 and 2023, both drawn; as many seconds as books are
   drawn in between and handed out in ascending order.
"""

import numpy as np
from numpy.typing import NDArray

from resprout.data.idmap import IdMap
from resprout.data.interactions import Dataset, Interactions
from resprout.rng import stream

N_USERS = 6_000
N_ITEMS = 3_000
N_INTERACTIONS = 205_853

_SEED = 20_240_229
_FIRST_SECOND = 1_640_995_200  # 2022-01-01T00:00:00Z
_DAY_SECONDS = 86_400
_DAYS = 730
_BOOKS_PER_KIND, _KINDS_PER_THEME = 25, 5
_MOST_TASTES = 12
# Of 1000 users, how many have a length in which range, both ends included.
_LENGTHS = ((100, 5, 8), (400, 9, 20), (300, 21, 42), (145, 43, 90), (50, 91, 200), (5, 201, 500))

_THEMES: dict[str, tuple[str, ...]] = {
    "sea stories": ("Lighthouse Keeper", "Whaler", "Castaway", "Harbour Pilot", "Privateer"),
    "space opera": ("Starship Captain", "Asteroid Miner", "Android", "Terraformer", "Void Cartographer"),
    "detective fiction": ("Inspector", "Poisoner", "Forger", "Private Eye", "Safecracker"),
    "gothic horror": ("Gravedigger", "Vampire", "Governess", "Medium", "Werewolf"),
    "cookery": ("Baker", "Pastry Chef", "Fishmonger", "Spice Merchant", "Cheesemaker"),
    "gardening": ("Rose Grower", "Beekeeper", "Orchardist", "Herbalist", "Topiarist"),
    "mountaineering": ("Alpinist", "Mountain Guide", "Ice Climber", "Hut Warden", "Rope Maker"),
    "westerns": ("Sheriff", "Cattle Drover", "Gunslinger", "Gold Prospector", "Stagecoach Driver"),
    "court intrigue": ("Queen", "Courtier", "Ambassador", "Food Taster", "Royal Physician"),
    "epic fantasy": ("Dragon Rider", "Wizard", "Swordsmith", "Elven Archer", "Dwarf King"),
    "romance": ("Florist", "Matchmaker", "Dressmaker", "Wedding Planner", "Duke"),
    "war novels": ("Trench Poet", "Codebreaker", "Field Nurse", "Submariner", "Bomber Navigator"),
    "spy thrillers": ("Turncoat", "Courier", "Spymaster", "Defector", "Mole"),
    "courtroom drama": ("Barrister", "Juror", "Judge", "Court Reporter", "Bailiff"),
    "music": ("Pianist", "Conductor", "Jazz Drummer", "Organist", "Luthier"),
    "art": ("Fresco Painter", "Portraitist", "Art Dealer", "Engraver", "Muralist"),
    "natural history": ("Ornithologist", "Beetle Collector", "Fossil Hunter", "Botanist", "Whale Watcher"),
    "mathematics": ("Geometer", "Number Theorist", "Statistician", "Logician", "Topologist"),
    "ancient history": ("Pharaoh", "Gladiator", "Roman Senator", "Spartan", "Phoenician Trader"),
    "railways": ("Stationmaster", "Engine Driver", "Signalman", "Ticket Inspector", "Sleeping-Car Porter"),
    "sport": ("Goalkeeper", "Marathon Runner", "Boxer", "Oarsman", "Racing Cyclist"),
    "school stories": ("Headmistress", "New Pupil", "Prefect", "School Librarian", "Swimming Teacher"),
    "arctic travel": ("Sled Driver", "Icebreaker Captain", "Polar Surveyor", "Reindeer Herder", "Fur Trapper"),
    "city life": ("Taxi Driver", "Concierge", "Street Sweeper", "Newspaper Seller", "Rooftop Gardener"),
}
_TITLES = (
    "The {}'s Almanac",
    "The {}'s Daughter",
    "The Last {}",
    "Letters to the {}",
    "The {} in Winter",
    "The {}'s Secret",
    "How the {} Came Home",
    "The {} and the Stranger",
    "A Year with the {}",
    "The {}'s Apprentice",
    "Goodbye to the {}",
    "The Silent {}",
    "The {} at Midnight",
    "The {}'s Confession",
    "What the {} Knew",
    "The Reluctant {}",
    "The {}'s Handbook",
    "In Search of the {}",
    "The {} Who Never Slept",
    "The {}'s Other Life",
    "The Return of the {}",
    "Waiting for the {}",
    "The {}'s Promise",
    "The Invisible {}",
    "Advice from the {}",
)


def generate() -> Dataset:
    """The demo data set; the same bits every time."""
    lengths = _user_lengths()
    users, items = _histories(lengths, _weight_ends())
    interactions = Interactions(
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        user_ids=IdMap.of(f"u{number:04}" for number in range(N_USERS)),
        item_ids=IdMap.of(f"b{number:04}" for number in range(N_ITEMS)),
        timestamps=_timestamps(users),
    )
    return Dataset("demo", interactions, item_names=_names())


def _names() -> list[str]:
    return [
        f"{title.format(character)} ({theme})"
        for theme, characters in _THEMES.items()
        for character in characters
        for title in _TITLES
    ]


def _below(limits: NDArray[np.int64] | int, n: int, *purpose: str) -> NDArray[np.int64]:
    """int64[n], each from 0 up to below its limit (one for all, or int64[n]); limits stay below 2^31."""
    words = np.asarray(stream(_SEED, "demo", *purpose).bit_generator.random_raw(n), dtype=np.uint64) >> np.uint64(32)
    return np.asarray((words * np.asarray(limits, dtype=np.uint64)) >> np.uint64(32), dtype=np.int64)


def _order(n: int, purpose: str) -> NDArray[np.int64]:
    """int64[n], a random order of 0..n-1."""
    words = np.asarray(stream(_SEED, "demo", purpose).bit_generator.random_raw(n), dtype=np.uint64)
    return np.asarray(np.argsort(words, kind="stable"))


def _weight_ends() -> NDArray[np.int64]:
    """int64[books + 1], the sums of the weights of all books before each one: a draw below the total names a book."""
    weights = np.empty(N_ITEMS, dtype=np.int64)
    weights[_order(N_ITEMS, "popularity")] = 1_000_000 // (np.arange(N_ITEMS) + 15)
    return np.concatenate([[0], np.cumsum(weights)])


def _user_lengths() -> NDArray[np.int64]:
    shares, shortest, longest = np.array(_LENGTHS, dtype=np.int64).T
    group = np.searchsorted(np.cumsum(shares), _below(1000, N_USERS, "length range"), side="right")
    return np.asarray(shortest[group] + _below((longest - shortest + 1)[group], N_USERS, "length"))


def _draw_books(
    ends: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64], purpose: str
) -> NDArray[np.int64]:
    """One book by weight out of each range first..last-1."""
    low, high = ends[first], ends[last]
    return np.searchsorted(ends, low + _below(high - low, len(first), purpose), side="right") - 1


def _histories(lengths: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and books of all interactions, by user, in the order of reading."""
    n_tastes = np.minimum(2 + lengths // 20, _MOST_TASTES)
    anywhere = np.zeros(N_USERS * _MOST_TASTES, dtype=np.int64)
    tastes = _draw_books(ends, anywhere, anywhere + N_ITEMS, "tastes") // _BOOKS_PER_KIND
    draws = 2 * lengths + 20
    users = np.repeat(np.arange(N_USERS), draws)
    n = len(users)
    taste = tastes[users * _MOST_TASTES + _below(n_tastes[users], n, "which taste")]
    theme = taste // _KINDS_PER_THEME
    breadth = _below(32, n, "breadth")
    per_theme = _KINDS_PER_THEME * _BOOKS_PER_KIND
    choices = [breadth < 20, breadth < 28]
    first = np.select(choices, [taste * _BOOKS_PER_KIND, theme * per_theme], 0)
    last = np.select(choices, [(taste + 1) * _BOOKS_PER_KIND, (theme + 1) * per_theme], N_ITEMS)
    items = _draw_books(ends, first, last, "books")
    kept = _first_distinct(users, items, lengths)
    return users[kept], items[kept]


def _first_distinct(
    users: NDArray[np.int64], items: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions, ascending, of the first `lengths[user]` distinct books of each user."""
    _, firsts = np.unique(users * N_ITEMS + items, return_index=True)
    firsts.sort()
    of_user = users[firsts]
    starts = np.searchsorted(of_user, np.arange(N_USERS))
    return np.asarray(firsts[np.arange(len(firsts)) - starts[of_user] < lengths[of_user]])


def _timestamps(users: NDArray[np.int64]) -> NDArray[np.int64]:
    first_day = _below(_DAYS, N_USERS, "first day")
    days = 1 + _below(_DAYS - first_day, N_USERS, "days")
    seconds = _below((days * _DAY_SECONDS)[users], len(users), "seconds")
    # Users are ascending already: sorting user and second together sorts each user's seconds in place.
    sorted_seconds = np.sort((users << 32) + seconds) & 0xFFFF_FFFF
    return _FIRST_SECOND + first_day[users] * _DAY_SECONDS + sorted_seconds
