"""Speed and memory as ratios: against plain PyTorch, which is the limit, and against a peer.

`make bench` measures every row and draws the table. `python -m benchmarks --only noise` measures the rows whose names
begin so, `python -m benchmarks.table` draws the table from the files again.
"""
