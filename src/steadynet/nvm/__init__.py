"""The physics: weights to devices and back. Knows tensors, not models."""
