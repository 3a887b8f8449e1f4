"""The deployed model on disk."""
