"""Objectives: what is minimised. A file each."""
