"""Item names from the files that some data sets keep beside their interactions."""

from collections.abc import Iterable
from pathlib import Path

from resprout.data.idmap import IdMap
from resprout.data.readers.delimited import fields_of
from resprout.data.readers.recbole import TYPES
from resprout.data.readers.text import numbered_records
from resprout.errors import DataError

_TITLE_COLUMNS = ("title", "movietitle", "name", "itemname")


def item_names_beside(path: Path, item_ids: IdMap) -> list[str] | None:
    """One name per item row out of `movies.dat`, `u.item`, `movies.csv` or `*.item` beside `path`, or None without one.

    An item without a name there is called by its id.
    """
    for beside, titles in (
        (path.with_name("movies.dat"), _double_colon),
        (path.with_name("u.item"), _bars),
        (path.with_name("movies.csv"), _headed),
        (path.with_suffix(".item"), _headed),
    ):
        if beside.is_file() and beside != path:
            found = dict(titles(beside))
            ids = (str(one) for one in item_ids.ids_of(range(len(item_ids))))
            return [found.get(one, one) for one in ids]
    return None


def _double_colon(path: Path) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            item, separator, rest = line.partition("::")
            if not separator:
                raise DataError(f"{path}, line {number}: expected item::name::genres, found {line[:80]!r}")
            # The title itself may have "::", the genres never do.
            yield item, rest.rpartition("::")[0] or rest


def _bars(path: Path) -> Iterable[tuple[str, str]]:
    for line in _text(path).splitlines():
        item, _, rest = line.partition("|")
        yield item, rest.partition("|")[0]


def _headed(path: Path) -> Iterable[tuple[str, str]]:
    """The first column is the id, the name stands in the first column that is called like one."""
    content = _text(path).encode()
    delimiter = "," if path.suffix == ".csv" else "\t"
    header = [_name(field) for field in fields_of(content.splitlines()[0], delimiter)]
    place = next((header.index(name) for name in _TITLE_COLUMNS if name in header), None)
    if place is None:
        return
    for _, record in numbered_records(content, delimiter):
        if len(record) == len(header):
            yield record[0], record[place]


def _name(field: str) -> str:
    head, _, kind = field.rpartition(":")
    return (head if kind in TYPES else field).lower().replace("_", "")


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The older MovieLens files.
        return content.decode("latin-1")
