"""The demo as a user types it: seconds from the command to its table and recommendations, installation apart.

python -m benchmarks.demo
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import floor

FLOOR_SECONDS = 120
METHODS = ("dense", "narrow", "random", "dsl", "resprout")


def main() -> bool:
    print("the demo, from the command to its end")
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [Path(sys.executable).with_name("resprout"), "demo", "--out", Path(folder) / "demo"]
        begin = time.perf_counter()
        shown = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
    rows = {line.split()[0] for line in shown.stdout.splitlines() if line.strip()}
    if shown.returncode or not rows.issuperset(METHODS) or "recommended" not in shown.stdout:
        sys.exit(f"not timed: the demo ended with {shown.returncode}\n{shown.stdout}{shown.stderr}")
    print("  correct: it compares five methods and recommends")
    return floor("seconds", seconds, FLOOR_SECONDS, at_least=False)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
