"""Which layer suffers: accuracy with one layer's devices erring and all others without error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from steadynet.compute import Compute
from steadynet.deploy.held import holding
from steadynet.errors import SteadyNetError, check_integer
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Values, mean_interval
from steadynet.nvm.device import Device


@dataclass(frozen=True, eq=False)
class Layer:
    """One weight tensor, erring alone.

    Attributes:
        name: Its parameter's.
        weights: How many weights it has.
        share: Of all weights on devices.
        accuracy: Over draws.
        loss: The accuracy without any error minus that, over draws.
    """

    name: str
    weights: int
    share: float
    accuracy: Estimate
    loss: Estimate


@dataclass(frozen=True, eq=False)
class Layers:
    """Accuracy with each layer erring alone, with all of them, and with none.

    Attributes:
        layers: In the network's order.
        all: With all layers erring, on the same draws.
        all_loss: The accuracy without any error minus that.
        none: Without any error: quantised weights.
        sigma_d: Of the device.
        draws: Chips.
        seed: Of the chips.
        images: Test images.
    """

    layers: tuple[Layer, ...]
    all: Estimate
    all_loss: Estimate
    none: float
    sigma_d: float
    draws: int
    seed: int
    images: int


def layer_sensitivity(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    draws: int = 50,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> Layers:
    """Return the accuracy that the network keeps where one weight tensor errs and all others hold what they are aimed at.

    Draw k gives a tensor the errors that it has on chip k of `monte_carlo`, so figures of all layers, and of all together, are
    paired by draw. The losses of layers need not add up to that of all.

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed, at a `sigma_d` above 0.
        test: A map-style dataset of (input, label), or a pair of tensors.
        draws: Chips.
        seed: Of the chips.
        batch_size: Images of one forward.
        compute: Where it is computed.

    Raises:
        SteadyNetError: If `sigma_d` is 0, or an input cannot be used.
    """
    check_integer("draws", draws, at_least=2)
    if device.exact:
        raise SteadyNetError(
            "layers are told apart by their errors, and sigma_d is 0: give the device a sigma_d above 0"
        )
    with holding(model, device, test, seed=seed, batch_size=batch_size, compute=compute) as held:
        clean = held.quantised()
        none = held.accuracy(clean)
        names = held.layout.names
        found = np.empty((len(names) + 1, draws))
        chips = held.chips()
        for draw in range(draws):
            chip = chips.program(draw, "test")
            for row, name in enumerate(names):
                found[row, draw] = held.accuracy({**clean, name: chip[name]})
            found[-1, draw] = held.accuracy(chip)
        sizes = [clean[name].numel() for name in names]
        images = len(held.images)
    layers = tuple(
        Layer(name, size, size / sum(sizes), over_draws(values), over_draws(none - values))
        for name, size, values in zip(names, sizes, found, strict=False)
    )
    return Layers(
        layers, over_draws(found[-1]), over_draws(none - found[-1]), none, device.sigma_d, draws, seed, images
    )


def over_draws(values: Values) -> Estimate:
    """Return the mean over draws, with Student's interval."""
    return Estimate(float(values.mean()), float(values.std(ddof=1)), mean_interval(values), values)
