"""What happens to a trained network: its files for a chip and for other tools."""

from steadynet.deploy.export import DEFAULT_FORMATS, FORMATS, Exported, export
from steadynet.deploy.layers import Layer, Layers, layer_sensitivity
from steadynet.deploy.levels import Levels, TensorLevels, levels_of, load_levels, save_levels
from steadynet.deploy.recalibration import (
    Recalibrated,
    Recalibration,
    recalibrated_statistics,
    recalibration,
)
from steadynet.deploy.state import load_state, read_state, save_backbone, save_state_dict
from steadynet.deploy.worst_case import WorstCase, worst_case

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "Exported",
    "Layer",
    "Layers",
    "Levels",
    "Recalibrated",
    "Recalibration",
    "TensorLevels",
    "WorstCase",
    "export",
    "layer_sensitivity",
    "levels_of",
    "load_levels",
    "load_state",
    "read_state",
    "recalibrated_statistics",
    "recalibration",
    "save_backbone",
    "save_levels",
    "save_state_dict",
    "worst_case",
]
