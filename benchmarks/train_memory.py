"""Peak resident memory of `resprout train` on Gowalla, dsl at 10 %, above the interpreter with its imports, by kind.

RESPROUT_DATA=... python -m benchmarks.train_memory
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import floor, gate

N_USERS, N_ITEMS, WIDTH, LINKS = 29_858, 40_981, 64, 810_128
BASE = """
import resprout.training.run, resprout.backbones.lightgcn, resprout.methods.dsl, resprout.kernels.cpu_numba, torch
from resprout.training.memory import peak_bytes
print(peak_bytes())
"""
TRAIN = """
import sys
from pathlib import Path
from resprout.training import run
from resprout.training.observers import Observer
from resprout.training.settings import assignments, resolve
run.start(resolve(assignments(sys.argv[2:])), Path(sys.argv[1]), Observer())
"""
SETTINGS = [
    "data.source=gowalla", "backbone.name=lightgcn", "method.name=dsl", "budget.limit=10%", "method.regrow_every=100",
    "training.epochs=2", "training.batch_size=2048",
]  # fmt: skip


def main() -> bool:
    print("peak memory of training on Gowalla, LightGCN, width 64, dsl at 10 %, batch 2,048")
    base = int(run(BASE))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        run(TRAIN, str(folder), *SETTINGS)
        result = json.loads((folder / "result.json").read_text())
    weights = (N_USERS + N_ITEMS) * WIDTH
    gate("slots and a tenth of the weights", abs(result["budget"]["slots"] - weights // 10), 0)
    above = result["cost"]["peak_rss_bytes"] - base
    kinds = {f"table: {kind}": size for kind, size in result["cost"]["table_bytes"].items()}
    kinds |= {
        "graph: links both ways, with weights": 2 * LINKS * 8 + 8 * (N_USERS + N_ITEMS),
        "smoothing: two buffers of nodes x width, bfloat16": 2 * weights * 2,
        "interactions: users, items and parts": 1_027_370 * 9,
        "ranking: one block of scores and its bests": 4 * 1024 * 8192,
        "smoothed for ranking: result and one buffer, float32": 2 * weights * 4,
    }
    for kind, size in {"interpreter with imports": base, "above it": above}.items():
        print(f"  {kind:54s} {size / 1e6:9.1f} MB")
    for kind, size in kinds.items():
        print(f"    {kind:52s} {size / 1e6:9.1f} MB")
    print(f"    {'rest: compiled kernels, copies while reading':52s} {(above - sum(kinds.values())) / 1e6:9.1f} MB")
    block = 4 * N_USERS * N_ITEMS
    return floor("peak above imports by a users x items block", above / block, 0.1, at_least=False)


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
