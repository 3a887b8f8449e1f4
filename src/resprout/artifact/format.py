"""The model folder: all that is needed to recommend.

`model.json` says what the model is, `tables.safetensors` has its deployed arrays as `TABLE.KIND`,
`network.safetensors` the weights outside of tables, if there are any, and
`interactions.safetensors` what each user has already, the outside ids, and the items' names if there are any.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resprout import __version__
from resprout.artifact.files import Arrays, write_json, write_tensors
from resprout.artifact.folder import replacing, whole
from resprout.artifact.manifest import (
    AGAIN,
    FORMAT,
    MANIFEST,
    VERSION,
    BackboneEntry,
    BytesEntry,
    FileEntry,
    Manifest,
    TableEntry,
    read_manifest,
)
from resprout.artifact.source import Source
from resprout.budget import ROWS_A_START, MemoryUse, Shape, length_bytes, mask_row_bytes
from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.errors import DataError, RunError
from resprout.kernels import select
from resprout.kernels.contract import (
    BIT_STEPS,
    Backend,
    Mask,
    PackedHalfRows,
    PackedInt8Rows,
    PackedRows,
    PrefixRows,
    row_slots,
    starts_of,
)
from resprout.tables.bits import BitsTable, even, row_bytes
from resprout.tables.dense import DenseTable
from resprout.tables.packed import PackedTable
from resprout.tables.planes import PlanesTable
from resprout.tables.prefix import PrefixTable
from resprout.tables.quantised import Float16Table, Int8Table, PackedFloat16Table, PackedInt8Table
from resprout.tables.table import Table

TABLES = "tables.safetensors"
INTERACTIONS = "interactions.safetensors"
NETWORK = "network.safetensors"


@dataclass(frozen=True, eq=False)
class ModelParts:
    """A model, apart from the code of its backbone.

    options: the backbone's, as plain values. histories: what training knew; a graph backbone smooths over it, and the
    items in it are not recommended again. network: weights outside of tables, by name. item_names: one text an item
    row, any sequence of them; becomes a `pyarrow.StringArray`. about: plain values that go along, such as
    {"dataset": "gowalla", "method": "dsl"}.
    """

    backbone: str
    options: Mapping[str, Any]
    tables: Mapping[str, Table]
    histories: Histories
    user_ids: IdMap
    item_ids: IdMap
    network: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    item_names: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.item_names is not None:
            object.__setattr__(self, "item_names", pa.array(self.item_names, type=pa.string()))
        known = {"users": len(self.user_ids), "items": len(self.item_ids)}
        needed = {"users": self.histories.n_users, "items": self.histories.n_items}
        if known != needed:
            raise DataError(f"histories of {needed} with ids of {known}: expected as many")
        if self.item_names is not None and len(self.item_names) != known["items"]:
            raise DataError(f"{len(self.item_names)} item names for {known['items']} items: expected one for each")

    def deployed(self) -> MemoryUse:
        """Bytes by kind of the tables, index included."""
        return sum((table.memory(training=False) for table in self.tables.values()), MemoryUse())


def save_model(folder: Path, parts: ModelParts) -> None:
    """Nothing; the model comes to lie in `folder`, in the place of an older one, in one step.

    Raises RunError if `folder` holds anything else than a model, or cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} holds something else than a model: name another folder for it, or move that away")
    with replacing(folder) as part:
        write_tensors(part / TABLES, _table_arrays(parts.tables), {"format": FORMAT})
        write_tensors(part / INTERACTIONS, _interaction_arrays(parts), {"format": FORMAT})
        names = [TABLES, INTERACTIONS]
        if parts.network:
            write_tensors(part / NETWORK, parts.network, {"format": FORMAT})
            names.append(NETWORK)
        files = {name: _file_entry(part / name) for name in names}
        write_json(part / MANIFEST, _manifest_of(parts, files).model_dump())


def load_model(folder: Path, backend: Backend | None = None, verify: bool = True) -> ModelParts:
    """The model in `folder`; its arrays are read-only views of the mapped files.

    backend: of the tables' kernels, by default the one that `kernels.select` chooses. verify: whether SHA-256 sums are
    checked, which reads the files once; sizes, shapes and offsets always are. Raises RunError for a folder that is
    missing, incomplete, damaged, or of a later version of the library.
    """
    folder = whole(folder)
    manifest = read_manifest(folder)
    has_network = NETWORK in manifest.files
    for name in (TABLES, INTERACTIONS, *([NETWORK] if has_network else [])):
        _check_file(folder / name, manifest.files.get(name), verify)
    tables = Source(folder / TABLES)
    chosen = backend or select.choose().backend
    histories, ids, names = _interactions(Source(folder / INTERACTIONS), manifest)
    try:
        return ModelParts(
            backbone=manifest.backbone.name,
            options=manifest.backbone.options,
            tables={entry.name: _table(entry, tables, chosen, folder / MANIFEST) for entry in manifest.tables},
            histories=histories,
            user_ids=IdMap.from_arrays(ids["user_ids"]),
            item_ids=IdMap.from_arrays(ids["item_ids"]),
            network=dict(Source(folder / NETWORK).arrays) if has_network else {},
            item_names=names,
            about=manifest.about,
        )
    except DataError as error:
        raise RunError(f"{folder / INTERACTIONS} is damaged: {error}; {AGAIN}") from error


