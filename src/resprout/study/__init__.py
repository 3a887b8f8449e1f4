"""Grids of runs: what they are, how they are run side by side, and what came out of them."""
