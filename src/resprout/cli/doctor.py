"""`resprout doctor`: what resprout finds on this machine, and what is wrong with it."""

import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import typer

_LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "pyarrow", "safetensors", "pydantic")
_VECTOR_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "neon", "sve")
_LITTLE_MEMORY = 2**30


class Finding(NamedTuple):
    """A line of the report; `problem` says what is wrong and the way out, or is empty."""

    name: str
    value: str
    problem: str = ""


def doctor() -> None:
    """Show versions, hardware, the kernel backend and data folders; exit code 1 if something is wrong."""
    from rich.markup import escape
    from rich.table import Table

    from resprout.cli.tables import output

    findings = [*_software(), *_hardware(), *_kernels(), *_folders()]
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(finding.name, escape(finding.value))
    output().print(table)
    problems = [finding.problem for finding in findings if finding.problem]
    for problem in problems:
        typer.echo(f"wrong: {problem}")
    if problems:
        raise typer.Exit(1)
    typer.echo("all is well")


def _software() -> list[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    from resprout import __version__

    found = [Finding("resprout", __version__), Finding("python", f"{sys.version.split()[0]} on {platform.platform()}")]
    for library in _LIBRARIES:
        try:
            found.append(Finding(library, version(library)))
        except PackageNotFoundError:
            found.append(Finding(library, "missing", f"{library} is not installed: install resprout again with pip"))
    return found


def _hardware() -> list[Finding]:
    import psutil
    from llvmlite import binding
    from rich.filesize import decimal

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    host = binding.get_host_cpu_features()
    vectors = [feature for feature in _VECTOR_FEATURES if host.get(feature)]
    free = psutil.virtual_memory().available
    little = f"only {decimal(free)} of memory are free: end other programs" if free < _LITTLE_MEMORY else ""
    return [
        Finding("processor", f"{binding.get_host_cpu_name()}, {usable} usable of {os.cpu_count()} cores"),
        Finding("vector instructions", ", ".join(vectors) or "none known to resprout"),
        Finding("free memory", decimal(free), little),
    ]


def _kernels() -> list[Finding]:
    import numba
    import numpy as np

    from resprout.errors import SettingsError
    from resprout.kernels import select
    from resprout.kernels.contract import DenseRows, Links, NoRows

    try:
        choice = select.choose()
    except SettingsError as error:
        return [Finding("kernel backend", "none", str(error))]
    links = Links(np.array([0, 2, 3]), np.array([0, 2, 1], dtype=np.int32), np.array([1, 2, 3], dtype=np.float32))
    rows = np.arange(48, dtype=np.float32).reshape(3, 16)
    sums = np.empty((2, 16), dtype=np.float32)
    choice.backend.sum_links(links, 0, DenseRows(rows), NoRows(), 1.0, sums)
    right = np.array_equal(sums, np.stack([rows[0] + 2 * rows[2], 3 * rows[1]]))
    wrong = "" if right else f"backend {choice.name} computes wrong sums: set RESPROUT_BACKEND=reference and report it"
    found = [Finding("kernel backend", f"{choice.name} ({choice.reason})", wrong)]
    if choice.name == "cpu_numba":
        layer = f"{numba.threading_layer()}, {numba.get_num_threads()} threads"  # type: ignore[attr-defined]
        found.append(Finding("threading layer", layer))
    return found


def _folders() -> list[Finding]:
    from resprout.cli.data import place_of
    from resprout.data.known import DATA_VARIABLE, KNOWN, cache_folder

    given = os.environ.get(DATA_VARIABLE)
    problem = ""
    if given and not Path(given).expanduser().is_dir():
        problem = f"{DATA_VARIABLE} is {given}, which is no folder: correct or unset it"
    here = [one.name for one in KNOWN.values() if place_of(one) != "not here"]
    cache = cache_folder()
    return [
        Finding(DATA_VARIABLE, given or "not set", problem),
        Finding("cache", str(cache), _why_unwritable(cache)),
        Finding("data sets here", ", ".join(here)),
    ]


def _why_unwritable(folder: Path) -> str:
    """Why no file can be made in a folder, or in the nearest one above it that exists; empty if one can."""
    existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return f"the cache {folder} cannot be written to ({error.strerror}): set RESPROUT_CACHE to another folder"
