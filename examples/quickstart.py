"""Train a recommender in a fifth of the memory of a dense one, and ask it for books."""

import resprout

run = resprout.train(
    "demo",
    backbone={"name": "lightgcn", "hops": 2},
    budget="20%",
    epochs=20,
    training={"evaluate_every": 5},
    out="runs/quickstart",
)
print(run)
print(run.recommender().recommend(["u0003"], k=5).to_pandas())
