"""Sparse rows, made fast: one contract, one folder a backend."""
