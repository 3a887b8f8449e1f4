"""Recommendations from a deployed model."""
