"""Files over HTTP that arrive whole or not at all: resumed, retried, checked, and safe against a second process."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock

from resprout.errors import DataError

# Called with the bytes that have arrived and their total, None where the server does not say.
Progress = Callable[[int, int | None], None]

_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: mirrors to try in order, and its SHA-256 and size where they are known."""

    urls: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None


def fetch(
    wanted: Wanted, target: Path, *, progress: Progress | None = None, attempts: int = 3, backoff_seconds: float = 0.5
) -> Path:
    """The path `target` once the file is there and checked; an existing `target` is taken as it is.

    The bytes go to `<target>.part`, which the next call resumes if the server still has the same file (If-Range), and
    which is renamed at the end. Each URL is tried `attempts` times, with pauses that double. Raises DataError that says
    URL, cause and the way out.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"):  # which the system takes back from a process that ends
            if not target.exists():
                _fetch_any(wanted, target, progress, attempts, backoff_seconds)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    return target


def _fetch_any(wanted: Wanted, target: Path, progress: Progress | None, attempts: int, backoff_seconds: float) -> None:
    failures = []
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client:
        for url in wanted.urls:
            failure = _fetch_one(client, url, wanted, target, progress, attempts, backoff_seconds)
            if failure is None:
                return
            failures.append(f"{url}: {failure}")
    raise DataError(
        f"{target.name} could not be downloaded ({'; '.join(failures)}). Download it by hand to {target}, "
        f"or set RESPROUT_DATA to a folder that has {target.parent.name}/{target.name}"
    )


def _fetch_one(
    client: httpx.Client,
    url: str,
    wanted: Wanted,
    target: Path,
    progress: Progress | None,
    attempts: int,
    backoff_seconds: float,
) -> str | None:
    """None if `target` is there now, else what went wrong at the last attempt."""
    part = _Part(target)
    failure = "no attempt was made"
    for attempt in range(attempts):
        if attempt:
            time.sleep(backoff_seconds * 2 ** (attempt - 1))
        try:
            _receive(client, url, part, progress)
        except httpx.HTTPStatusError as error:
            failure = f"the server answered {error.response.status_code}"
            if error.response.status_code not in _WORTH_RETRYING:
                return failure
            continue
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = f"{type(error).__name__}: {error}"
            continue
        wrong = _difference(part.path, wanted)
        if wrong is None:
            part.finish()
            return None
        failure = wrong
        part.discard()
    return f"{failure} (attempt {attempts} of {attempts})"


class _Part:
    """The bytes of a download so far, and which version of the file they belong to."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._version_path = target.with_name(target.name + ".part.version")

    def resume_headers(self) -> dict[str, str]:
        """The headers that ask for the rest; none if there is nothing to resume or no way to tell the version."""
        if self.size() and self._version_path.exists():
            return {"Range": f"bytes={self.size()}-", "If-Range": self._version_path.read_text()}
        return {}

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def restart(self, version: str | None) -> None:
        self.discard()
        if version is not None:
            self._version_path.write_text(version)

    def finish(self) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._version_path.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version_path.unlink(missing_ok=True)


def _receive(client: httpx.Client, url: str, part: _Part, progress: Progress | None) -> None:
    """Brings the part file to its end, or raises httpx.HTTPError with what arrived so far kept."""
    # Compressed transfer would make sizes and ranges those of another byte sequence.
    headers = {"Accept-Encoding": "identity", **part.resume_headers()}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.discard()
            raise httpx.RemoteProtocolError("the server has fewer bytes than the part file; starting again")
        response.raise_for_status()
        begin = _range_start(response)
        if begin is None:
            part.restart(_version(response))
        elif begin != part.size():
            part.discard()
            raise httpx.RemoteProtocolError(
                f"asked for bytes from {part.size()}, got them from {begin}; starting again"
            )
        length = response.headers.get("Content-Length", "")
        total = part.size() + int(length) if length.isdecimal() else None
        with part.path.open("ab") as file:
            # No chunk size: with one, the bytes that came before a cut would wait for the chunk to fill, and be lost.
            for chunk in response.iter_bytes():
                file.write(chunk)
                if progress is not None:
                    progress(file.tell(), total)


def _range_start(response: httpx.Response) -> int | None:
    """The first byte of a partial answer, None for a whole one."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return None
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else -1


def _version(response: httpx.Response) -> str | None:
    """What If-Range may hold: a strong ETag, else the date of the last change."""
    etag: str = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _difference(path: Path, wanted: Wanted) -> str | None:
    size = path.stat().st_size
    if wanted.size is not None and size != wanted.size:
        return f"{size:,} bytes arrived, expected {wanted.size:,}"
    if wanted.sha256 is None:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == wanted.sha256 else f"the checksum is {found}, expected {wanted.sha256}"
