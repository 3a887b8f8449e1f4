"""All benchmarks, one after the other; exit code 1 if a floor is missed."""

import sys

from benchmarks import demo, epochs, lightgcn, mf, multvae, resprout, top_k, train_memory, ultragcn

ALL = (demo, lightgcn, mf, multvae, resprout, ultragcn, top_k, train_memory, epochs)

results = [benchmark.main() for benchmark in ALL]
sys.exit(0 if all(results) else 1)
