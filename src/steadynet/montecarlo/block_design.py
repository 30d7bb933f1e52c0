"""How many blocks of images and cycles of chips, or how narrow an interval: what the designs blocks and auto are told."""

from __future__ import annotations

from dataclasses import dataclass

from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.montecarlo.pilot import FIRST_LOOK

HALF_WIDTH = 0.005
QUARTERS = 4  # of a cycle, after each of which the work may end


@dataclass(frozen=True)
class BlockDesign:
    """How many blocks and cycles, or how narrow an interval.

    Args:
        half_width: Of the 95 % interval of the accuracy, as a fraction: cycles are run until it is as narrow, looking
            first at 100 block draws. 0.005 if neither it nor `cycles` is given.
        blocks: B; chosen by a pilot of 20 chips on 200 images if None. The pilot's draws are in no figure.
        cycles: C, a fixed number in quarters, for which `blocks` must be given: they end the work, however wide the
            interval.
        max_draws: The most block draws where no number of cycles is given; if they do not suffice, the result says so.

    Raises:
        SteadyNetError: If a number is out of range, there are fewer than two cycles, `max_draws` does not allow two,
            or values contradict each other.
    """

    half_width: float | None = None
    blocks: int | None = None
    cycles: float | None = None
    max_draws: int = 20_000

    def __post_init__(self) -> None:
        check_integer("max_draws", self.max_draws, at_least=FIRST_LOOK)
        if self.half_width is not None:
            check_number("half_width", self.half_width, above=0, at_most=0.5)
        if self.blocks is not None:
            check_integer("blocks", self.blocks, at_least=1)
            if self.cycles is None and 2 * self.blocks > self.max_draws:
                raise SteadyNetError(
                    f"max_draws {self.max_draws} allows no two cycles over {self.blocks} blocks: "
                    f"raise it to {2 * self.blocks} or more"
                )
        if self.cycles is not None:
            check_number("cycles", self.cycles, above=0)
            if self.cycles * QUARTERS % 1:
                raise SteadyNetError(
                    f"cycles end at their quarters, got {self.cycles:g}: give 3 or 3.25, say"
                )
            if self.blocks is None:
                raise SteadyNetError("cycles need blocks: say how many blocks each goes over")
            if self.cycles < 2:
                raise SteadyNetError(
                    f"an interval needs at least 2 cycles over the blocks, got {self.cycles:g}"
                )

    @property
    def target(self) -> float | None:
        """The half-width that is wanted, if one is."""
        if self.half_width is None and self.cycles is None:
            return HALF_WIDTH
        return self.half_width

    def check(self, images: int, *, alike: bool) -> None:
        """Raise `SteadyNetError` if it cannot be done with so many images, or chips are all alike."""
        if alike:
            raise SteadyNetError("at sigma_d 0 all chips are alike: monte_carlo runs the one there is")
        if images < 2:
            raise SteadyNetError(f"blocks need at least 2 images, got {images}")
        if self.blocks is not None and self.blocks > images:
            raise SteadyNetError(
                f"{self.blocks} blocks are more than the {images} images: ask for {images} or fewer"
            )
