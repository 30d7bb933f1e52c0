"""Training on pytorch-lightning: `fit`, its settings, and what it leaves."""

from steadynet.training.fit import FitResult, fit
from steadynet.training.settings import Hardware, Settings

__all__ = ["FitResult", "Hardware", "Settings", "fit"]
