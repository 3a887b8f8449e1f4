from types import ModuleType

import pytest

from resprout.kernels import cpu_numba, reference


@pytest.fixture(params=[reference, cpu_numba], ids=["reference", "cpu_numba"])
def backend(request: pytest.FixtureRequest) -> ModuleType:
    return request.param
