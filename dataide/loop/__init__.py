"""Closing the loop: whether what was added made a model better."""
