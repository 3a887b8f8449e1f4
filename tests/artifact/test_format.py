import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from resprout import catalog
from resprout.artifact.files import read_tensors, write_tensors
from resprout.artifact.format import load_model, save_model
from resprout.budget import Shape
from resprout.data.idmap import IdMap
from resprout.errors import DataError, RunError
from resprout.evaluation.evaluate import rank
from resprout.kernels import reference
from resprout.kernels.select import choose
from resprout.tables.dense import DenseTable

STORAGES = ["dense", "packed", "packed_int8", "packed_float16", "prefix", "int8", "float16", "bits3", "planes5"]
MODELS = [(backbone, storage) for backbone in ("mf", "lightgcn") for storage in STORAGES]


def top_20(parts):
    kind = catalog.load_backbone(parts.backbone)
    model = kind(kind.Options(**parts.options), parts.tables, parts.histories)
    return rank(model.scorer(), np.arange(parts.histories.n_users, dtype=np.int32), parts.histories, 20)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite(folder: Path, name: str, **changes: Any) -> None:
    """Replaces arrays of a file (None: removes it) and makes the manifest agree."""
    arrays, about = read_tensors(folder / name)
    arrays |= {key.replace("__", "."): value for key, value in changes.items()}
    write_tensors(folder / name, {key: array for key, array in arrays.items() if array is not None}, about)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"][name]["bytes"] = (folder / name).stat().st_size
    edit(folder, **manifest)


@pytest.mark.parametrize(("backbone", "storage"), MODELS)
@pytest.mark.parametrize("width", [5, 12, 64])
def test_a_model_comes_back_bit_for_bit(tmp_path, make_parts, backbone, storage, width):
    saved = make_parts(backbone, storage, width)
    save_model(tmp_path / "model", saved)
    loaded = load_model(tmp_path / "model")
    assert (loaded.backbone, loaded.options, loaded.about) == (saved.backbone, saved.options, saved.about)
    assert loaded.tables.keys() == saved.tables.keys()
    for name, table in saved.tables.items():
        assert type(loaded.tables[name]) is type(table)
        assert loaded.tables[name].shape == table.shape
        assert loaded.tables[name].slots == table.slots
        arrays = loaded.tables[name].arrays(training=False)
        assert arrays.keys() == table.arrays(training=False).keys()
        for kind, array in table.arrays(training=False).items():
            np.testing.assert_array_equal(arrays[kind], array, strict=True)
    np.testing.assert_array_equal(loaded.histories.starts, saved.histories.starts, strict=True)
    np.testing.assert_array_equal(loaded.histories.items, saved.histories.items, strict=True)
    assert loaded.user_ids == saved.user_ids
    assert loaded.item_ids == saved.item_ids
    assert loaded.item_names.equals(saved.item_names)


@pytest.mark.parametrize(("backbone", "storage"), MODELS)
@pytest.mark.parametrize("backend", [None, reference])
def test_a_loaded_model_ranks_as_before(tmp_path, make_parts, backbone, storage, backend):
    saved = make_parts(backbone, storage)
    save_model(tmp_path / "model", saved)
    items, scores = top_20(saved)
    loaded_items, loaded_scores = top_20(load_model(tmp_path / "model", backend))
    np.testing.assert_array_equal(loaded_items, items)
    np.testing.assert_allclose(loaded_scores, scores, rtol=1e-4, atol=1e-5)
    if backend is None:
        np.testing.assert_array_equal(loaded_scores, scores)


def test_ids_of_integers_or_text_and_models_without_names(tmp_path, make_parts):
    numbers, texts = IdMap(np.array([-(2**62), 0, *range(5, 33)])), IdMap.of(f"item {i} ✓" for i in range(45))
    save_model(tmp_path / "model", make_parts(user_ids=numbers, item_ids=texts, item_names=None))
    loaded = load_model(tmp_path / "model")
    assert loaded.user_ids == numbers
    assert loaded.item_ids == texts
    assert loaded.item_names is None


