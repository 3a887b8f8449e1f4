"""Every accepted form of interactions, read into a Dataset: one file a format, and `read` for all."""

from os import PathLike
from pathlib import Path
from typing import Any

from resprout.data.interactions import Dataset
from resprout.data.readers import citeulike, delimited, foursquare, frames, lists, movielens, parquet, recbole
from resprout.data.readers.assemble import assemble
from resprout.data.readers.names import item_names_beside
from resprout.data.readers.raw import Columns, IdType, Raw
from resprout.data.readers.recognise import FORMATS, recognise
from resprout.errors import DataError

__all__ = ["FORMATS", "Columns", "IdType", "read", "recognise"]


def read(
    source: Any,
    format: str | None = None,  # noqa: A002
    columns: Columns | None = None,
    *,
    id_type: IdType = "auto",
    name: str | None = None,
    min_users: int = 2,
) -> Dataset:
    """The data set in a file, folder, data frame or list of tuples.

    `format` is one of FORMATS, or None to look; `columns` names columns of tables that are not called as usual;
    `id_type` says how ids are read ("auto": integers if all are). Fewer than `min_users` users are refused. Raises
    DataError, with file and line, for everything that cannot be used.
    """
    wanted = columns or Columns()
    if isinstance(source, str | PathLike):
        dataset = _read_path(Path(source), format, wanted, id_type, name)
    else:
        dataset = assemble(name or "frame", [frames.read(source, wanted)], [None], id_type)
    if dataset.interactions.n_users < min_users:
        raise DataError(
            f"{dataset.name}: {dataset.interactions.n_users} user in {len(dataset.interactions)} interactions; "
            f"expected at least {min_users}: is the user column the right one?"
        )
    return dataset


def _read_path(path: Path, format: str | None, wanted: Columns, id_type: IdType, name: str | None) -> Dataset:  # noqa: A002
    path = path.expanduser()
    found = recognise(path, format)
    if wanted != Columns() and found.format not in ("csv", "parquet", "recbole"):
        raise DataError(f"{path}: the format {found.format} has no named columns; leave the column settings out")
    raws = [_read_file(found.format, file, wanted) for _, file in found.files]
    dataset = assemble(name or path.name.split(".")[0], raws, [part for part, _ in found.files], id_type)
    names = item_names_beside(found.files[0][1], dataset.interactions.item_ids)
    return Dataset(dataset.name, dataset.interactions, dataset.parts, names)


def _read_file(format: str, path: Path, wanted: Columns) -> Raw:  # noqa: A002
    match format:
        case "csv":
            return delimited.read(path, wanted)
        case "parquet":
            return parquet.read(path, wanted)
        case "recbole":
            return recbole.read(path, wanted)
        case "lists":
            return lists.read(path)
        case "movielens":
            return movielens.read(path)
        case "citeulike":
            return citeulike.read(path)
        case _:
            return foursquare.read(path)
