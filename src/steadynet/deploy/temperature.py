"""One number that the logits are divided by, so that a network's confidence tells how often it is right on chips."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from steadynet.batches import logits_of
from steadynet.compute import Compute
from steadynet.deploy.held import holding
from steadynet.deploy.layers import over_draws
from steadynet.errors import check_integer, check_number
from steadynet.loader import as_dataset
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Values
from steadynet.montecarlo.metrics import DrawSums, measure
from steadynet.nvm.device import Device
from steadynet.randomness import stable_seed

# How far the temperature may lie from the logits' own spread: beyond, softmax is even, or one-hot, in float64.
_REACH = 1e4


def fit_temperature(
    model: nn.Module,
    device: Device,
    validation: Any,
    *,
    draws: int = 50,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> float:
    """Return the temperature T that makes labels likeliest on chips: the least mean of −log softmax(logits / T)_y.

    Image i is seen by chip i mod `draws` (after a shuffle that depends on the number of images alone), so all chips count, for
    the cost of one pass over the images. The mean is convex in 1/T, and its least value is found to float64. Labels are smoothed
    to (n + 1)/(n + 2), n images: where all of them are classified right, T would else be 0. No prediction changes.

    Example:
        >>> import steadynet as sn
        >>> net, x = nn.Linear(2, 2, bias=False), torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
        >>> net.weight.data = torch.tensor([[90.0, 0.0], [0.0, 90.0]])
        >>> labels = torch.where(torch.rand(400, generator=torch.Generator().manual_seed(1)) < 0.9, x.argmax(1), x.argmin(1))
        >>> temperature = fit_temperature(net, sn.Device(variation=sn.Gaussian(0.1)), (x, labels))
        >>> temperature > 30  # it is all but sure of each label, and right of 90 %
        True

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed.
        validation: Images that were not tested on: a map-style dataset of (input, label), or a pair of tensors.
        draws: Chips, of the stream "validation"; where there are fewer images, one for each of them.
        seed: Of the chips.
        batch_size: Most images of one forward.
        compute: Where it is computed.

    Returns:
        T > 0. 1 where the logits tell nothing: where they are all alike.

    Raises:
        SteadyNetError: If there are no images, nothing lies on devices, or a logit is not finite.

    Source:
        Guo et al., "On calibration of modern neural networks", 2017 (a temperature after training); Platt, "Probabilistic outputs
        for support vector machines", 1999 (smoothed labels).
    """
    check_integer("draws", draws, at_least=1)
    data = as_dataset(validation, "validation data")
    count: int = len(data)  # pyright: ignore[reportArgumentType] (checked to be sized)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(stable_seed("temperature", count)))
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    # A chip's images lie together: the first ones of them all, then those of the next.
    own = [order[chip :: min(draws, count)] for chip in range(min(draws, count))]
    shuffled: Dataset[Any] = Subset(data, cast("list[int]", torch.cat(own).tolist()))
    with holding(model, device, shuffled, seed=seed, batch_size=batch_size, compute=compute) as held:
        chips, start = held.chips(), 0
        for chip, images in enumerate(own):
            weights = chips.program(chip, "validation")
            for first in range(start, start + len(images), batch_size):
                inputs, truth = held.images.part(first, min(first + batch_size, start + len(images)))
                logits.append(held.finite_logits(weights, inputs).cpu().double())
                labels.append(truth)
            start += len(images)
    return _likeliest(torch.cat(logits), torch.cat(labels))


def with_temperature(model: nn.Module, temperature: float) -> nn.Module:
    """Return a copy of a network that gives its logits divided by a temperature, and nothing else.

    The copy has the same parameters and state_dict, and is evaluated, exported or given converters as any other.

    Raises:
        SteadyNetError: If the temperature is no number above 0.
    """
    check_number("temperature", temperature, above=0)
    copied = copy.deepcopy(model)
    copied.register_forward_hook(_Divided(float(temperature)))
    return copied


@dataclass(frozen=True)
class _Divided:
    """The hook; an object, so that the network can be sent to other processes."""

    temperature: float

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        return logits_of(output) / self.temperature


@dataclass(frozen=True, eq=False)
class Confidence:
    """How likely a network makes labels, and how well its confidence tells how often it is right, over chips.

    Attributes:
        nll: Negative log-likelihood, nats.
        brier: Brier score.
        calibration_error: Expected calibration error, 15 bins.
        reliability: [15, 3]: by bin, share of the predictions, their mean confidence and their accuracy, all chips together; NaN
            where a bin is empty.
    """

    nll: Estimate
    brier: Estimate
    calibration_error: Estimate
    reliability: Values


@dataclass(frozen=True, eq=False)
class Calibration:
    """A network's confidence before and after its logits are divided by a temperature, on the same chips.

    Attributes:
        temperature: What was found on validation images and chips.
        before: As the network is.
        after: With the temperature.
        accuracy: Of both: the temperature changes no prediction.
        sigma_d: Of the device.
        draws: Chips that both are tested on.
        seed: Of the chips.
        images: Test images.
        validation_images: Those that the temperature was found on.
    """

    temperature: float
    before: Confidence
    after: Confidence
    accuracy: Estimate
    sigma_d: float
    draws: int
    seed: int
    images: int
    validation_images: int


def calibration(
    model: nn.Module,
    device: Device,
    test: Any,
    validation: Any,
    *,
    draws: int = 50,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> Calibration:
    """Find the temperature on validation images and chips, and tell what it does on test images and other chips.

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed.
        test: Test images: a map-style dataset of (input, label), or a pair of tensors.
        validation: Images to find the temperature on, in the same form; see `fit_temperature`.
        draws: Chips, of each.
        seed: Of the chips.
        batch_size: Most images of one forward.
        compute: Where it is computed.

    Raises:
        SteadyNetError: As `fit_temperature`, or if there are fewer than two draws.
    """
    check_integer("draws", draws, at_least=2)
    temperature = fit_temperature(
        model, device, validation, draws=draws, seed=seed, batch_size=batch_size, compute=compute
    )
    sums: tuple[list[DrawSums], list[DrawSums]] = ([], [])
    with holding(model, device, test, seed=seed, batch_size=batch_size, compute=compute) as held:
        chips = held.chips()
        for draw in range(draws):
            chip = chips.program(draw, "test")
            found: list[tuple[DrawSums, DrawSums]] = []
            for inputs, labels in held.batches():
                logits = held.finite_logits(chip, inputs).cpu().double()
                found.append((measure(logits, labels)[0], measure(logits / temperature, labels)[0]))
            for index in (0, 1):
                first, *others = (both[index] for both in found)
                sums[index].append(sum(others, start=first))
        images = len(held.images)
    right = np.array([one.correct / one.images for one in sums[0]])
    seen: int = len(as_dataset(validation, "validation data"))  # pyright: ignore[reportArgumentType]
    return Calibration(
        temperature,
        _confidence(sums[0]),
        _confidence(sums[1]),
        over_draws(right),
        device.sigma_d,
        draws,
        seed,
        images,
        seen,
    )


def _likeliest(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that makes smoothed labels likeliest; see `fit_temperature`."""
    import scipy.optimize

    measure(logits, labels)  # refuses what is no label
    count, classes = logits.shape
    z = logits - logits.mean(1, keepdim=True)
    spread = float(z.square().mean().sqrt())
    if spread == 0:
        return 1.0
    z = z / spread
    share = 1 / (count + 2)
    own = z.gather(1, labels.long()[:, None])[:, 0]
    # A row's logits add up to 0, so all others of it to minus that of its label.
    wanted = float(((1 - share) * own - share / max(classes - 1, 1) * own).mean())

    def slope(log_inverse: float) -> float:
        p = torch.softmax(z * math.exp(log_inverse), dim=1)
        return float((p * z).sum(1).mean()) - wanted

    reach = math.log(_REACH)
    if slope(-reach) >= 0:
        return spread * _REACH
    if slope(reach) <= 0:
        return spread / _REACH
    bisected: Any = scipy.optimize
    return spread / math.exp(float(bisected.brentq(slope, -reach, reach, xtol=1e-10)))


def _confidence(draws: list[DrawSums]) -> Confidence:
    def over(values: list[float]) -> Estimate:
        return over_draws(np.array(values))

    count, confidence, correct = torch.stack([one.bins for one in draws]).sum(0).numpy()
    with np.errstate(invalid="ignore"):
        reliability = np.stack([count / count.sum(), confidence / count, correct / count], axis=1)
    return Confidence(
        over([one.nll / one.images for one in draws]),
        over([one.brier / one.images for one in draws]),
        over([one.calibration_error for one in draws]),
        reliability,
    )
