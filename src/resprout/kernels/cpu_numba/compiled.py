"""Tells `kernels.compiling` when Numba compiles: what it finds on disk, and loads, makes no such event."""

from numba.core.event import Event, Listener, register

from resprout.kernels import compiling


class _Listener(Listener):
    def on_start(self, event: Event) -> None:
        compiling.begin()

    def on_end(self, event: Event) -> None:
        compiling.end()


def watch() -> None:
    """From now on it is told."""
    register("numba:compile", _Listener())  # type: ignore[no-untyped-call]
