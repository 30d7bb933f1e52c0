"""Data sets, splits, augmentation."""
