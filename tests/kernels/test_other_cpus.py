"""The kernels as Numba compiles them for CPUs that this machine stands in for, in a process of their own."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HASWELL = "+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+cx16,+f16c,+fma,+lzcnt,+popcnt,+sse4.1,+sse4.2,+ssse3"
CPUS = {"generic": ""} | ({"haswell": HASWELL} if platform.machine() in ("x86_64", "AMD64") else {})

CHECKS = """
import numpy as np
import test_adam, test_sampled_dots, test_sums
from resprout.kernels import cpu_numba
from resprout.kernels.cpu_numba.lanes import target_has

assert not target_has("avx512f")
assert target_has("avx2") == {avx2}
for kind in ("int8", "half", "bfloat16", "bits", "packed int8", "packed half", "prefix"):
    test_sums.test_reads_at_every_width(cpu_numba, kind, 40)
for width in (8, 129):
    test_sums.test_sums_at_every_width(cpu_numba, "packed", width)
for kind, width in (("dense", 129), ("packed", 40)):
    test_sums.test_sums_in_bfloat16(cpu_numba, kind, width)
for width in (8, 129):
    test_sampled_dots.test_products_at_every_width(cpu_numba, "packed", width)
    test_sums.test_few_links_of_many_rows(cpu_numba, "packed", width)
test_sums.test_reads_at_every_width(cpu_numba, "packed", 33)
test_adam.test_packed_steps_are_the_papers(cpu_numba, 33, np.int32)
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One a CPU, side by side: most of what they do is compiling."""
    started = {cpu: process_on(cpu, tmp_path_factory.mktemp(cpu)) for cpu in CPUS}
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def process_on(cpu: str, cache: Path) -> subprocess.Popen[str]:
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": CPUS[cpu], "NUMBA_CACHE_DIR": str(cache)}
    environment = os.environ | target | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", CHECKS.format(avx2=cpu == "haswell")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("cpu", CPUS)
def test_sums_products_and_adam_on(cpu: str, processes: dict[str, subprocess.Popen[str]]) -> None:
    printed, _ = processes[cpu].communicate(timeout=300)
    assert processes[cpu].returncode == 0, printed
