"""What is measured on the logits of one draw, as sums that add up over batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from steadynet.errors import SteadyNetError

BINS = 15


@dataclass(frozen=True)
class DrawSums:
    """Sums over the images of one draw (or a batch of it), float64.

    Attributes:
        images: How many.
        correct: Correct predictions.
        nll: Σ −log p_y.
        brier: Σ Σ_c (p_c − [c = y])².
        ekl: Σ over correct predictions of −log p_y = KL(one-hot ‖ softmax).
        bins: [3, BINS]: count, Σ confidence, Σ correct of the predictions by their confidence.
    """

    images: int
    correct: float
    nll: float
    brier: float
    ekl: float
    bins: Tensor

    def __add__(self, other: DrawSums) -> DrawSums:
        return DrawSums(
            self.images + other.images,
            self.correct + other.correct,
            self.nll + other.nll,
            self.brier + other.brier,
            self.ekl + other.ekl,
            self.bins + other.bins,
        )

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: Σ_bins share of the bin · |its accuracy − its mean confidence|.

        Source:
            Guo et al., "On calibration of modern neural networks", 2017; 15 bins of equal width.
        """
        count, confidence, correct = self.bins
        return float((confidence - correct).abs().sum() / count.sum())


@dataclass(frozen=True, eq=False)
class ImageFigures:
    """The figures of each image of a batch, float64.

    Attributes:
        log_p: Log of the softmax [B, C].
        p: The softmax [B, C].
        confidence: Its largest value [B].
        correct: Whether that is the label's [B].
        nll: −log p_y [B].
        brier: Σ_c (p_c − [c = y])² [B].
        ekl: nll where the prediction is correct, else 0 [B].
    """

    log_p: Tensor
    p: Tensor
    confidence: Tensor
    correct: Tensor
    nll: Tensor
    brier: Tensor
    ekl: Tensor


def image_figures(logits: Tensor, labels: Tensor) -> ImageFigures:
    """Return the figures of each image.

    Args:
        logits: [B, C].
        labels: [B], class numbers of any integer type.

    Raises:
        SteadyNetError: If the logits are not finite, or the labels are no class numbers or outside the classes.
    """
    if logits.dim() != 2 or len(logits) != len(labels):
        raise SteadyNetError(f"logits must be [{len(labels)}, classes], got {tuple(logits.shape)}")
    if not bool(torch.isfinite(logits).all()):
        raise SteadyNetError(
            "the network's output is NaN or infinite: its weights are broken, or sigma_d is too large"
        )
    if labels.dim() != 1 or labels.is_floating_point():
        raise SteadyNetError(
            f"labels must be one class number each, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    low, high = torch.aminmax(labels)
    if int(low) < 0 or int(high) >= logits.shape[1]:
        raise SteadyNetError(
            f"labels run from {int(low)} to {int(high)}, the network has classes 0 to {logits.shape[1] - 1}"
        )
    # MPS has no float64, and the rest is small: leave the device here.
    log_p = torch.log_softmax(logits.detach().cpu().double(), dim=1)
    labels = labels.cpu().long()
    p = log_p.exp()
    confidence, prediction = p.max(dim=1)
    correct = prediction == labels
    nll = -log_p.gather(1, labels[:, None])[:, 0]
    brier = (p**2).sum(1) - 2 * p.gather(1, labels[:, None])[:, 0] + 1
    return ImageFigures(log_p, p, confidence, correct, nll, brier, torch.where(correct, nll, 0.0))


def measure(logits: Tensor, labels: Tensor) -> tuple[DrawSums, Tensor, Tensor]:
    """Return the sums of a batch, its softmax [B, C] and each row's entropy [B] (natural units), float64.

    Args:
        logits: [B, C].
        labels: [B], class numbers of any integer type.

    Raises:
        SteadyNetError: As `image_figures`.
    """
    found = image_figures(logits, labels)
    index = (found.confidence * BINS).ceil().long().sub_(1).clamp_(0, BINS - 1)
    bins = torch.zeros(3, BINS, dtype=torch.float64)
    bins[0].index_add_(0, index, torch.ones_like(found.confidence))
    bins[1].index_add_(0, index, found.confidence)
    bins[2].index_add_(0, index, found.correct.double())
    sums = DrawSums(
        len(labels),
        float(found.correct.sum()),
        float(found.nll.sum()),
        float(found.brier.sum()),
        float(found.ekl.sum()),
        bins,
    )
    return sums, found.p, -(found.p * found.log_p).sum(1)


def entropy(p: Tensor) -> Tensor:
    """Return −Σ_c p_c log p_c of each row of [B, C], 0 log 0 = 0."""
    return cast(Tensor, torch.special.entr(p)).sum(1)
