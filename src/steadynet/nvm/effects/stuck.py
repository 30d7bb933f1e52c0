"""Devices that no longer take what is written."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number
from steadynet.nvm.composed import DeviceEffect

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device
    from steadynet.randomness import Source


@dataclass(frozen=True)
class Stuck(DeviceEffect):
    """Devices stuck in the low-resistance state (LRS: x = 1) or in the high-resistance state (HRS: the least conductance).

    By rate, each device of each chip is stuck in LRS with probability `lrs` and in HRS with probability `hrs`. By map, the
    devices of one chip are stuck where the map says, whatever the draw; both together are a known chip that ages.

    Faults are named by their resistance, since the literature disagrees on which of them "stuck at 0" means. Where
    one crossbar holds a weight, the devices of the other are not read, so their faults do not count; `crossbars="both"` reads
    them.

    Args:
        lrs: Probability of LRS, 0 … 1.
        hrs: Probability of HRS, 0 … 1; the two add up to 1 at most.
        map: An NPZ file with an array for each tensor that has faults, by parameter name: int8 [S, J, *shape], 1 for LRS, −1 for
            HRS, 0 for a device that works; S = 1 or 2 crossbars, that of the weight's sign first. Slices are the least
            significant first.

    Raises:
        SteadyNetError: If a rate is out of its range, or the file cannot be read or holds other numbers.
    """

    lrs: float = 0.0
    hrs: float = 0.0
    map: str | None = None
    digest: str = field(default="", init=False)

    def __post_init__(self) -> None:
        check_number("Stuck's lrs", self.lrs, at_least=0, at_most=1)
        check_number("Stuck's hrs", self.hrs, at_least=0, at_most=1)
        if self.lrs + self.hrs > 1:
            raise SteadyNetError(
                f"Stuck's lrs {self.lrs:g} and hrs {self.hrs:g} add up to more than 1: lower one of them"
            )
        if self.map is not None:
            # The file's content, not its path, says which faults they are.
            object.__setattr__(self, "digest", _maps(self.map)[0])

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the tensors that a map tells faults of."""
        return () if self.map is None else tuple(_maps(self.map)[1])

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x with the stuck devices at 1 or at the least conductance."""
        import torch

        low = device.least
        if self.lrs or self.hrs:
            generator = source.generator("stuck")
            drawn = torch.rand(x.shape, generator=generator, device=generator.device).to(x.device)
            x = torch.where(drawn < self.lrs, 1.0, x)
            x = torch.where((drawn >= self.lrs) & (drawn < self.lrs + self.hrs), low, x)
        if self.map is not None:
            digest, faults = _maps(self.map)
            if digest != self.digest:
                raise SteadyNetError(
                    f"{self.map} has changed since it was read: make the device anew, or bring the old file back"
                )
            own = faults.get(source.name)
            if own is not None:
                if own.shape != x.shape:
                    raise SteadyNetError(
                        f"{self.map}: the faults of {source.name} are {tuple(own.shape)}, its devices {tuple(x.shape)} "
                        "(crossbars, slices, weight)"
                    )
                own = own.to(x.device)
                x = torch.where(own > 0, 1.0, torch.where(own < 0, low, x))
        return x


_READ: dict[tuple[str, int, int], tuple[str, Mapping[str, Tensor]]] = {}


def _maps(path: str) -> tuple[str, Mapping[str, Tensor]]:
    """Return the digest of a file's content and the faults in it by tensor, read once as long as it does not change."""
    import numpy as np
    import torch

    file = Path(path)
    if not file.is_file():
        raise SteadyNetError(f"there is no fault map {path}: give an NPZ file")
    about = file.stat()
    key = (str(file.resolve()), about.st_mtime_ns, about.st_size)
    if key not in _READ:
        try:
            content = file.read_bytes()
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # NumPy, zipfile and zlib have many ways to say that a file is damaged.
            raise SteadyNetError(
                f"{path} is no readable fault map ({type(error).__name__}): give an NPZ file of int8 arrays"
            ) from error
        for name, array in arrays.items():
            if array.dtype != np.int8 or not np.isin(array, (-1, 0, 1)).all():
                raise SteadyNetError(
                    f"{path}: the faults of {name} must be int8 of −1 (HRS), 0 and 1 (LRS), got {array.dtype}"
                )
        _READ.clear()
        faults = {name: torch.from_numpy(array) for name, array in arrays.items()}
        _READ[key] = (hashlib.sha256(content).hexdigest()[:16], faults)
    return _READ[key]
