"""The hop and the training step of LightGCN as PyTorch users run them; asked over standard input.

    python lightgcn.py FOLDER THREADS

FOLDER holds graph_{starts,neighbours,weights}.npy, table.npy and batch_{users,positives,negatives}.npy. Requests:
`csr OUT` and `coo OUT` save one product to OUT; `csr` and `coo` time one; `step` does one step and answers with its
seconds and loss. Adjacency as a COO tensor, torch.sparse.mm, L=3, BPR with L2 of the batch's unsmoothed rows, Adam.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

warnings.filterwarnings("ignore", message=".*[Ss]parse.*")
folder, threads = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)


def load(name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(folder / f"{name}.npy"))


starts, neighbours, weights, start = (load(n) for n in ("graph_starts", "graph_neighbours", "graph_weights", "table"))
nodes = len(starts) - 1
csr = torch.sparse_csr_tensor(starts, neighbours.long(), weights, (nodes, nodes))
coo = csr.to_sparse_coo().coalesce()
products = {"csr": lambda: csr @ start, "coo": lambda: torch.sparse.mm(coo, start)}

table = torch.nn.Parameter(start.clone())
adam = torch.optim.Adam([table], lr=1e-3)
users, positives, negatives = (load(f"batch_{name}").long() for name in ("users", "positives", "negatives"))


def step() -> float:
    layers = [table]
    for _ in range(3):
        layers.append(torch.sparse.mm(coo, layers[-1]))
    smoothed = torch.stack(layers, dim=1).mean(dim=1)
    u, p, n = smoothed[users], smoothed[positives], smoothed[negatives]
    loss = torch.nn.functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
    squares = table[users].norm(2).pow(2) + table[positives].norm(2).pow(2) + table[negatives].norm(2).pow(2)
    loss = loss + 1e-4 * squares / (2 * len(users))
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss.item()


print(f"torch {torch.__version__}", flush=True)
for line in sys.stdin:
    what, *target = line.split()
    begin = time.perf_counter()
    result = step() if what == "step" else products[what]()
    seconds = time.perf_counter() - begin
    if target:
        np.save(target[0], result.numpy())
    print(f"{seconds} {result}" if what == "step" else seconds, flush=True)
