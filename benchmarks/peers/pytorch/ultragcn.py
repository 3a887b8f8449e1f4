"""The training step of UltraGCN as PyTorch users run it; asked over standard input.

    python ultragcn.py FOLDER THREADS

FOLDER holds {users,items}.npy (tables), batch_{users,positives,negatives}.npy, {user,item}_factor.npy,
near_{items,weights}.npy and weights.npy: w1 to w4, negative weight, lambda, gamma, offset of scores. Request `step`
does one step and answers with its seconds and loss. Rows are gathered, their products summed, whole tables decayed;
Adam.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import softplus

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)


def load(name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(folder / f"{name}.npy"))


of_users, of_items = (torch.nn.Parameter(load(name).clone()) for name in ("users", "items"))
adam = torch.optim.Adam([of_users, of_items], lr=1e-3)
users, positives, negatives = (load(f"batch_{name}").long() for name in ("users", "positives", "negatives"))
user_factor, item_factor = load("user_factor"), load("item_factor")
near_items, near_weights = load("near_items").long(), load("near_weights")
w1, w2, w3, w4, negative_weight, item_weight, l2, offset = load("weights").tolist()


def step() -> float:
    user_rows = of_users[users]
    of_positives = (user_rows * of_items[positives]).sum(-1)
    of_negatives = (user_rows[:, None] * of_items[negatives]).sum(-1)
    of_near = (user_rows[:, None] * of_items[near_items[positives]]).sum(-1)
    positive_weights = w1 + w2 * user_factor[users] * item_factor[positives]
    negative_weights = w3 + w4 * user_factor[users][:, None] * item_factor[negatives]
    loss = (positive_weights * softplus(-of_positives - offset)).sum()
    loss = loss + negative_weight * (negative_weights * softplus(of_negatives + offset)).mean(1).sum()
    loss = loss + item_weight * (near_weights[positives] * softplus(-of_near - offset)).sum()
    loss = loss + l2 / 2 * (of_users.square().sum() + of_items.square().sum())
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss.item()


print(f"torch {torch.__version__}", flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    value = step()
    print(time.perf_counter() - begin, value, flush=True)
