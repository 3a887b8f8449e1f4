"""When this process compiles kernels: once on a machine, so that no run's costs have it, and a user wants to know.

Backends say when they begin and end; what they find compiled on disk counts for nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Compiling:
    def __init__(self) -> None:
        self.depth, self.since, self.seconds = 0, 0.0, 0.0
        self.told: Callable[[], None] | None = None


_state = _Compiling()


def begin() -> None:
    """A backend begins to compile something, maybe within what it compiles already."""
    if _state.depth == 0:
        _state.since = time.perf_counter()
        if _state.told is not None:
            _state.told()
    _state.depth += 1


def end() -> None:
    """It has done so."""
    _state.depth -= 1
    if _state.depth == 0:
        _state.seconds += time.perf_counter() - _state.since


def seconds() -> float:
    """How long this process has compiled so far."""
    return _state.seconds


@contextmanager
def telling(told: Callable[[], None]) -> Iterator[None]:
    """Calls `told` whenever something begins to be compiled meanwhile."""
    before, _state.told = _state.told, told
    try:
        yield
    finally:
        _state.told = before
