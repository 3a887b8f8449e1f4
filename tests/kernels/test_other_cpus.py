"""The kernels as Numba compiles them for CPUs that this machine stands in for, in a process of their own."""

import os
import platform
import subprocess
import sys
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
for width in (8, 129):
    test_sums.test_sums_at_every_width(cpu_numba, "packed", width)
    for kind in ("int8", "half", "bits", "packed int8", "packed half", "prefix"):
        test_sums.test_sums_at_every_width(cpu_numba, kind, width)
    test_sampled_dots.test_products_at_every_width(cpu_numba, "packed", width)
test_sums.test_reads_at_every_width(cpu_numba, "packed", 33)
test_adam.test_packed_steps_are_the_papers(cpu_numba, 33, np.int32)
"""


@pytest.mark.parametrize("cpu", CPUS)
def test_sums_products_and_adam_on(cpu: str, tmp_path: Path) -> None:
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": CPUS[cpu], "NUMBA_CACHE_DIR": str(tmp_path)}
    environment = os.environ | target | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", CHECKS.format(avx2=cpu == "haswell")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
