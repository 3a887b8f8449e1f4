"""Recommenders whose embedding tables never leave a fixed memory budget."""

__version__ = "0.1.0"
