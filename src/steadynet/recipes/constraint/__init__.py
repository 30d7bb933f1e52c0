"""Constraints: what keeps the weights in shape. A file each."""
