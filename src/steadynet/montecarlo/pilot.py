"""How many blocks to cut the images into: variance components and costs from a few chips on a few images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steadynet.montecarlo.intervals import Values

FIRST_LOOK = 100  # block draws before the interval may stop the work


@dataclass(frozen=True)
class Pilot:
    """What decides the number of blocks, and nothing else: from draws that no reported figure uses, on some of the images.

    Attributes:
        draw_variance: Variance of accuracy between chips, over all images.
        residual_variance: Variance of one image's correctness on one chip, beyond the chip's and the image's own share.
        program_seconds: Cost of one programming.
        image_seconds: Cost of one image.
    """

    draw_variance: float
    residual_variance: float
    program_seconds: float
    image_seconds: float

    def blocks(self, images: int, half_width: float) -> int:
        """Return B for a test set of so many images.

        A block draw over n images has variance v(n) = draw_variance + residual_variance/n and costs programming + n · image;
        v(n) times that cost is least at n = sqrt(residual · programming / (draw · image)). B is the number of such blocks,
        but not so many that fewer than three cycles would reach the half-width, nor so few that the first look, at 100
        block draws, costs more than two passes over the images.
        """
        draw = max(self.draw_variance, 1e-12)
        best = math.sqrt(
            max(self.residual_variance, 1e-12) * self.program_seconds / (draw * self.image_seconds)
        )
        size = min(max(best, 1.0), float(images))
        needed = (self.draw_variance + self.residual_variance / size) * (1.96 / half_width) ** 2
        floor = FIRST_LOOK // 2
        return min(images, max(floor, min(round(images / size), math.floor(needed / 3))))


def from_table(right: Values, program_seconds: float, pass_seconds: float) -> Pilot:
    """Return what a table of chips × images says, by a two-way analysis of variance without replication.

    The residual mean square estimates residual_variance; the variance of the chips' means less its share of that,
    draw_variance.

    Args:
        right: 1 where the image is right on the chip, else 0 [D, T].
        program_seconds: Mean cost of one programming.
        pass_seconds: Mean cost of the T images.
    """
    draws, count = right.shape
    residuals = right - right.mean(axis=1, keepdims=True) - right.mean(axis=0, keepdims=True) + right.mean()
    residual = float((residuals**2).sum()) / ((draws - 1) * (count - 1))
    between = float(right.mean(axis=1).var(ddof=1)) - residual / count
    return Pilot(max(0.0, between), residual, program_seconds, pass_seconds / count)
