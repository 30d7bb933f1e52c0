"""Monte Carlo over chips: the engine, its figures and their intervals."""

from steadynet.montecarlo.curve import Curve, curve, paired_difference
from steadynet.montecarlo.engine import monte_carlo
from steadynet.montecarlo.estimates import Estimate, Percentile, Yield
from steadynet.montecarlo.result import MonteCarloResult

__all__ = [
    "Curve",
    "Estimate",
    "MonteCarloResult",
    "Percentile",
    "Yield",
    "curve",
    "monte_carlo",
    "paired_difference",
]
