import hashlib
import multiprocessing
import socket

import pytest

from resprout.data.download import Wanted, fetch
from resprout.errors import DataError

CONTENT = bytes(range(256)) * 4_000
OTHER = bytes(reversed(CONTENT))
PATH = "/set/file.bin"


@pytest.fixture
def wanted(file_server):
    file_server.files[PATH] = CONTENT
    return Wanted((file_server.url("set/file.bin"),), hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "set" / "file.bin"


def quick(wanted, target, **options):
    return fetch(wanted, target, backoff_seconds=0.001, **options)


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_whole_file_at_once(file_server, wanted, target):
    seen = []
    assert quick(wanted, target, progress=lambda done, total: seen.append((done, total))) == target
    assert target.read_bytes() == CONTENT
    assert visible(target.parent) == ["file.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(file_server.requests) == 1


def test_an_existing_file_is_not_fetched(file_server, wanted, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    quick(wanted, target)
    assert target.read_bytes() == b"mine"
    assert not file_server.requests


def test_a_cut_connection_is_resumed_where_it_broke(file_server, wanted, target):
    file_server.faults = ["cut", "cut"]
    seen = []
    quick(wanted, target, progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert [request.get("Range") for request in file_server.requests] == [
        None,
        f"bytes={len(CONTENT) // 2}-",
        f"bytes={len(CONTENT) * 3 // 4}-",
    ]
    assert file_server.requests[1]["If-Range"] == file_server.etag(PATH)
    assert {total for _, total in seen} == {len(CONTENT)}


def test_the_next_call_resumes(file_server, wanted, target):
    file_server.faults = ["cut"]
    with pytest.raises(DataError, match="RemoteProtocolError"):
        quick(wanted, target, attempts=1)
    assert visible(target.parent) == ["file.bin.part", "file.bin.part.version"]
    quick(wanted, target, attempts=1)
    assert target.read_bytes() == CONTENT
    assert file_server.requests[1]["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert visible(target.parent) == ["file.bin"]


def test_a_server_without_ranges_is_read_from_the_start(file_server, wanted, target):
    file_server.ranges = False
    file_server.faults = ["cut"]
    quick(wanted, target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_is_read_from_the_start(file_server, wanted, target):
    file_server.files[PATH] = OTHER
    file_server.faults = ["cut"]
    with pytest.raises(DataError):
        quick(wanted, target, attempts=1)
    file_server.files[PATH] = CONTENT
    quick(wanted, target, attempts=1)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ['W/"weak"', ""])
def test_without_a_version_nothing_is_resumed(file_server, wanted, target, etag):
    file_server.etags[PATH] = etag
    file_server.faults = ["cut"]
    quick(wanted, target)
    assert target.read_bytes() == CONTENT
    assert "Range" not in file_server.requests[1]


def test_a_part_that_is_too_long_is_thrown_away(file_server, wanted, target):
    target.parent.mkdir(parents=True)
    target.with_name("file.bin.part").write_bytes(CONTENT + b"more")
    target.with_name("file.bin.part.version").write_text(file_server.etag(PATH))
    quick(wanted, target)
    assert target.read_bytes() == CONTENT


def test_a_wrong_range_is_not_glued_on(file_server, wanted, target):
    file_server.faults = ["cut", "wrong range"]
    quick(wanted, target)
    assert target.read_bytes() == CONTENT


def test_corrupt_bytes_are_fetched_again(file_server, wanted, target):
    file_server.faults = ["corrupt"]
    quick(wanted, target)
    assert target.read_bytes() == CONTENT
    assert len(file_server.requests) == 2


def test_bytes_that_stay_corrupt_never_arrive(file_server, wanted, target):
    file_server.faults = ["corrupt"] * 3
    with pytest.raises(DataError, match=f"the checksum is [0-9a-f]+, expected {wanted.sha256} .attempt 3 of 3"):
        quick(wanted, target)
    assert visible(target.parent) == []


def test_a_wrong_size_is_refused(file_server, wanted, target):
    file_server.files[PATH] = CONTENT[:-1]
    with pytest.raises(DataError, match="1,023,999 bytes arrived, expected 1,024,000"):
        quick(wanted, target)
    assert not target.exists()


@pytest.mark.parametrize("status", ["500", "503", "429"])
def test_server_errors_are_retried(file_server, wanted, target, status):
    file_server.faults = [status, status]
    quick(wanted, target)
    assert target.read_bytes() == CONTENT
    file_server.faults = [status] * 3
    target.unlink()
    with pytest.raises(DataError, match=rf"the server answered {status} \(attempt 3 of 3\)"):
        quick(wanted, target)


def test_a_missing_file_is_not_asked_for_twice(file_server, wanted, target):
    file_server.files.clear()
    with pytest.raises(DataError) as caught:
        quick(wanted, target)
    message = str(caught.value)
    assert f"{wanted.urls[0]}: the server answered 404" in message
    assert f"Download it by hand to {target}" in message
    assert "set RESPROUT_DATA to a folder that has set/file.bin" in message
    assert len(file_server.requests) == 1


def test_the_second_mirror_is_tried(file_server, wanted, target):
    mirrors = Wanted((file_server.url("gone"), *wanted.urls), wanted.sha256, wanted.size)
    quick(mirrors, target)
    assert target.read_bytes() == CONTENT


def test_nobody_listens(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(DataError, match=f"{url}: ConnectError"):
            quick(Wanted((url,)), target)


def test_a_folder_that_cannot_be_written(wanted, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        quick(wanted, tmp_path / "file" / "set" / "file.bin")


def _fetch_in_process(wanted, target):
    fetch(wanted, target)


def test_two_processes_at_once(file_server, wanted, target):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fetch_in_process, args=(wanted, target)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert len(file_server.requests) == 1