@pytest.mark.parametrize(("backbone", "storage"), MODELS)
def test_deployed_bytes_are_those_of_the_arrays(tmp_path, make_parts, backbone, storage):
    save_model(tmp_path / "model", make_parts(backbone, storage))
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    arrays, _ = read_tensors(tmp_path / "model" / "tables.safetensors")
    by_kind = manifest["deployed_bytes"]["by_kind"]
    masked = {"mask", "starts"}
    kinds = {
        "packed": {*masked, "values"}, "packed_int8": {*masked, "values", "codes"},
        "packed_float16": {*masked, "bits"}, "prefix": {"lengths", "starts", "values"}, "int8": {"values", "codes"},
        "bits3": {"planes", "codes"}, "planes5": {"planes", "codes", "bits", "spread"},
    }  # fmt: skip
    assert by_kind.keys() == kinds.get(storage, {"values"})
    for kind, size in by_kind.items():
        assert size == sum(array.nbytes for name, array in arrays.items() if name.endswith(f".{kind}"))
    assert manifest["deployed_bytes"]["total"] == sum(array.nbytes for array in arrays.values())
    if storage == "packed":
        weights = 75 * 12  # users and items, whatever the tables
        slots = sum(table["slots"] for table in manifest["tables"])
        starts = sum(-(-table["rows"] // 8) + 1 for table in manifest["tables"])
        assert slots == sum(table["rows"] * table["width"] // 3 for table in manifest["tables"]) < weights / 2
        assert manifest["deployed_bytes"]["total"] == 4 * slots + 4 * starts + 75 * 2


def test_moments_of_training_are_not_deployed(tmp_path, make_parts):
    parts = make_parts()
    for table in parts.tables.values():
        assert table.arrays(training=True).keys() >= {"moment_1", "moment_2"}
    save_model(tmp_path / "model", parts)
    arrays, _ = read_tensors(tmp_path / "model" / "tables.safetensors")
    assert {name.partition(".")[2] for name in arrays} == {"mask", "starts", "values"}


def test_a_narrow_table_of_a_wider_backbone(tmp_path, make_parts):
    parts = make_parts("mf", "dense")
    tables = {
        name: DenseTable(Shape(name, rows, 3), np.ones((rows, 3), np.float32), choose().backend)
        for name, rows in (("user", 30), ("item", 45))
    }
    save_model(tmp_path / "model", make_parts("mf", "dense", tables=tables))
    loaded = load_model(tmp_path / "model")
    assert loaded.options == parts.options
    assert {table.shape.width for table in loaded.tables.values()} == {3}


@pytest.mark.parametrize("storage", STORAGES)
def test_loaded_arrays_are_mapped_and_read_only(tmp_path, make_parts, storage):
    save_model(tmp_path / "model", make_parts("mf", storage))
    loaded = load_model(tmp_path / "model")
    arrays = [array for table in loaded.tables.values() for array in table.arrays(training=False).values()]
    for array in [*arrays, loaded.histories.items, loaded.histories.starts, loaded.item_ids.ids]:
        assert not array.flags.writeable
        base: Any = array
        while not isinstance(base, np.memmap):
            base = base.base
            assert base is not None


def test_loading_takes_no_memory_for_the_tables(tmp_path, make_parts):
    wide = {
        name: DenseTable(Shape(name, rows, 1 << 20), np.ones((rows, 1 << 20), np.float32), choose().backend)
        for name, rows in (("user", 30), ("item", 45))
    }
    size = 4 * 75 << 20
    save_model(tmp_path / "model", make_parts("mf", "dense", tables=wide))
    del wide
    before = psutil.Process().memory_info().rss
    loaded = load_model(tmp_path / "model")
    after = psutil.Process().memory_info().rss
    assert loaded.deployed().total == size
    assert after - before < size / 20


@pytest.mark.parametrize("name", ["tables.safetensors", "interactions.safetensors"])
def test_a_flipped_bit_a_cut_and_a_missing_file(tmp_path, make_parts, name):
    parts = make_parts()
    save_model(tmp_path / "model", parts)
    path = tmp_path / "model" / name
    content = bytearray(path.read_bytes())
    weights = parts.tables["user"].arrays(training=False)["values"].tobytes()
    content[content.index(weights if name.startswith("tables") else "Naïve".encode())] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"{name} is not what was written: its SHA-256.*train again"):
        load_model(tmp_path / "model")
    load_model(tmp_path / "model", verify=False)
    os.truncate(path, len(content) - 1)
    with pytest.raises(RunError, match=f"{name} has .* bytes where {len(content):,} were written"):
        load_model(tmp_path / "model", verify=False)
    path.unlink()
    with pytest.raises(RunError, match=f"{name} is missing from the model"):
        load_model(tmp_path / "model")


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(
        RunError, match=r"nowhere is not a model folder: it has no model\.json; name the folder of a run"
    ):
        load_model(tmp_path / "nowhere")
    for content in ("[]", "{}", '{"format": "onnx", "version": 1}'):
        (tmp_path / "model.json").write_text(content)
        with pytest.raises(RunError, match=r"model\.json does not describe a model: expected the format"):
            load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": "resprout')
    with pytest.raises(RunError, match=r"model\.json is not a JSON file"):
        load_model(tmp_path)


def test_a_model_of_a_later_version(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts())
    edit(tmp_path / "model", version=5, library_version="9.9", tables="in another form")
    with pytest.raises(RunError, match=r"model\.json has version 5 .*resprout 9\.9; .*pip install -U resprout"):
        load_model(tmp_path / "model")


def test_a_key_that_a_later_library_adds_is_passed_over(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts())
    edit(tmp_path / "model", added_later=[1])
    assert load_model(tmp_path / "model").backbone == "mf"


def test_an_unknown_storage(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts())
    table = {"name": "user", "rows": 30, "width": 20, "slots": 600, "storage": "ternary"}
    edit(tmp_path / "model", tables=[table])
    with pytest.raises(
        RunError,
        match=r"model\.json: table 'user' has the storage 'ternary'; .* dense, .*float16, bits, planes: upgrade",
    ):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"n_users": "30"}, "n_users"),
        ({"n_users": -1}, "n_users"),
        ({"backbone": {"name": "mf"}}, r"backbone\.options"),
        ({"tables": [{"name": "user"}]}, r"tables\.0\.rows"),
        ({"version": None}, "version"),
    ],
)
def test_a_damaged_manifest(tmp_path, make_parts, changes, place):
    save_model(tmp_path / "model", make_parts())
    edit(tmp_path / "model", **changes)
    with pytest.raises(RunError, match=rf"model\.json is damaged: {place}: "):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("storage", "version", "is_read"),
    [
        ("dense", 1, True), ("packed", 1, False), ("packed", 2, True), ("prefix", 2, False), ("prefix", 3, True),
        ("int8", 3, False), ("packed_int8", 3, False), ("int8", 4, True),
    ],
)  # fmt: skip
def test_models_of_before_are_read_unless_their_tables_lay_otherwise(tmp_path, make_parts, storage, version, is_read):
    save_model(tmp_path / "model", make_parts(storage=storage))
    edit(tmp_path / "model", version=version)
    if is_read:
        assert load_model(tmp_path / "model").backbone == "mf"
    else:
        said = rf"model\.json has {storage} tables as they lay in version {version} of the format, .*: train again"
        with pytest.raises(RunError, match=said):
            load_model(tmp_path / "model")


