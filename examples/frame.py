"""Train on a pandas frame with column names of its own, and get a frame of recommendations back."""

import pandas as pd

import resprout

shelves = {
    "crime": ["The Alibi", "Cold Case", "Last Seen", "The Informer", "Night Shift"],
    "space": ["Far Orbit", "Red Dust", "The Airlock", "Slow Light", "Landfall"],
}
# Each reader has four of the five books on a shelf.
rows = [
    (f"{shelf} reader {number}", title)
    for shelf, titles in shelves.items()
    for number in range(20)
    for place, title in enumerate(titles)
    if place != number % 5
]
run = resprout.train(
    pd.DataFrame(rows, columns=["reader", "title"]),
    data={"user_column": "reader", "item_column": "title"},
    backbone={"name": "mf", "width": 8},
    method={"name": "dsl", "regrow_every": 5},
    budget="50%",
    epochs=30,
    training={"batch_size": 32, "learning_rate": 0.05},
    out="runs/frame",
)
recommended = run.recommender().recommend(["crime reader 0", "space reader 3"], k=1)
print(recommended.to_pandas())
