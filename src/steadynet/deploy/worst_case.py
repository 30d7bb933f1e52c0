"""The worst errors within a bound: one ΔW for the whole test set that costs the most accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from steadynet.batchnorm import check_unfolded
from steadynet.compute import Compute
from steadynet.computed import named_weights
from steadynet.deploy.held import Held, check_labels, holding, per_weight
from steadynet.deploy.layers import over_draws
from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number
from steadynet.montecarlo.estimates import Estimate, Percentile
from steadynet.montecarlo.intervals import Values
from steadynet.montecarlo.result import percentile_over
from steadynet.nvm.device import Device
from steadynet.nvm.device_law import DeviceLaw
from steadynet.nvm.programming import Target
from steadynet.nvm.weight_law import WeightLaw
from steadynet.randomness import draw_generator

Norm = Literal["l2", "linf"]
NORMS: tuple[Norm, ...] = ("l2", "linf")


@dataclass(frozen=True, eq=False)
class WorstCase:
    """The worst chip that was found within the bound, beside chips drawn at random.

    Attributes:
        accuracy: With the worst ΔW found.
        errors: ΔW by parameter name, about the mean of what the devices hold.
        size: Its norm relative to the variation, in the measure of the bound.
        quantised: Accuracy without error.
        drawn: Accuracy of chips drawn at random [R].
        norm: Which norm.
        bound: What `size` may be at most.
        sigma_d: Of the device.
        seed: Of the chips and of the search's starts.
        images: Test images.
    """

    accuracy: float
    errors: Mapping[str, Tensor]
    size: float
    quantised: float
    drawn: Values
    norm: Norm
    bound: float
    sigma_d: float
    seed: int
    images: int

    @property
    def mean(self) -> Estimate:
        """Mean accuracy of chips drawn at random."""
        return over_draws(self.drawn)

    def percentile(self, k: float) -> Percentile:
        """Return the k-th percentile of the accuracy of chips drawn at random, with its interval.

        Raises:
            SteadyNetError: If `k` is not between 0 and 100.
        """
        return percentile_over(self.drawn, k)


def worst_case(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    norm: Norm = "l2",
    bound: float = 1.0,
    steps: int = 20,
    restarts: int = 3,
    draws: int = 100,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> WorstCase:
    """Return the ΔW within a bound that was found to cost the most accuracy over the whole test set.

    ΔW is about what the devices hold on average: where a law's means miss their targets, a chip without ΔW misses them too.
    With the std s_i of each weight's error on the device, δ_i = ΔW_i / s_i is bounded by

        l2:    sqrt(mean_i δ_i²) ≤ bound       (a chip drawn at random has about 1)
        linf:  max_i |δ_i| ≤ bound             (1 holds every error within one standard deviation)

    From each start δ follows the gradient of a smooth count of the images that are right, Σ sigmoid(m/τ) + max(0, m/τ)/100 of
    their margins m = z_y − max_{c≠y} z_c, downhill by projected steps, normalised (l2) or by sign (linf). The second term keeps
    pulling at images far from falling: once all others are of one class, the first is flat in all of them. The length of a
    step falls evenly to a tenth, from bound/2, or from bound/16 in every second start: long steps overshoot where a small part
    of the bound is enough. The first two starts are without error, the others at random within the bound. τ falls from the mean
    |m| without error to a tenth of it: at first all images draw, in the end those that are about to fall. The iterate with the
    lowest accuracy is kept: a bound from above on the true worst case. The search looks at the test labels, as an adversary
    does; its figure is no estimate for other images. Through converters the gradient passes straight; see `Converters`.

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed, at a `sigma_d` above 0.
        test: A map-style dataset of (input, label), or a pair of tensors.
        norm: "l2" or "linf".
        bound: > 0, relative to the variation.
        steps: Gradients of each start.
        restarts: Starts.
        draws: Chips drawn at random, to stand beside it.
        seed: Of the starts and the chips.
        batch_size: Images of one forward.
        compute: Where it is computed.

    Raises:
        SteadyNetError: If the bound is not positive, `sigma_d` is 0, an input cannot be used, or the gradient without error is 0
            everywhere.

    Source:
        Yan et al., "Computing-In-Memory Neural Network Accelerators for Safety-Critical Systems: Can Small Device
        Variations Be Disastrous?", ICCAD 2022.
    """
    check_choice("norm", norm, NORMS)
    check_number("bound", bound, above=0)
    for what, value in (("steps", steps), ("restarts", restarts)):
        check_integer(what, value, at_least=1)
    check_integer("draws", draws, at_least=2)
    if device.sigma_d == 0:
        raise SteadyNetError(
            "the bound is relative to the variation, and sigma_d is 0: give the device a sigma_d above 0"
        )
    check_unfolded(device)
    if isinstance(device.law, WeightLaw | DeviceLaw) or device.effects:
        raise SteadyNetError(
            f"{_named(device)} states no std of a weight's error, which the bound is relative to"
        )
    with holding(model, device, test, seed=seed, batch_size=batch_size, compute=compute) as held:
        search = _Search(held, device, norm, bound, seed)
        quantised = held.accuracy(search.clean)
        best = search.zeros()
        worst = held.accuracy(search.weights(best))
        for restart in range(restarts):
            delta, accuracy = search.descend(search.start(restart), steps, bound / (16 if restart % 2 else 2))
            if accuracy < worst:
                best, worst = delta, accuracy
        chips = held.chips()
        drawn = np.array([held.accuracy(chips.program(draw, "test")) for draw in range(draws)])
        images = len(held.images)
    return WorstCase(
        worst,
        search.errors(best),
        search.size(best),
        quantised,
        drawn,
        norm,
        bound,
        device.sigma_d,
        seed,
        images,
    )


def _named(device: Device) -> str:
    """Return what of a device's variation has no std."""
    odd = (
        device.effects[0]
        if device.effects and not isinstance(device.law, WeightLaw | DeviceLaw)
        else device.law
    )
    return type(odd).__name__