def test_a_manifest_that_names_no_tables_file(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts())
    edit(tmp_path / "model", files={})
    with pytest.raises(RunError, match=r"model\.json is damaged: it does not name tables\.safetensors"):
        load_model(tmp_path / "model")


STARTS = np.arange(0, 201, 50, np.int32)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("tables", {"user__values": None}, "no array 'user.values'"),
        ("tables", {"user__values": np.zeros(199, np.float32)}, r"float32 \[199\], expected float32 \[200\]"),
        ("tables", {"user__values": np.zeros(200)}, "float64 .* expected float32"),
        ("tables", {"user__mask": np.zeros((30, 2), np.uint16)}, "do not agree"),
        ("tables", {"user__mask": np.zeros((30, 3), np.uint16)}, r"expected uint16 \[30, 2\]"),
        ("tables", {"user__starts": STARTS}, "do not agree"),
        ("tables", {"user__starts": STARTS[::-1].copy()}, "does not ascend to 200"),
        ("tables", {"user__starts": STARTS + 1}, "does not ascend to 200"),
        ("interactions", {"histories__starts": np.arange(31)}, "does not ascend"),
        ("interactions", {"histories__items": np.full(5, 45, np.int32)}, "does not ascend"),
        ("interactions", {"item_ids__ids": np.zeros(45, np.int64)}, "must ascend without repetition"),
        ("interactions", {"item_ids__ids": np.zeros(44, np.int64)}, r"expected int64 \[45\]"),
        ("interactions", {"user_ids__ends": np.full(30, 10**6)}, "does not ascend"),
        ("interactions", {"item_names__ends": np.full(45, 10**6)}, "does not ascend"),
    ],
)
def test_arrays_that_do_not_fit_never_reach_a_kernel(tmp_path, make_parts, name, changes, reason):
    save_model(tmp_path / "model", make_parts(width=20))
    rewrite(tmp_path / "model", f"{name}.safetensors", **changes)
    with pytest.raises(RunError, match=rf"{name}\.safetensors is damaged: .*{reason}"):
        load_model(tmp_path / "model", verify=False)


