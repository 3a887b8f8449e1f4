"""Recognises the format of a path, and which of its files are which official part."""

from dataclasses import dataclass
from pathlib import Path

from resprout.data.readers import recbole
from resprout.data.readers.columns import ALIASES, plain
from resprout.data.readers.delimited import delimiter_of, fields_of
from resprout.data.readers.text import first_lines
from resprout.errors import DataError

FORMATS = {
    "csv": "CSV or TSV with a header line (user_id, item_id[, rating][, timestamp]), also gzipped",
    "parquet": "Parquet with such columns",
    "recbole": "RecBole .inter, header fields name:type",
    "lists": "one line a user: user item item ... (LightGCN); a folder with train.txt and test.txt",
    "movielens": "user::item::rating::time (ratings.dat) or the same with tabs (u.data)",
    "citeulike": "one line a user: count item item ... (users.dat)",
    "foursquare": "user, place, count with tabs; a folder with *_train.txt, *_tune.txt, *_test.txt",
}
TRAIN, VALIDATION, TEST = 0, 1, 2
_PART_OF_WORD = {"train": TRAIN, "valid": VALIDATION, "val": VALIDATION, "validation": VALIDATION, "tune": VALIDATION}
_PART_OF_WORD |= {"dev": VALIDATION, "test": TEST}
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".inter": "recbole"}
_FIRST_CHOICES = ("ratings.dat", "u.data", "users.dat", "interactions.csv", "ratings.csv", "interactions.parquet")


@dataclass(frozen=True)
class Recognised:
    """The format of a path and its files, each with its official part or None."""

    format: str
    files: tuple[tuple[int | None, Path], ...]


def recognise(path: Path, format: str | None = None) -> Recognised:  # noqa: A002
    """The format and files of a file or folder; `format` names it instead of guessing.

    Raises DataError if the path is missing, the format is unknown, or nothing in it is clear, naming the formats.
    """
    if format is not None and format not in FORMATS:
        raise DataError(f"unknown format {format!r}; the formats are:\n{_listing()}")
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir():
        files = _files_of_folder(path, format)
        return Recognised(format or _format_of_folder_file(files[0][1]), files)
    return Recognised(format or _format_of_file(path), ((None, path),))


def _files_of_folder(folder: Path, wanted: str | None) -> tuple[tuple[int | None, Path], ...]:
    """The train file with those that share its name and ending, else the one file of interactions."""
    inside = sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
    by_kind: dict[tuple[str, str], dict[int, Path]] = {}
    for one in inside:
        head, word, ending = _split_name(one)
        if word in _PART_OF_WORD:
            by_kind.setdefault((head, ending), {})[_PART_OF_WORD[word]] = one
    complete = [parts for parts in by_kind.values() if TRAIN in parts and TEST in parts]
    if len(complete) == 1:
        return tuple(sorted(complete[0].items()))
    if not complete:
        for single in (*(folder / name for name in _FIRST_CHOICES), *_only_file(inside, wanted)):
            if single in inside:
                return ((None, single),)
    found = ", ".join(one.name for one in inside) or "nothing"
    reason = "more than one train file" if complete else "no file of interactions that is known by its name"
    raise DataError(f"{folder}: {reason} (found: {found}); name one file, or use one of these formats:\n{_listing()}")


def _split_name(path: Path) -> tuple[str, str, str]:
    """`Foursquare_train.txt` as ("Foursquare", "train", ".txt"), `train.txt` as ("", "train", ".txt")."""
    stem, *endings = path.name.split(".")
    if len(endings) > 1 and endings[0] in _PART_OF_WORD:
        return stem, endings[0], "." + ".".join(endings[1:])
    head, _, word = stem.rpartition("_")
    return head, word.lower(), "." + ".".join(endings)


def _only_file(inside: list[Path], wanted: str | None) -> list[Path]:
    """The only file whose ending belongs to a format (the wanted one, if any)."""
    fitting = [one for one in inside if wanted in (None, _format_of_ending(one)) and _format_of_ending(one) is not None]
    return fitting if len(fitting) == 1 else []


def _format_of_ending(path: Path) -> str | None:
    return _ENDINGS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def _format_of_folder_file(path: Path) -> str:
    return "lists" if path.name.lower().removesuffix(".gz") == "train.txt" else _format_of_file(path)


def _format_of_file(path: Path) -> str:
    by_ending = _format_of_ending(path)
    if by_ending is not None:
        return by_ending
    lines = first_lines(path)
    if not lines:
        raise DataError(f"{path}: the file is empty; expected interactions of users and items")
    if lines[0].startswith(b"PAR1"):
        return "parquet"
    found = _format_of_numbers(lines) if _all_numbers(lines) else _format_of_text(lines)
    if found is None:
        shown = lines[0][:80].decode(errors="replace")
        raise DataError(
            f"{path}: the format is unclear (line 1: {shown!r}); name it (--set data.format=...), one of:\n{_listing()}"
        )
    return found


def _format_of_numbers(lines: list[bytes]) -> str | None:
    fields = [line.split() for line in lines]
    widths = {len(line) for line in fields}
    if all(int(line[0]) == len(line) - 1 for line in fields):
        return "citeulike"
    if widths in ({3}, {4}):
        # Three or four numbers in every line are more likely pairs with a count or rating than lists of one length.
        separated_by_tabs = all(line.count(b"\t") == len(row) - 1 for line, row in zip(lines, fields, strict=True))
        return {3: "foursquare", 4: "movielens"}[widths.pop()] if separated_by_tabs else None
    return "lists"


def _format_of_text(lines: list[bytes]) -> str | None:
    if all(b"::" in line for line in lines):
        return "movielens"
    header = fields_of(lines[0], delimiter_of(lines[0]))
    if any(field.rpartition(":")[2] in recbole.TYPES and ":" in field for field in header):
        return "recbole"
    names = {plain(field) for field in header}
    has_both = all(names & {plain(alias) for alias in ALIASES[role]} for role in ("user", "item"))
    return "csv" if has_both else None


def _all_numbers(lines: list[bytes]) -> bool:
    return all(word.isdigit() for line in lines for word in line.split())


def _listing() -> str:
    return "\n".join(f"  {name}: {what}" for name, what in FORMATS.items())
