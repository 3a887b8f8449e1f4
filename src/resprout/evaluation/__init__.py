"""Exact ranking of all items, and metrics of it."""
