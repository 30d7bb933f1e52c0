"""Converters around the crossbars, for an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.cli.types import spell
from steadynet.errors import SteadyNetError, check_integer, check_number

if TYPE_CHECKING:
    from torch import nn

    from steadynet.data import DataSplits
    from steadynet.nvm.device import Device


CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class ConverterOptions:
    """Converters around the crossbars.

    Args:
        input_bits: Bits of the converters before each crossbar, 2 to 16; exact ones by default.
        output_bits: Bits of those behind each column of a crossbar, 2 to 16; exact ones by default.
        coverage: Share of the magnitudes seen in calibration that their range holds; what is larger saturates.
        calibration_images: Training images that ranges are calibrated on, without labels.
    """

    input_bits: int | None = None
    output_bits: int | None = None
    coverage: float = 1.0
    calibration_images: int = CALIBRATION_IMAGES

    def __post_init__(self) -> None:
        for name in ("input_bits", "output_bits"):
            if (bits := getattr(self, name)) is not None:
                check_integer(spell(name), bits, at_least=2, at_most=16)
        check_number("--coverage", self.coverage, above=0, at_most=1)
        check_integer("--calibration-images", self.calibration_images, at_least=1)
        if not self.given and (self.coverage < 1 or self.calibration_images != CALIBRATION_IMAGES):
            raise SteadyNetError(
                "--coverage and --calibration-images are for converters: give --input-bits or --output-bits"
            )

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.input_bits is not None or self.output_bits is not None

    def around(self, model: nn.Module, device: Device, data: DataSplits) -> nn.Module:
        """Return the model with its converters, calibrated on training images; itself without any."""
        if not self.given:
            return model
        import torch

        from steadynet.batches import sample
        from steadynet.converters import Converters, with_converters

        count = min(self.calibration_images, len(data.train))
        inputs = torch.stack([data.train[index][0] for index in sample(count, len(data.train))])
        return with_converters(
            model, device, inputs, Converters(self.input_bits, self.output_bits, self.coverage)
        )