def _table_arrays(tables: Mapping[str, Table]) -> Arrays:
    return {f"{name}.{kind}": array for name, table in tables.items() for kind, array in table.arrays(False).items()}


def _interaction_arrays(parts: ModelParts) -> Arrays:
    arrays: Arrays = {"histories.starts": parts.histories.starts, "histories.items": parts.histories.items}
    for prefix, ids in (("user_ids", parts.user_ids), ("item_ids", parts.item_ids)):
        arrays |= {f"{prefix}.{kind}": array for kind, array in ids.arrays().items()}
    if parts.item_names is not None:
        encoded = [name.encode() for name in parts.item_names.to_pylist()]
        arrays["item_names.text"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays["item_names.ends"] = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    return arrays


def _manifest_of(parts: ModelParts, files: dict[str, FileEntry]) -> Manifest:
    deployed = parts.deployed()
    return Manifest(
        format=FORMAT,
        version=VERSION,
        library_version=__version__,
        backbone=BackboneEntry(name=parts.backbone, options=dict(parts.options)),
        tables=[_table_entry(name, table) for name, table in parts.tables.items()],
        n_users=len(parts.user_ids),
        n_items=len(parts.item_ids),
        deployed_bytes=BytesEntry(total=deployed.total, by_kind=dict(deployed.bytes_by_kind)),
        about=dict(parts.about),
        files=files,
    )


def _table_entry(name: str, table: Table) -> TableEntry:
    kinds: dict[Any, str] = {kind: kind.storage for kind in STORAGES}
    return TableEntry(
        name=name, rows=table.shape.rows, width=table.shape.width, storage=kinds[type(table)], slots=table.slots
    )


def _file_entry(path: Path) -> FileEntry:
    try:
        with path.open("rb") as file:
            return FileEntry(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_file(path: Path, entry: FileEntry | None, verify: bool) -> None:
    if entry is None:
        raise RunError(f"{path.parent / MANIFEST} is damaged: it does not name {path.name}; {AGAIN}")
    if not path.is_file():
        raise RunError(f"{path} is missing from the model; {AGAIN}")
    if path.stat().st_size != entry.bytes:
        raise RunError(f"{path} has {path.stat().st_size:,} bytes where {entry.bytes:,} were written; {AGAIN}")
    if verify and _file_entry(path) != entry:
        raise RunError(f"{path} is not what was written: its SHA-256 sum is not that in {MANIFEST}; {AGAIN}")


def _table(entry: TableEntry, source: Source, backend: Backend, manifest: Path) -> Table:
    readers = {kind.storage: read for kind, read in STORAGES.items()}
    if entry.storage not in readers:
        raise RunError(
            f"{manifest}: table {entry.name!r} has the storage {entry.storage!r}; resprout {__version__} knows "
            f"{', '.join(readers)}: upgrade with pip install -U resprout"
        )
    return readers[entry.storage](entry, source, backend)


def _dense_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.rows, entry.width), np.float32)
    return DenseTable(_shape(entry), values, backend)


def _packed_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.slots,), np.float32)
    return PackedTable(_shape(entry), PackedRows(*_index(entry, source), values), backend)


def _packed_int8_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.slots,), np.int8)
    return PackedInt8Table(
        _shape(entry), PackedInt8Rows(*_index(entry, source), values, _codes(entry, source)), backend
    )


def _packed_float16_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    bits = source.take(f"{entry.name}.bits", (entry.slots,), np.uint16)
    return PackedFloat16Table(_shape(entry), PackedHalfRows(*_index(entry, source), bits), backend)


def _prefix_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.slots,), np.float32)
    kind = np.uint8 if length_bytes(entry.width) == 1 else np.uint16
    lengths = source.take(f"{entry.name}.lengths", (entry.rows,), kind)
    if lengths.max(initial=0) > entry.width:
        raise source.damaged(f"table {entry.name!r} has rows that are longer than its width")
    starts = _starts(entry, source, lengths, "lengths")
    return PrefixTable(_shape(entry), PrefixRows(lengths, starts, values), backend)


def _index(entry: TableEntry, source: Source) -> tuple[Mask, NDArray[Any]]:
    """Mask and starts of a packed table."""
    piece = np.uint8 if entry.width <= 8 else np.uint16
    pieces = mask_row_bytes(entry.width) // np.dtype(piece).itemsize
    mask = source.take(f"{entry.name}.mask", (entry.rows, pieces), piece)
    return mask, _starts(entry, source, row_slots(mask), "mask")


