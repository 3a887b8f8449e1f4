"""MovieLens ratings without a header: `user::item::rating::time` (ratings.dat), or with tabs (u.data)."""

from pathlib import Path

from resprout.data.readers.delimited import parse
from resprout.data.readers.raw import Columns, Raw
from resprout.data.readers.text import first_lines, read_bytes
from resprout.errors import DataError

_NAMES = ("user", "item", "rating", "timestamp")


def read(path: Path) -> Raw:
    """The ratings of one file. Ids with leading zeros stay text (MovieTweetings, where they are IMDb numbers).

    Raises DataError naming file and line for a line with another number of fields than the first.
    """
    content = read_bytes(path)
    if b"::" in content:
        if b"\t" in content:
            line = content.count(b"\n", 0, content.index(b"\t")) + 1
            raise DataError(f"{path}, line {line}: a tab among fields that are separated by '::'")
        content = content.replace(b"::", b"\t")
    fields = first_lines(path, 1)[0].replace(b"::", b"\t").count(b"\t") + 1
    if fields not in (2, 3, 4):
        raise DataError(f"{path}, line 1: {fields} fields, expected 4: user::item::rating::time, or the same with tabs")
    names = _NAMES[:fields]
    columns = Columns("user", "item", *names[2:])
    return parse(path, content, "\t", columns, list(names), header=False, quoted=False)
