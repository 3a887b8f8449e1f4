"""What both sides of the comparison of epochs answer to, line by line on standard input.

- `batches`: the number of batches of an epoch;
- `check FOLDER`: the losses of `CHECKED_STEPS` steps on one batch, as JSON. Our side first writes its weights to
  FOLDER/weights.npz, pairs to pairs.npz and the batch to batch.npz, RecBole's takes them from there; both write the
  scores of the pairs to scores.npy;
- `steps N`: seconds and mean loss of going N batches on, by each side's own trainer over its own batches;
- `peak`: the peak resident set size in bytes.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

CHECKED_STEPS = 4


class Side(Protocol):
    """A model with its trainer and its batches."""

    def __len__(self) -> int: ...

    def check(self, folder: Path) -> str: ...

    def steps(self, count: int) -> str: ...


def answer(side: Side, version: str, peak_bytes: Callable[[], int], out: IO[str]) -> None:
    """Says the version, then answers each line with one line until there are no more."""
    print(version, file=out, flush=True)
    requests: dict[str, Callable[..., object]] = {
        "batches": lambda: len(side),
        "check": lambda folder: side.check(Path(folder)),
        "steps": lambda count: side.steps(int(count)),
        "peak": peak_bytes,
    }
    for line in sys.stdin:
        what, *rest = line.split()
        print(requests[what](*rest), file=out, flush=True)
