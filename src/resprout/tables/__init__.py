"""Embedding tables, dense or packed, behind one interface."""
