"""What happens to a trained network: its files for a chip and for other tools."""

from steadynet.deploy.export import DEFAULT_FORMATS, FORMATS, Exported, export
from steadynet.deploy.levels import Levels, TensorLevels, levels_of, load_levels, save_levels
from steadynet.deploy.state import load_state, read_state, save_backbone, save_state_dict

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "Exported",
    "Levels",
    "TensorLevels",
    "export",
    "levels_of",
    "load_levels",
    "load_state",
    "read_state",
    "save_backbone",
    "save_levels",
    "save_state_dict",
]
