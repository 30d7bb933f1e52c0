"""What happens to a trained network: its files for a chip and for other tools."""

from steadynet.deploy.curvature import cross_entropy_curvature, squared_error_curvature, weight_curvature
from steadynet.deploy.export import DEFAULT_FORMATS, FORMATS, Exported, export
from steadynet.deploy.layers import Layer, Layers, layer_sensitivity
from steadynet.deploy.levels import Levels, TensorLevels, levels_of, load_levels, save_levels
from steadynet.deploy.measured_chip import (
    MeasuredChip,
    load_measured,
    save_measured,
    simulated_chip,
    with_weights,
)
from steadynet.deploy.recalibration import (
    Recalibrated,
    Recalibration,
    recalibrated_statistics,
    recalibration,
)
from steadynet.deploy.selective import Selected, SelectiveWriteVerify, selective_write_verify
from steadynet.deploy.state import load_state, read_state, save_backbone, save_state_dict
from steadynet.deploy.temperature import (
    Calibration,
    Confidence,
    calibration,
    fit_temperature,
    with_temperature,
)
from steadynet.deploy.worst_case import WorstCase, worst_case
from steadynet.deploy.write_verify import Verified, expected_writes, residual_std, write_verify

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "Calibration",
    "Confidence",
    "Exported",
    "Layer",
    "Layers",
    "Levels",
    "MeasuredChip",
    "Recalibrated",
    "Recalibration",
    "Selected",
    "SelectiveWriteVerify",
    "TensorLevels",
    "Verified",
    "WorstCase",
    "calibration",
    "cross_entropy_curvature",
    "expected_writes",
    "export",
    "fit_temperature",
    "layer_sensitivity",
    "levels_of",
    "load_levels",
    "load_measured",
    "load_state",
    "read_state",
    "recalibrated_statistics",
    "recalibration",
    "residual_std",
    "save_backbone",
    "save_levels",
    "save_measured",
    "save_state_dict",
    "selective_write_verify",
    "simulated_chip",
    "squared_error_curvature",
    "weight_curvature",
    "with_temperature",
    "with_weights",
    "worst_case",
    "write_verify",
]