def _starts(entry: TableEntry, source: Source, slots: NDArray[Any], of: str) -> NDArray[Any]:
    """The starts of rows that have so many slots, of which it is certain that they are those."""
    blocks = -(-entry.rows // ROWS_A_START)
    starts = source.take(f"{entry.name}.starts", (blocks + 1,), np.int32, np.int64)
    source.check_offsets(f"{entry.name}.starts", starts, entry.slots)
    # One slot more in a row than the starts have, and a kernel reads beyond the values.
    if not np.array_equal(starts, starts_of(slots, wide=True)):
        raise source.damaged(f"the {of} and the starts of table {entry.name!r} do not agree")
    return starts


def _shape(entry: TableEntry) -> Shape:
    return Shape(entry.name, entry.rows, entry.width)


def _int8_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.rows, entry.width), np.int8)
    return Int8Table(_shape(entry), values, _codes(entry, source), backend)


def _float16_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    values = source.take(f"{entry.name}.values", (entry.rows, entry.width), np.float16)
    return Float16Table(_shape(entry), values, backend)


def _bits_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    planes = source.take(f"{entry.name}.planes", (entry.rows, None), np.uint8)
    bits, rest = divmod(planes.shape[1], row_bytes(1, entry.width))
    if rest or not 1 <= bits <= len(BIT_STEPS):
        raise source.damaged(f"table {entry.name!r} has {planes.shape[1]} bytes a row for {entry.width} weights")
    return BitsTable(_shape(entry), planes, _codes(entry, source), *even(bits, entry.width), backend)


def _planes_table(entry: TableEntry, source: Source, backend: Backend) -> Table:
    planes = source.take(f"{entry.name}.planes", (entry.rows, None), np.uint8)
    bits = source.take(f"{entry.name}.bits", (entry.width,), np.uint8)
    spread = source.take(f"{entry.name}.spread", (entry.width,), np.float32)
    # One bit more than a row has room for, and a kernel reads beyond the planes.
    if (
        bits.sum(dtype=np.int64) > 8 * planes.shape[1]
        or bits.max() > len(BIT_STEPS)
        or (np.diff(bits.astype(int)) > 0).any()
    ):
        raise source.damaged(f"the bits of the columns of table {entry.name!r} do not fit its rows")
    return PlanesTable(_shape(entry), planes, _codes(entry, source), bits, spread, backend)


def _codes(entry: TableEntry, source: Source) -> NDArray[np.uint8]:
    return source.take(f"{entry.name}.codes", (entry.rows,), np.uint8)


STORAGES: dict[Any, Callable[[TableEntry, Source, Backend], Table]] = {
    DenseTable: _dense_table,
    PackedTable: _packed_table,
    PackedInt8Table: _packed_int8_table,
    PackedFloat16Table: _packed_float16_table,
    PrefixTable: _prefix_table,
    Int8Table: _int8_table,
    Float16Table: _float16_table,
    BitsTable: _bits_table,
    PlanesTable: _planes_table,
}


def _interactions(source: Source, manifest: Manifest) -> tuple[Histories, dict[str, Arrays], Any]:
    """Histories, the two id maps as arrays, and the item names or None."""
    items = source.take("histories.items", (None,), np.int32)
    starts = source.take("histories.starts", (manifest.n_users + 1,), np.int64)
    source.check_offsets("histories.starts", starts, len(items))
    if len(items) and not 0 <= items.min() <= items.max() < manifest.n_items:
        raise source.damaged(f"its histories name items outside 0..{manifest.n_items - 1}")
    ids = {
        "user_ids": _id_arrays(source, "user_ids", manifest.n_users),
        "item_ids": _id_arrays(source, "item_ids", manifest.n_items),
    }
    names = None
    if "item_names.text" in source.arrays:
        texts = _text_arrays(source, "item_names", manifest.n_items)
        starts_of_names = np.concatenate([[0], texts["ends"]]).astype(np.int32)
        names = pa.StringArray.from_buffers(
            manifest.n_items, pa.py_buffer(starts_of_names), pa.py_buffer(texts["text"])
        )
    return Histories(starts, items, manifest.n_items), ids, names


def _id_arrays(source: Source, prefix: str, count: int) -> Arrays:
    if f"{prefix}.text" in source.arrays:
        return _text_arrays(source, prefix, count)
    return {"ids": source.take(f"{prefix}.ids", (count,), np.int64)}


def _text_arrays(source: Source, prefix: str, count: int) -> Arrays:
    text = source.take(f"{prefix}.text", (None,), np.uint8)
    ends = source.take(f"{prefix}.ends", (count,), np.int64)
    if count:
        source.check_offsets(f"{prefix}.ends", ends, len(text))
    return {"text": text, "ends": ends}
