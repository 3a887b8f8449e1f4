"""All benchmarks, one after the other; exit code 1 if a floor is missed."""

import sys

from benchmarks import epochs, lightgcn, mf, top_k, train_memory

sys.exit(0 if all([lightgcn.main(), mf.main(), top_k.main(), train_memory.main(), epochs.main()]) else 1)
