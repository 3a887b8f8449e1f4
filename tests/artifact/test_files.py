import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from resprout.artifact.files import DTYPES, read_json, read_tensors, write_json, write_tensors, write_text
from resprout.errors import RunError

ARRAYS: dict[str, NDArray[Any]] = {
    "one byte": np.arange(7, dtype=np.uint8),
    "words": np.arange(15, dtype=np.uint16).reshape(5, 3),
    "weights": np.linspace(-1, 1, 64 * 16, dtype=np.float32).reshape(64, 16),
    "none": np.empty((0, 4), np.int64),
    "scalar": np.array(2.5),
    "transposed": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    "big endian": np.arange(5, dtype=">i4"),
}


def is_mapped(array: NDArray[Any]) -> bool:
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    return base is not None


def written(folder: Path) -> Path:
    path = folder / "x.safetensors"
    write_tensors(path, ARRAYS, {"format": "tést"})
    return path


def broken(folder: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this header (text, or anything for JSON) before the data."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path = folder / "broken.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    arrays, about = read_tensors(written(tmp_path))
    assert about == {"format": "tést"}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(arrays[name], array, strict=array.dtype.isnative)


def test_the_safetensors_library_reads_what_is_written_and_the_other_way_round(tmp_path):
    theirs = safetensors.numpy.load_file(written(tmp_path))
    native = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items() if array.dtype.isnative}
    for name, array in native.items():
        np.testing.assert_array_equal(theirs[name].reshape(array.shape), array)
    safetensors.numpy.save_file(native, tmp_path / "theirs.safetensors", {"by": "them"})
    arrays, about = read_tensors(tmp_path / "theirs.safetensors")
    assert about == {"by": "them"}
    assert all(np.array_equal(arrays[name], array) for name, array in native.items())


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(tmp_path, name):
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(DTYPES[name])
    write_tensors(tmp_path / "x", {"a": array}, {})
    arrays, about = read_tensors(tmp_path / "x")
    np.testing.assert_array_equal(arrays["a"], array, strict=True)
    assert about == {}


def test_no_arrays_at_all(tmp_path):
    write_tensors(tmp_path / "x", {}, {})
    assert read_tensors(tmp_path / "x") == ({}, {})


def test_arrays_are_mapped_read_only_and_aligned(tmp_path):
    arrays, _ = read_tensors(written(tmp_path))
    for name, array in arrays.items():
        assert is_mapped(array), name
        assert array.flags.aligned, name
        assert not array.flags.writeable, name
        assert type(array) is np.ndarray
    assert arrays["weights"].ctypes.data % 64 == 0


def test_arrays_that_another_writer_left_unaligned_are_aligned(tmp_path):
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    data = b"\x07" + np.array([1.5, -2], "<f4").tobytes()
    path = broken(tmp_path, header, data)
    path.rename(tmp_path / "odd")
    array = read_tensors(tmp_path / "odd")[0]["b"]
    assert array.tolist() == [1.5, -2]
    assert array.flags.aligned
    assert not array.flags.writeable


