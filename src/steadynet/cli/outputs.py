"""The folder that a command writes into: one that can be made or emptied, apart from all that the command reads."""

from __future__ import annotations

from pathlib import Path

from steadynet.cli.parser import CONFIG_NAME, Options
from steadynet.folders import check_apart, check_folder
from steadynet.nvm.device_file import is_device_file
from steadynet.options.build import inputs, whole_folders
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions


def check_output(out: Path, options: Options, *read: Path, overwrite: bool) -> None:
    """Raise unless a command may write into `out`, and empty it first where that is asked for.

    Args:
        out: Its folder of results.
        options: Its options: images, device file, fault map and configuration files are looked at.
        *read: What else it reads.
        overwrite: Whether the folder is emptied.

    Raises:
        SteadyNetError: If the folder cannot be made, holds something and is not to be emptied, or holds what is read.
    """
    check_folder(out, overwrite=overwrite)
    data, device = options.get(DataOptions), options.get(DeviceOptions)
    # A run that is done anew by the configuration that it saved replaces that.
    own = (out / CONFIG_NAME).resolve()
    found = [*read, *(path for path in options.files if path.resolve() != own)]
    if data is not None:
        found += inputs(data)
    if device is not None:
        found += [Path(device.device)] if is_device_file(device.device) else []
        found += [Path(device.fault_map)] if device.fault_map is not None else []
    check_apart(out, *found, around=() if data is None else whole_folders(data))
