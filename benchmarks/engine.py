"""The engine's options: several chips at once against the loop, and bfloat16 against float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import steadynet as sn
from benchmarks.designs import MEDIUM, case_sigma
from benchmarks.harness import Ratio, alternate
from benchmarks.task import Task
from benchmarks.trained import source, trained
from steadynet.montecarlo.forward import Forward
from steadynet.programmer import Programmer

CHUNK = 4
BATCHES = (1, 4, 20, 100)
AGREEMENT_DRAWS = 100


def chunks(task: Task) -> list[Ratio]:
    """Return, for small networks and batches, the loop over chips ÷ `vmap` over as many."""
    nets: dict[str, tuple[nn.Module, tuple[int, int, int]]] = {
        "two linear layers": (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
            (1, 8, 8),
        ),
        "small CNN": (sn.models.build("cnn", classes=10, shape=(1, 8, 8)), (1, 8, 8)),
        "VGG-8 width 1/4": (
            sn.models.build("vgg8", classes=10, shape=(1, 16, 16), options={"width": 0.25}),
            (1, 16, 16),
        ),
    }
    rows: list[Ratio] = []
    for name, (net, shape) in nets.items():
        device = sn.Device(variation=sn.Gaussian(0.2))
        forward, programmer = Forward(net, sn.Compute()), Programmer(net, device, sn.layout(net, device))
        chips = programmer.program_many(range(CHUNK), "test")
        for batch in BATCHES if task.scale.short_rounds > 5 else BATCHES[:2]:
            inputs = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))

            pair = _Pair(forward, chips, inputs)
            above, below = alternate(
                pair.loop, pair.at_once, rounds=task.scale.short_rounds, repeat=5, warm=3
            )
            what = f"{CHUNK} chips one by one ÷ at once: {name}, {batch} images"
            rows.append(Ratio(f"chunks-{name}-{batch}", what, above, below))
    return rows


@dataclass(frozen=True, eq=False)
class _Pair:
    """The same chips one by one and at once."""

    forward: Forward
    chips: dict[str, Tensor]
    inputs: Tensor

    @torch.no_grad()
    def loop(self) -> None:
        for at in range(CHUNK):
            self.forward.one({key: stacked[at] for key, stacked in self.chips.items()}, self.inputs)

    @torch.no_grad()
    def at_once(self) -> None:
        self.forward.many(self.chips, self.inputs)


def agreement(task: Task) -> list[Ratio]:
    """Return the time of float32 ÷ bfloat16 for the same chips over all images, and how far their accuracies agree."""
    net, images = trained(task)
    sigma_d = case_sigma(task, MEDIUM, net, images)
    device = sn.Device(variation=sn.Gaussian(sigma_d))
    draws = min(AGREEMENT_DRAWS, task.scale.std_draws)
    forms = {"32": sn.Compute(), "bf16": sn.Compute(precision="bf16", channels_last=True)}
    found: dict[str, sn.MonteCarloResult] = {}

    def side(name: str) -> None:
        found[name] = sn.monte_carlo(net, device, images, draws=draws, compute=forms[name])

    above, below = alternate(lambda: side("32"), lambda: side("bf16"), rounds=1, warm=0)
    difference = sn.paired_difference(found["bf16"], found["32"])
    details = {
        "data": source(), "images": len(images), "sigma_d": sigma_d, "draws": draws,
        "accuracy_32": found["32"].accuracy.mean, "accuracy_bf16": found["bf16"].accuracy.mean,
        "difference": difference.mean, "difference_half_width": difference.half_width,
        "largest_of_a_draw": float(np.abs(difference.values).max()),
    }  # fmt: skip
    points = f"{100 * difference.mean:+.3f} ± {100 * difference.half_width:.3f} points"
    what = (
        f"float32 ÷ bfloat16, {draws} draws over {len(images):,} images of {source()} "
        f"(bfloat16 differs by {points}, {100 * details['largest_of_a_draw']:.2g} at most)"
    )
    return [Ratio("agreement", what, above, below, details=details)]
