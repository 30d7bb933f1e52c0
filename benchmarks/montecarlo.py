"""One chip over all test images by the engine, over a plain pass of the clean network."""

from __future__ import annotations

import torch

from benchmarks.harness import Ratio, Side, Target
from benchmarks.profiling import measured
from benchmarks.steps import BF16, CLASSES, FP32, Form, device, network
from benchmarks.task import Task
from steadynet.compute import Compute
from steadynet.montecarlo.session import Session

BATCH = 500


def draw_fp32(task: Task) -> list[Ratio]:
    """Return a draw over a pass in float32."""
    return [_row(task, "draw-fp32", FP32)]


def draw_bf16(task: Task) -> list[Ratio]:
    """Return a draw over a pass in bfloat16, channels-last."""
    return [_row(task, "draw-bf16", BF16)]


def _row(task: Task, name: str, form: Form) -> Ratio:
    scale = task.scale
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(scale.images, 3, scale.size, scale.size, generator=generator)
    labels = torch.randint(0, CLASSES, (scale.images,), generator=generator)
    net = network(scale).eval()
    compute = Compute(precision=form.precision, channels_last=form.channels_last)
    draws = 0
    with Session(
        net, device(), (images, labels), seed=0, stream="test", batch_size=BATCH, compute=compute
    ) as session:

        def draw() -> None:
            nonlocal draws
            for _ in session.draws(device().sigma_d, [draws]):
                draws += 1

        return measured(
            name,
            f"one full draw over {scale.images:,} images ÷ plain clean pass, both {form}",
            draw,
            clean_pass(net, images, labels, form),
            rounds=scale.long_rounds,
            target=Target(1.05, "at most"),
            profiled=scale.judged,
        )


def clean_pass(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, form: Form) -> Side:
    """Return plain PyTorch's pass, which counts what is right; the images lie in memory in their batches."""
    starts = range(0, len(images), BATCH)
    batches = [form.laid(images[start : start + BATCH]) for start in starts]
    truth = [labels[start : start + BATCH] for start in starts]

    @torch.no_grad()
    def clean() -> int:
        with form.autocast():
            return sum(
                int((net(part).argmax(1) == own).sum()) for part, own in zip(batches, truth, strict=True)
            )

    return clean
