"""What `model.json` says of a model."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from resprout import __version__
from resprout.artifact.files import read_json
from resprout.errors import RunError

FORMAT = "resprout-model"
VERSION = 4
_SINCE = {"packed": 2, "packed_float16": 2, "prefix": 3, "packed_int8": 4, "int8": 4}
"""The version with which a storage came to lie as it does: a start for several rows, a byte for the scale of a row."""
MANIFEST = "model.json"
AGAIN = "copy the folder again, or train again"


class Entry(BaseModel):
    """Plain values of the types that are declared; keys that are not declared are passed over."""

    model_config = ConfigDict(frozen=True, strict=True)


class BackboneEntry(Entry):
    """The backbone's name, and its options as plain values."""

    name: str
    options: dict[str, Any]


class TableEntry(Entry):
    """A table's size, and how many of its weights are stored."""

    name: str
    rows: NonNegativeInt
    width: PositiveInt
    storage: str
    slots: NonNegativeInt


class BytesEntry(Entry):
    """Bytes of all tables, index included."""

    total: NonNegativeInt
    by_kind: dict[str, NonNegativeInt]


class FileEntry(Entry):
    """Size and SHA-256 sum of another file of the folder."""

    bytes: NonNegativeInt
    sha256: str


class Manifest(Entry):
    """All of `model.json`."""

    format: str
    version: int
    library_version: str
    backbone: BackboneEntry
    tables: list[TableEntry]
    n_users: NonNegativeInt
    n_items: NonNegativeInt
    deployed_bytes: BytesEntry
    about: dict[str, Any]
    files: dict[str, FileEntry]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder; RunError if there is none, or none that this library can read."""
    path = folder / MANIFEST
    if not path.is_file():
        raise RunError(
            f"{folder} is not a model folder: it has no {MANIFEST}; "
            "name the folder of a run that has ended, or model/ in it"
        )
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(f"{path} does not describe a model: expected the format {FORMAT!r}; name a model folder")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise RunError(
            f"{path} has version {version} of the model format, written by resprout {content.get('library_version')}; "
            f"resprout {__version__} reads versions up to {VERSION}: upgrade with pip install -U resprout"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is damaged: {place}: {first['msg']}; {AGAIN}") from error
    for table in manifest.tables:
        if manifest.version < _SINCE.get(table.storage, 0):
            raise RunError(
                f"{path} has {table.storage} tables as they lay in version {version} of the format, which this library "
                "does not read: train again"
            )
    return manifest