class _Search:
    """Projected descent of one network's accuracy."""

    def __init__(self, held: Held, device: Device, norm: Norm, bound: float, seed: int) -> None:
        parameters = named_weights(held.model, held.layout.names)
        with torch.no_grad():
            targets = {
                t.name: Target.of(parameters[t.name], per_weight(device), t.matrix) for t in held.layout
            }
        self._held = held
        self._types = {name: parameters[name].dtype for name in targets}
        self.clean = {name: target.clean.to(self._types[name]) for name, target in targets.items()}
        self._mean = {name: target.mean for name, target in targets.items()}
        self._std = {name: target.std.expand(target.mean.shape) for name, target in targets.items()}
        self._norm: Norm = norm
        self._bound = bound
        self._seed = seed
        self._count = sum(mean.numel() for mean in self._mean.values())
        self._margin = self._mean_margin()

    @torch.no_grad()
    def _mean_margin(self) -> float:
        sizes: list[Tensor] = []
        for inputs, labels in self._held.batches():
            logits = self._held.logits(self.weights(self.zeros()), inputs)
            check_labels(labels, logits)
            sizes.append(margins(logits, labels.to(logits.device)).abs())
        # A network of equal logits has no margins; any τ then does.
        return float(torch.cat(sizes).mean()) or 1.0

    def zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(mean) for name, mean in self._mean.items()}

    def start(self, restart: int) -> dict[str, Tensor]:
        """Return where a start begins: without error, or at random within the bound."""
        delta = self.zeros()
        if restart < 2:
            return delta
        for name, zero in delta.items():
            generator = draw_generator(self._seed, "pilot", restart, 0, f"worst case: {name}", "cpu")
            drawn = torch.randn(zero.shape, generator=generator, dtype=torch.float32).to(zero)
            delta[name] = self._bound * (drawn if self._norm == "l2" else drawn.sign())
        return self.projected(delta)

    def weights(self, delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.addcmul(mean, self._std[name], delta[name]).to(self._types[name])
            for name, mean in self._mean.items()
        }

    def errors(self, delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: (std * delta[name]).cpu() for name, std in self._std.items()}

    def size(self, delta: Mapping[str, Tensor]) -> float:
        if self._norm == "linf":
            return max(float(d.abs().max()) for d in delta.values())
        return math.sqrt(sum(float(d.cpu().double().square().sum()) for d in delta.values()) / self._count)

    def projected(self, delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the nearest δ within the bound."""
        if self._norm == "linf":
            return {name: d.clamp(-self._bound, self._bound) for name, d in delta.items()}
        size = self.size(delta)
        factor = min(1.0, self._bound / size) if size > 0 else 1.0
        return {name: d * factor for name, d in delta.items()}

    def descend(self, delta: dict[str, Tensor], steps: int, first: float) -> tuple[dict[str, Tensor], float]:
        """Return the iterate with the lowest accuracy, and that accuracy; `first` is the first step's length."""
        best, worst = delta, self._held.accuracy(self.weights(delta))
        for step in range(steps):
            done = step / max(1, steps - 1)
            up = self._gradient(delta, self._margin * (1 - 0.9 * done))
            length = first * (1 - 0.9 * done)
            peak = max(float(slope.abs().max()) for slope in up.values())
            if peak == 0:
                if step == 0 and self.size(delta) == 0:
                    raise SteadyNetError(
                        f"the gradient of {type(self._held.model).__name__}'s logits by its weights on devices is 0 everywhere, "
                        "so no worst case can be searched: leave out what has no slope between them, such as round() or detach()"
                    )
                break
            if self._norm == "linf":
                moved = {name: d - length * up[name].sign() for name, d in delta.items()}
            else:
                # By its peak first: length / size of a vanishing gradient is infinite in float32.
                up = {name: slope / peak for name, slope in up.items()}
                size = self.size(up)
                moved = {name: d - length / size * up[name] for name, d in delta.items()}
            delta = self.projected(moved)
            accuracy = self._held.accuracy(self.weights(delta))
            if accuracy < worst:
                best, worst = delta, accuracy
        return best, worst

    def _gradient(self, delta: Mapping[str, Tensor], tau: float) -> dict[str, Tensor]:
        leaves = {name: d.detach().requires_grad_() for name, d in delta.items()}
        total = {name: torch.zeros_like(d) for name, d in delta.items()}
        for inputs, labels in self._held.batches():
            logits = self._held.logits(self.weights(leaves), inputs)
            loss = right(margins(logits, labels.to(logits.device)), tau)
            if not loss.requires_grad:  # No weight leads to any logit.
                continue
            found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for name, up in zip(leaves, cast("tuple[Tensor | None, ...]", found), strict=True):
                if up is not None:  # A weight that evaluation does not use, as of an auxiliary head.
                    total[name] += up
        return total


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return m = z_y − max_{c≠y} z_c of each image: positive where it is classified right."""
    own = logits.gather(1, labels[:, None])[:, 0]
    return own - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


def right(margin: Tensor, tau: float) -> Tensor:
    """Return Σ sigmoid(m/τ) + max(0, m/τ)/100: a smooth count of the images that are right, nowhere flat in those."""
    relative = margin / tau
    return relative.sigmoid().sum() + relative.clamp_min(0).sum() / 100
