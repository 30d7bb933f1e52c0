"""Monte Carlo over chips: the engine, its figures and their intervals."""

from steadynet.montecarlo.block_result import BlockResult
from steadynet.montecarlo.blocks import BlockDifference, block_difference, block_monte_carlo
from steadynet.montecarlo.curve import Curve, curve, paired_difference
from steadynet.montecarlo.engine import monte_carlo
from steadynet.montecarlo.estimates import Estimate, Percentile, Yield
from steadynet.montecarlo.result import MonteCarloResult

__all__ = [
    "BlockDifference",
    "BlockResult",
    "Curve",
    "Estimate",
    "MonteCarloResult",
    "Percentile",
    "Yield",
    "block_difference",
    "block_monte_carlo",
    "curve",
    "monte_carlo",
    "paired_difference",
]
