"""Inference: models run in a process of their own; the only room that may import torch."""