@pytest.mark.parametrize(
    ("length", "reason"), [(21, "has rows that are longer"), (20, "do not agree"), (0, "do not agree")]
)
def test_rows_of_more_columns_than_there_are(tmp_path, make_parts, length, reason):
    save_model(tmp_path / "model", make_parts(storage="prefix", width=20))
    rewrite(tmp_path / "model", "tables.safetensors", user__lengths=np.full(30, length, np.uint8))
    with pytest.raises(RunError, match=rf"tables\.safetensors is damaged: .*'user' {reason}"):
        load_model(tmp_path / "model", verify=False)


@pytest.mark.parametrize(
    "bits", [[8] * 20, [9, *[0] * 19], [1, 2, *[0] * 18]], ids=["more than a row has", "more than 8", "not falling"]
)
def test_columns_of_more_bits_than_their_rows_have(tmp_path, make_parts, bits):
    save_model(tmp_path / "model", make_parts("mf", "planes5", width=20))
    rewrite(tmp_path / "model", "tables.safetensors", user__bits=np.array(bits, np.uint8))
    with pytest.raises(
        RunError, match=r"tables\.safetensors is damaged: the bits of the columns of table 'user' do not"
    ):
        load_model(tmp_path / "model", verify=False)


def test_rows_of_bits_of_another_length(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts("mf", "bits3", width=20))
    rewrite(tmp_path / "model", "tables.safetensors", user__planes=np.zeros((30, 8), np.uint8))
    with pytest.raises(RunError, match=r"damaged: table 'user' has 8 bytes a row for 20 weights"):
        load_model(tmp_path / "model", verify=False)


def test_histories_of_unknown_items(tmp_path, make_parts):
    parts = make_parts()
    save_model(tmp_path / "model", parts)
    items = np.full(len(parts.histories.items), 45, np.int32)
    rewrite(tmp_path / "model", "interactions.safetensors", histories__items=items)
    with pytest.raises(RunError, match=r"histories name items outside 0\.\.44"):
        load_model(tmp_path / "model", verify=False)


def test_parts_that_do_not_belong_together(make_parts):
    with pytest.raises(DataError, match=r"'users': 30.*'users': 29"):
        make_parts(user_ids=IdMap.numbered(29))
    with pytest.raises(DataError, match="1 item names for 45 items"):
        make_parts(item_names=["one"])


def test_a_model_replaces_a_model_but_nothing_else(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts(seed=1))
    old = load_model(tmp_path / "model")
    before = top_20(old)[1]
    save_model(tmp_path / "model", make_parts(seed=2))
    assert load_model(tmp_path / "model").about["seed"] == 2
    np.testing.assert_array_equal(top_20(old)[1], before)
    (tmp_path / "empty").mkdir()
    save_model(tmp_path / "empty", make_parts())
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter 1").write_text("In the beginning")
    with pytest.raises(RunError, match="thesis holds something else than a model"):
        save_model(tmp_path / "thesis", make_parts())
    with pytest.raises(RunError, match="chapter 1 holds something else"):
        save_model(tmp_path / "thesis" / "chapter 1", make_parts())
    assert (tmp_path / "thesis" / "chapter 1").read_text() == "In the beginning"


def test_a_save_that_fails_or_is_killed_leaves_the_old_model(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts(seed=1))
    with pytest.raises(TypeError):
        save_model(tmp_path / "model", make_parts(seed=2, about={"not JSON": object}))
    assert load_model(tmp_path / "model").about["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    code = (
        "import os, sys; from pathlib import Path; from resprout.artifact import format as module\n"
        "module.write_json = lambda *_: os.kill(os.getpid(), 9); folder = Path(sys.argv[1])\n"
        "module.save_model(folder, module.load_model(folder))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "model"])
    assert done.returncode == -9
    assert load_model(tmp_path / "model").about["seed"] == 1


def test_a_model_whose_writer_was_killed_between_its_renames_is_found(tmp_path, make_parts):
    save_model(tmp_path / "model", make_parts(seed=1))
    (tmp_path / "model").rename(tmp_path / ".model.old")
    assert load_model(tmp_path / "model").about["seed"] == 1