def test_reading_takes_no_memory_before_the_arrays_are_used(tmp_path):
    size = 200 << 20
    write_tensors(tmp_path / "x", {"a": np.ones(size // 4, np.float32)}, {})
    process = psutil.Process()
    before = process.memory_info().rss
    arrays, _ = read_tensors(tmp_path / "x")
    after = process.memory_info().rss
    assert arrays["a"].nbytes == size
    assert after - before < size / 20


@pytest.mark.parametrize("kept", [0, 3, 8, 40, 300, -1])
def test_a_file_that_is_cut_short(tmp_path, kept):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunError, match=r"x\.safetensors is (cut short|not a safetensors file)"):
        read_tensors(path)


def test_a_cut_names_the_bytes_that_are_there_and_those_that_should_be(tmp_path):
    path = written(tmp_path)
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(RunError, match=f"cut short: {size - 1:,} bytes where its header needs {size:,}"):
        read_tensors(path)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "header",
    [
        "{]",
        "[1]",
        '{"a": "\\ud800',
        {"a": 1},
        {"a": {}},
        {"a": ENTRY | {"dtype": "F4"}},
        {"a": ENTRY | {"dtype": ["F32"]}},
        {"a": ENTRY | {"shape": [3]}},
        {"a": ENTRY | {"shape": [-2]}},
        {"a": ENTRY | {"shape": [2.0]}},
        {"a": ENTRY | {"shape": 2}},
        {"a": ENTRY | {"data_offsets": [8, 0]}},
        {"a": ENTRY | {"data_offsets": [0, 4, 8]}},
        {"a": ENTRY | {"data_offsets": [4, 12]}},
        {"a": ENTRY, "b": ENTRY},
        {"__metadata__": ENTRY, "a": ENTRY},
        {"__metadata__": [], "a": ENTRY},
        {"a": ENTRY | {"shape": [0, 2**70], "data_offsets": [0, 0]}},
        {"a": ENTRY | {"shape": [1], "data_offsets": [0, 4]}},
    ],
)
def test_a_header_that_is_not_to_be_trusted(tmp_path, header):
    with pytest.raises(RunError, match=r"broken\.safetensors is not a safetensors file, or a broken one: "):
        read_tensors(broken(tmp_path, header, bytes(8)))


def test_offsets_beyond_the_end_are_never_read(tmp_path):
    header = {"a": {"dtype": "U8", "shape": [2**50], "data_offsets": [0, 2**50]}}
    with pytest.raises(RunError, match="is cut short"):
        read_tensors(broken(tmp_path, header, bytes(8)))


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(200), b"user,item\n1,2\n3,4\n", bytes(64), b"\xff" * 64])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RunError, match="other is not a safetensors file"):
        read_tensors(path)


def test_a_file_that_is_not_there(tmp_path):
    for read in (read_tensors, read_json):
        with pytest.raises(RunError, match="nothing cannot be read: No such file"):
            read(tmp_path / "nothing")
        with pytest.raises(RunError, match=f"{tmp_path.name} cannot be read: Is a directory"):
            read(tmp_path)


def test_json_and_text(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"ß": [1, None, 0.1]})
    assert read_json(tmp_path / "deep" / "a.json") == {"ß": [1, None, 0.1]}
    write_text(tmp_path / "a.txt", "ß\n")
    assert (tmp_path / "a.txt").read_bytes() == "ß\n".encode()
    for content in (b"{'a': 1}", b"\xff", b"[" * 100_000):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(RunError, match=r"bad\.json is not a JSON file"):
            read_json(tmp_path / "bad.json")


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="folder cannot be written: Is a directory"):
        write_text(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = written(tmp_path)
    old = path.read_bytes()
    with pytest.raises(KeyError):
        write_tensors(path, {"a": np.array([None])}, {})
    assert path.read_bytes() == old
    write_tensors(path, {"a": np.ones(2)}, {})
    assert read_tensors(path)[0]["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = written(tmp_path)
    old = path.read_bytes()
    code = (
        "import os, sys; from pathlib import Path; from resprout.artifact import files\n"
        "files.write_whole(Path(sys.argv[1]), lambda file: (file.write(b'new'), file.flush(), os.kill(os.getpid(), 9)))"
    )
    done = subprocess.run([sys.executable, "-c", code, path])
    assert done.returncode == -9
    assert path.read_bytes() == old


def test_what_is_mapped_outlives_its_replacement(tmp_path):
    path = written(tmp_path)
    arrays, _ = read_tensors(path)
    write_tensors(path, {"weights": np.zeros((1, 1), np.float32)}, {})
    np.testing.assert_array_equal(arrays["weights"], ARRAYS["weights"])


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_then(tmp_path, monkeypatch):
    synced, replace = [], Path.replace

    def note(handle):
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")

    def noting(self, target):
        synced.append("name given")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", noting)
    write_text(tmp_path / "x", "text")
    assert synced == ["content", "name given", "folder"]
