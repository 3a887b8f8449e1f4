"""Where the runs of a study are trained: options for it, and how all of them are stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resprout.study.folder import StudyFolder
    from resprout.study.runner import Workers


class Cluster(StrEnum):
    """Kinds of cluster."""

    RAY = "ray"


Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Runs side by side.  [default: 1; on a cluster, as many as it has room for]"),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of each run.  [default: the cores shared out; on a cluster, 1]")
]
OnCluster = Annotated[
    Cluster | None, typer.Option(help="Train on the Ray cluster that runs here, or that RAY_ADDRESS names.")
]


def workers_of(folder: "StudyFolder", jobs: int | None, threads: int | None, cluster: Cluster | None) -> "Workers":
    """Who trains; SettingsError if there is no such cluster."""
    if cluster is None:
        from resprout.study.processes import Processes

        return Processes(folder, jobs or 1, threads)
    from resprout.study.cluster import RayCluster

    return RayCluster(folder, jobs, threads or 1)


@contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Ctrl-C and SIGTERM, which reach this process alone, end in a KeyboardInterrupt that says how to go on."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on") from None
    finally:
        signal.signal(signal.SIGTERM, before)
