"""Steps: how the gradient is taken. A file each."""
