"""Train a recommender in a fifth of the memory of a dense one, and ask it for books."""

import resprout

run = resprout.train(
    "demo",
    backbone={"name": "lightgcn", "hops": 2, "l2": 1e-2},
    method={"name": "dsl", "regrow_every": 10},
    budget="20%",
    epochs=20,
    training={"batch_size": 4096, "learning_rate": 0.1, "evaluate_every": 5},
    out="runs/quickstart",
)
print(run)
print(run.recommender().recommend(["u0003"], k=5).to_pandas())
