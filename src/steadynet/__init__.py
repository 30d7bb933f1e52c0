"""SteadyNet: networks that hold their accuracy on noisy non-volatile memory.

    import steadynet as sn

    device = sn.Device(weight_bits=8, device_bits=2, variation=sn.Gaussian(sigma_d=0.2))
    sn.fit(model, sn.recipe("ovf"), device, train, validation, epochs=10)
    result = sn.monte_carlo(model, device, test, draws=200, seed=0)

A name is imported when it is first used, so `import steadynet` itself takes no time and specifications
(devices, recipes) are made without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadynet import data, models
    from steadynet.batchnorm import fold_batchnorm
    from steadynet.chip import Chip, program, run
    from steadynet.compute import Compute
    from steadynet.converters import Converters, with_converters
    from steadynet.data import DataSplits, ImageSet
    from steadynet.deploy import (
        calibration,
        export,
        fit_temperature,
        layer_sensitivity,
        recalibrated_statistics,
        recalibration,
        selective_write_verify,
        weight_curvature,
        with_temperature,
        worst_case,
        write_verify,
    )
    from steadynet.errors import DivergenceError, SteadyNetError
    from steadynet.mapping import Layout, layout
    from steadynet.montecarlo import (
        BlockDifference,
        BlockResult,
        Curve,
        MonteCarloResult,
        block_difference,
        block_monte_carlo,
        curve,
        monte_carlo,
        paired_difference,
    )
    from steadynet.nvm.composed import Effect
    from steadynet.nvm.conductance_law import Measured, Polynomial, Saturating
    from steadynet.nvm.device import Device
    from steadynet.nvm.device_file import named_device, read_device, save_device
    from steadynet.nvm.device_law import LogNormalDevice
    from steadynet.nvm.effects.bounded import Bounded
    from steadynet.nvm.effects.common import Common
    from steadynet.nvm.effects.drift import Drift
    from steadynet.nvm.effects.read import PCMRead, Read
    from steadynet.nvm.effects.stuck import Stuck
    from steadynet.nvm.measurements import fitted_law, read_measurements
    from steadynet.nvm.presets import PRESETS, preset
    from steadynet.nvm.variation import Gaussian, StateDependent, Variation
    from steadynet.nvm.weight_law import Censored, LogNormal
    from steadynet.recipes import (
        AWP,
        IRS,
        OVF,
        RECIPES,
        SAM,
        CensoredVariation,
        Chips,
        Clip,
        CrossEntropy,
        DeviceVariation,
        Distillation,
        LearnedRange,
        LogNormalVariation,
        NoConstraint,
        NoVariation,
        Orthogonal,
        OtherVariation,
        Pace,
        Peak,
        Plain,
        Recipe,
        Saturate,
        SelfFeedback,
        Several,
        Sparse,
        recipe,
    )
    from steadynet.study.definition import Study
    from steadynet.study.in_python import run_study
    from steadynet.study.specification import read_study
    from steadynet.training import FitResult, fit

__version__ = "0.1.0"

_WHERE = {
    "AWP": "recipes",
    "BlockDifference": "montecarlo",
    "BlockResult": "montecarlo",
    "Bounded": "nvm.effects.bounded",
    "Censored": "nvm.weight_law",
    "CensoredVariation": "recipes",
    "Chip": "chip",
    "Chips": "recipes",
    "Clip": "recipes",
    "Common": "nvm.effects.common",
    "Compute": "compute",
    "Converters": "converters",
    "CrossEntropy": "recipes",
    "Curve": "montecarlo",
    "DataSplits": "data",
    "Device": "nvm.device",
    "DeviceVariation": "recipes",
    "Distillation": "recipes",
    "DivergenceError": "errors",
    "Drift": "nvm.effects.drift",
    "Effect": "nvm.composed",
    "FitResult": "training",
    "Gaussian": "nvm.variation",
    "IRS": "recipes",
    "ImageSet": "data",
    "Layout": "mapping",
    "LearnedRange": "recipes",
    "LogNormal": "nvm.weight_law",
    "LogNormalDevice": "nvm.device_law",
    "LogNormalVariation": "recipes",
    "Measured": "nvm.conductance_law",
    "MonteCarloResult": "montecarlo",
    "NoConstraint": "recipes",
    "NoVariation": "recipes",
    "OVF": "recipes",
    "Orthogonal": "recipes",
    "OtherVariation": "recipes",
    "PCMRead": "nvm.effects.read",
    "PRESETS": "nvm.presets",
    "Pace": "recipes",
    "Peak": "recipes",
    "Plain": "recipes",
    "Polynomial": "nvm.conductance_law",
    "RECIPES": "recipes",
    "Read": "nvm.effects.read",
    "Recipe": "recipes",
    "SAM": "recipes",
    "Saturate": "recipes",
    "Saturating": "nvm.conductance_law",
    "SelfFeedback": "recipes",
    "Several": "recipes",
    "Sparse": "recipes",
    "StateDependent": "nvm.variation",
    "SteadyNetError": "errors",
    "Stuck": "nvm.effects.stuck",
    "Study": "study.definition",
    "Variation": "nvm.variation",
    "block_difference": "montecarlo",
    "block_monte_carlo": "montecarlo",
    "curve": "montecarlo",
    "export": "deploy",
    "fit": "training",
    "fold_batchnorm": "batchnorm",
    "fitted_law": "nvm.measurements",
    "calibration": "deploy",
    "fit_temperature": "deploy",
    "layer_sensitivity": "deploy",
    "layout": "mapping",
    "monte_carlo": "montecarlo",
    "named_device": "nvm.device_file",
    "paired_difference": "montecarlo",
    "preset": "nvm.presets",
    "program": "chip",
    "read_device": "nvm.device_file",
    "read_measurements": "nvm.measurements",
    "read_study": "study.specification",
    "recalibrated_statistics": "deploy",
    "recalibration": "deploy",
    "recipe": "recipes",
    "run": "chip",
    "run_study": "study.in_python",
    "save_device": "nvm.device_file",
    "selective_write_verify": "deploy",
    "weight_curvature": "deploy",
    "with_converters": "converters",
    "with_temperature": "deploy",
    "worst_case": "deploy",
    "write_verify": "deploy",
}
_MODULES = ("data", "models")

__all__ = [
    "AWP",
    "IRS",
    "OVF",
    "PRESETS",
    "RECIPES",
    "SAM",
    "BlockDifference",
    "BlockResult",
    "Bounded",
    "Censored",
    "CensoredVariation",
    "Chip",
    "Chips",
    "Clip",
    "Common",
    "Compute",
    "Converters",
    "CrossEntropy",
    "Curve",
    "DataSplits",
    "Device",
    "DeviceVariation",
    "Distillation",
    "DivergenceError",
    "Drift",
    "Effect",
    "FitResult",
    "Gaussian",
    "ImageSet",
    "Layout",
    "LearnedRange",
    "LogNormal",
    "LogNormalDevice",
    "LogNormalVariation",
    "Measured",
    "MonteCarloResult",
    "NoConstraint",
    "NoVariation",
    "Orthogonal",
    "OtherVariation",
    "PCMRead",
    "Pace",
    "Peak",
    "Plain",
    "Polynomial",
    "Read",
    "Recipe",
    "Saturate",
    "Saturating",
    "SelfFeedback",
    "Several",
    "Sparse",
    "StateDependent",
    "SteadyNetError",
    "Stuck",
    "Study",
    "Variation",
    "__version__",
    "block_difference",
    "block_monte_carlo",
    "calibration",
    "curve",
    "data",
    "export",
    "fit",
    "fit_temperature",
    "fitted_law",
    "fold_batchnorm",
    "layer_sensitivity",
    "layout",
    "models",
    "monte_carlo",
    "named_device",
    "paired_difference",
    "preset",
    "program",
    "read_device",
    "read_measurements",
    "read_study",
    "recalibrated_statistics",
    "recalibration",
    "recipe",
    "run",
    "run_study",
    "save_device",
    "selective_write_verify",
    "weight_curvature",
    "with_converters",
    "with_temperature",
    "worst_case",
    "write_verify",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"steadynet.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'steadynet' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"steadynet.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
