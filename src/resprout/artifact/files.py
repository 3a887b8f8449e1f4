"""Files written whole or not at all, and tensors read from disk without a copy (safetensors; no pickle).

A safetensors file is: the length of a header, 8 bytes little-endian; the header, JSON, which gives for each name
`{"dtype": "F32", "shape": [rows, width], "data_offsets": [begin, end]}` and may hold texts under `__metadata__`; then
the arrays side by side, without gaps, little-endian and in C order. Offsets count from the end of the header.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from numpy.typing import NDArray

from resprout.errors import RunError

Arrays = dict[str, NDArray[Any]]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "U16": np.dtype("<u2"), "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"), "I64": np.dtype("<i8"), "F64": np.dtype("<f8"),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_ABOUT = "__metadata__"
_LENGTH_BYTES = 8
_CACHE_LINE = 64


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str]) -> None:
    """Nothing; the arrays and the texts `about` them come to lie in a safetensors file at `path`, in one step.

    No array is copied unless it is not C-contiguous. Raises RunError if the file cannot be written; what was at `path`
    is there until the new file is complete.
    """
    ordered = sorted(arrays.items(), key=_alignment)
    header: dict[str, Any] = {_ABOUT: dict(about)} if about else {}
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        dtype = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % _CACHE_LINE)

    def write(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
        file.write(text)
        for _, array in ordered:
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            file.write(little.reshape(-1).view(np.uint8).data)

    write_whole(path, write)


def read_tensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a safetensors file by name, and the texts about them.

    The arrays are read-only views of the mapped file: nothing is read before it is used, and processes share one copy.
    Raises RunError for a file that is missing, cut short, or not a safetensors file.
    """
    try:
        size = path.stat().st_size
        content = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    header, begin = _header(path, content)
    about = header.pop(_ABOUT, {})
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise _foreign(path, f"{_ABOUT} is not a list of texts by name")
    _check_cover(path, header, begin, len(content))
    return {name: _view(path, name, entry, content[begin:]) for name, entry in header.items()}, about


def write_text(path: Path, text: str) -> None:
    """Nothing; `text` comes to lie in the UTF-8 file `path`, in one step. Raises RunError if it cannot be written."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Nothing; `value` comes to lie in the JSON file `path`, in one step. Raises RunError if it cannot be written."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; RunError if the file is missing or not JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not a JSON file: {error}") from error


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Nothing; what `write` puts into the file that it is given comes to lie at `path`, in one step.

    A kill before the end leaves `path` as it was, and a hidden `.NAME.PID.part` beside it. Raises RunError if the file
    cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Removes what kills have left half-written under `folder`, whose only writer this process must be."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Nothing; what goes wrong with the disk while `path` is written becomes a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def making_output(folder: Path) -> Iterator[None]:
    """Nothing; what goes wrong with the disk while an output folder is made becomes a RunError with the way out."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"output folder {folder} cannot be written to: {error.strerror or error}; name another with --out"
        ) from error


def sync_folder(folder: Path) -> None:
    """Nothing; the names in `folder` come to be on the disk, as fsync of a file does for its content."""
    if os.name == "nt":  # Windows opens no folders, and writes names at once
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alignment(named: tuple[str, NDArray[Any]]) -> tuple[bool, int, str]:
    """Sort key: whole cache lines first, then large items, so that every array begins where its items are aligned."""
    name, array = named
    return array.nbytes % _CACHE_LINE != 0, -array.dtype.itemsize, name


def _header(path: Path, content: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays begin."""
    begin = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES].tobytes(), "little")
    if len(content) <= _LENGTH_BYTES or content[_LENGTH_BYTES] != ord("{"):
        raise _foreign(path, "it does not begin with a header")
    if begin > len(content):
        raise _cut_short(path, len(content), begin)
    try:
        header = json.loads(content[_LENGTH_BYTES:begin].tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise _foreign(path, f"its header is not JSON: {error}") from error
    for name, entry in header.items():
        if name != _ABOUT and not _is_entry(entry):
            raise _foreign(path, f"its header says of {name!r}: {str(entry)[:200]}")
    return header, begin


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str) or entry["dtype"] not in DTYPES:
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        return False
    return bool(offsets[1] - offsets[0] == math.prod(shape) * DTYPES[entry["dtype"]].itemsize)


def _are_counts(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_cover(path: Path, header: Mapping[str, Any], begin: int, size: int) -> None:
    """RunError unless the arrays lie side by side, without a gap, from byte `begin` of the file to its `size`."""
    end = begin
    for first, last in sorted(entry["data_offsets"] for entry in header.values()):
        if begin + first != end:
            raise _foreign(path, f"its arrays leave a gap or overlap at byte {end:,}")
        end = begin + last
    if end > size:
        raise _cut_short(path, size, end)
    if end < size:
        raise _foreign(path, f"{size - end:,} bytes follow the last array")


def _view(path: Path, name: str, entry: Mapping[str, Any], content: NDArray[np.uint8]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    # A plain array over the map: numpy's own class for mapped arrays makes every slice and kernel call slower.
    view = content[begin:end].view(np.ndarray).view(DTYPES[entry["dtype"]])
    try:
        array = view.reshape(entry["shape"])
    except ValueError as error:
        raise _foreign(path, f"array {name!r} has the shape {entry['shape']}") from error
    # Other writers may place arrays at any byte; kernels need aligned ones.
    aligned: NDArray[Any] = np.require(array, requirements="A")
    aligned.flags.writeable = False
    return aligned


def _cut_short(path: Path, size: int, expected: int) -> RunError:
    return RunError(f"{path} is cut short: {size:,} bytes where its header needs {expected:,}; copy it again")


def _foreign(path: Path, reason: str) -> RunError:
    return RunError(f"{path} is not a safetensors file, or a broken one: {reason}")
