"""What the benchmarks share: Gowalla, peers in processes of their own, alternating timings, and floors."""

import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from resprout.backbones.backbone import Backbone
from resprout.data import load
from resprout.data.histories import Histories
from resprout.data.split import TRAIN
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start
from resprout.tables.table import Table
from resprout.training.optimizer import Optimizer
from resprout.training.settings import TrainingSettings

RATE = 1e-3
PAUSE, WARM_UP = 0.05, 0.05
PEERS = Path(__file__).parent / "peers"
# `import resprout` sets GOMP_SPINCOUNT for itself, and a shell may hold OpenBLAS to the code of an older CPU: peers
# run with what their authors' users have.
_NOT_FOR_PEERS = ("GOMP_", "OMP_", "OPENBLAS_", "MKL_")


def gowalla() -> Histories:
    """The train part of Gowalla."""
    if "RESPROUT_DATA" not in os.environ:
        sys.exit("set RESPROUT_DATA to the folder that holds gowalla/")
    dataset = load("gowalla")
    assert dataset.parts is not None
    return dataset.interactions.select(dataset.parts == TRAIN).histories()


def tables_of(
    backbone: type[Backbone], options: Any, histories: Histories, density: float | None, whole: str = "dense"
) -> dict[str, Table]:
    """The tables of a backbone, packed at a density, or whole, in that storage."""
    shapes = backbone.shapes(options, histories.n_users, histories.n_items)
    slots = [] if density is None else [int(density * shape.weights) for shape in shapes]
    storage = whole if density is None else "packed"
    return build_tables(shapes, storage, slots, Start("normal", 0.1, 0), False, choose().backend)


class Stepper:
    """Does one training step after the other, always on the same batch."""

    def __init__(self, model: Backbone, batch: Any) -> None:
        self.model, self.batch, self.count = model, batch, 0
        self._optimizer = Optimizer(model, TrainingSettings())

    def step(self) -> float:
        self.count += 1
        loss = self.model.loss(self.batch)
        value = loss.item()
        loss.backward()
        self._optimizer.update(RATE, self.count)
        self.model.clear_gradient()
        return value


def step_timers(steppers: Mapping[float | None, Stepper]) -> dict[str, Callable[[], float]]:
    """What times a step of the dense table (None), and of packed ones by density."""
    return {
        "dense table" if density is None else f"dsl at {density}": partial(seconds_of, stepper.step)
        for density, stepper in steppers.items()
    }


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes each array to FOLDER/NAME.npy, for a peer."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max())


class Peer:
    """A process that is kept alive, so that its start does not count; it answers each line with one line."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self.version = self._answer()

    def ask(self, request: str) -> str:
        self._requests.write(request + "\n")
        self._requests.flush()
        return self._answer()

    def seconds(self, request: str) -> float:
        """The first word of the answer, where that is a time."""
        return float(self.ask(request).split()[0])

    def _answer(self) -> str:
        line = self._answers.readline().strip()
        if not line:
            sys.exit("the peer's process ended early; its own message is above")
        return line


@contextmanager
def peer(command: list[str | Path], variables: Mapping[str, str] | None = None) -> Iterator[Peer]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_PEERS)}
    environment |= variables or {}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Peer(process.stdin, process.stdout)
        finally:
            process.stdin.close()


def peer_python(peer_folder: Path) -> Path:
    """The interpreter of a peer's own environment, which is made when its requirements are new.

    Those of requirements-no-deps.txt, if there is one, are installed without what they ask for themselves.
    """
    folder = peer_folder / ".venv"
    python = folder / "bin" / "python"
    done = folder / "installed.txt"
    files = {"requirements.txt": [], "requirements-no-deps.txt": ["--no-deps"]}
    found = {peer_folder / name: options for name, options in files.items() if (peer_folder / name).exists()}
    wanted = "".join(file.read_text() for file in found)
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        for file, options in found.items():
            subprocess.run([python, "-m", "pip", "install", "--quiet", *options, "-r", file], check=True)
        done.write_text(wanted)
    return python


def seconds_of(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def alternate(timers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median seconds by name; the timers take turns, so that a slower machine slows them all.

    Each turn begins with a pause, for the threads of whoever ran before go on spinning for milliseconds on the cores
    that are to be timed, and with calls that do not count, until threads that slept have a core of their own again.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            while True:
                timer()
                if time.perf_counter() - begin > WARM_UP:
                    break
            seconds[name].append(timer())
    for name, values in seconds.items():
        print(f"  {name:44s} {1e3 * np.median(values):9.2f} ms   ({1e3 * min(values):.2f} to {1e3 * max(values):.2f})")
    return {name: float(np.median(values)) for name, values in seconds.items()}


def floor(what: str, value: float, bound: float, at_least: bool) -> bool:
    """Prints the value beside its floor; whether it holds."""
    holds = value >= bound if at_least else value <= bound
    sign = ">=" if at_least else "<="
    print(f"  {'holds' if holds else 'MISSED'}: {what}: {value:.3g} (floor {sign} {bound:g})")
    return holds


def gate(what: str, error: float, bound: float) -> None:
    """Ends the benchmark unless the results agree: nothing is timed that is not right."""
    if not error <= bound:
        sys.exit(f"not timed: {what} differ by {error:.2e}, allowed {bound:.0e}")
    print(f"  correct: {what} agree to {error:.1e}")
