"""A test of a trained network, as a study wants it. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from steadynet.nvm.device import Device

Split = Literal["test", "validation"]


@dataclass(frozen=True)
class Wanted:
    """A test of a trained network: chips, the images that they see, and whether logits are calibrated for them."""

    sigma_d: float
    draws: int
    seed: int
    batch_size: int
    split: Split = "test"
    calibrated: bool = False
    # Where it is more than the training's own device at this σ_d.
    device: Device | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as plain types, without what is not asked for: what was tested without stays the test that it was."""
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "device"}
        if not self.calibrated:
            del told["calibrated"]
        if self.device is not None:
            # Through JSON, as it will be read back.
            told["device"] = json.loads(json.dumps(device_told(self.device), default=repr))
        return told


def device_told(device: Device) -> dict[str, Any]:
    """Return a device's variation, what else differs from the default, and the classes that they belong to.

    So a field that later versions add leaves the identity of what was trained without it.
    """
    plain = dataclasses.asdict(Device())
    told = {
        name: value
        for name, value in dataclasses.asdict(device).items()
        if name == "variation" or value != plain[name]
    }
    told["law"] = type(device.law).__name__
    return (
        told | {"effects": [type(effect).__name__ for effect in device.effects]} if device.effects else told
    )
