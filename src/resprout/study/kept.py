"""Ended runs in a file that outlives their folders, for a study that goes on elsewhere: what its reports need.

JSON Lines, a run each, in the order of their keys: settings, environment and result as they are, and packed (deflated,
in base64) the records by epoch and the monitored metric of single users. What is not kept is the model, and with it
where its slots are.

A run is found by the key of its settings as they are resolved now, so that one which was kept before there was some
option counts as having had its default.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from resprout.artifact.files import read_json, write_json, write_text
from resprout.errors import RunError, SettingsError
from resprout.evaluation.evaluate import UserMetrics
from resprout.study.planned import run_key
from resprout.training.folder import RunFolder
from resprout.training.settings import resolve


class KeptRuns:
    """The runs in these files, by key; of two of a key the first. RunError for a line that is not a run."""

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self._lines: dict[str, tuple[str, str]] = {}  # where each stands, for errors, and the line
        for path in files:
            for number, line in enumerate(_lines_of(path), 1):
                where = f"{path}, line {number}"
                self._lines.setdefault(_key_of(line, where), (where, line))

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def restore(self, key: str, path: Path) -> None:
        """Makes a run folder, without split and model, at `path`, where there must be nothing."""
        where, line = self._lines[key]
        kept, run = json.loads(line), RunFolder(path)
        write_text(run.settings_file, tomli_w.dumps(kept["settings"]))
        write_json(run.environment, kept["environment"])
        write_text(run.metrics, _unpacked(kept["records"], where).decode())
        if kept["users"] is not None:
            steps, values = (_unpacked(kept["users"][name], where) for name in ("steps", "values"))
            users = np.cumsum(np.frombuffer(steps, "<i4"), dtype=np.int32)
            metric = np.frombuffer(values, "<f4").astype(np.float64)
            run.write_users(UserMetrics(users, {kept["users"]["metric"]: metric}))
        write_json(run.result, kept["result"])


def keep_runs(runs: Iterable[RunFolder], path: Path) -> int:
    """Puts ended runs into a file, beside those that it has; how many are new to it."""
    lines = {_key_of(line, f"{path}, line {number}"): line for number, line in enumerate(_lines_of(path), 1)}
    # not the key of a folder, which may be of before some option
    found = {run_key(run.settings()): run for run in runs}
    new = {key: json.dumps(_kept(key, run)) for key, run in found.items() if key not in lines}
    if new:
        write_text(path, "".join(f"{line}\n" for _, line in sorted((lines | new).items())))
    return len(new)


def _kept(key: str, run: RunFolder) -> dict[str, Any]:
    settings = run.settings()
    users = None
    if run.users.exists():
        metrics, name = run.read_users(), settings.training.monitor
        steps = np.diff(metrics.users, prepend=0)  # from user to user: nearly all are 1
        values = metrics.values[name].astype("<f4")
        users = {"metric": name, "steps": _packed(steps.astype("<i4").tobytes()), "values": _packed(values.tobytes())}
    return {
        "key": key,
        "settings": settings.sections,
        "environment": read_json(run.environment),
        "records": _packed(run.metrics.read_bytes()),
        "users": users,
        "result": run.read_result(),
    }


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"kept runs {path} cannot be read: {error}") from error


def _key_of(line: str, where: str) -> str:
    """The key that the run of a line has now; the one that it was kept with, if its settings are not valid any more."""
    try:
        content = json.loads(line)
        key, missing = content["key"], {"settings", "environment", "records", "users", "result"} - set(content)
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{where}: not a kept run ({error}); `resprout study keep` writes such lines") from error
    if missing or not isinstance(key, str) or not isinstance(content["settings"], dict):
        wanted = ", ".join(sorted(missing)) or "a text as its key, and sections as its settings"
        raise RunError(f"{where}: a kept run has {wanted}")
    try:
        return run_key(resolve(content["settings"]))
    except SettingsError:
        return key


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _unpacked(text: str, where: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text))
    except (ValueError, TypeError, zlib.error) as error:
        raise RunError(
            f"{where}: a kept run is damaged ({error}): take the line out, and it is trained again"
        ) from error
