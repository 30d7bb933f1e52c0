"""What an evaluation is told: which chips see which images, and how it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from steadynet.compute import Compute
from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number
from steadynet.extras import require_extra

Design = Literal["full", "blocks", "auto"]
DRAWS = 200
MOST_DRAWS = 20_000


@dataclass(frozen=True)
class EvaluateOptions:
    """Monte Carlo over simulated chips.

    Args:
        run: Folder of a finished training, or a file of weights; --run may be left out.
        sigma_d: σ_d values to test at; one or more.
        design: full shows each chip all test images; blocks, for means alone, shows each chip one of --blocks blocks of them;
            auto chooses the blocks itself. By default auto with --half-width, blocks with --blocks, else full.
        draws: R, simulated chips per σ_d of design full; 200 by default.
        half_width: Run until the interval of the mean accuracy is ± so many points (design auto or blocks; 0.5 by default).
        blocks: B, blocks that the images are cut into (design blocks).
        cycles: C, passes over all blocks, each with further chips, in quarters, instead of running until --half-width (design
            blocks).
        max_draws: The most chips per σ_d of designs auto and blocks, without --cycles; 20000 by default.
        against: Another run or file of weights, evaluated on the same chips and images: adds the difference of accuracy
            and its own interval, which designs auto and blocks then run for.
        seed: Seed of the chips.
        batch_size: Images at a time; it changes no errors but those of reading, which are new for each batch.
        target_accuracy: Also tell the largest σ_d that keeps this accuracy (a fraction), and the yield at
            each σ_d (design full).
        out: Folder for the JSON, the CSV and the figures; only the terminal by default.
        overwrite: Empty the folder if it already holds results.
        progress: Show a progress bar, on a terminal.
    """

    run: str | None = None
    sigma_d: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3])
    design: Design | None = None
    draws: int | None = None
    half_width: float | None = None
    blocks: int | None = None
    cycles: float | None = None
    max_draws: int | None = None
    against: str | None = None
    seed: int = 0
    batch_size: int = 500
    target_accuracy: float | None = None
    out: str | None = None
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.run is None:
            raise SteadyNetError(
                "name what to evaluate: steadynet evaluate RUN, a folder or a file of weights"
            )
        check_sigmas(self.sigma_d)
        check_integer("--seed", self.seed, at_least=0)
        check_integer("--batch-size", self.batch_size, at_least=1)
        if self.target_accuracy is not None:
            check_number("--target-accuracy", self.target_accuracy, above=0, at_most=1)
        if self.draws is not None:
            check_integer("--draws", self.draws, at_least=1)
        if self.half_width is not None:
            check_number("--half-width (points)", self.half_width, above=0, at_most=50)
        if self.max_draws is not None:
            check_integer("--max-draws", self.max_draws, at_least=100)
        if self.blocks is not None:
            check_integer("--blocks", self.blocks, at_least=1)
        if self.cycles is not None:
            check_number("--cycles", self.cycles, at_least=2)
            if self.cycles * 4 % 1:
                raise SteadyNetError(
                    f"--cycles end at their quarters, got {self.cycles:g}: give 3 or 3.25, say"
                )
        if self.means:
            self._check_means()
        else:
            for name in ("half_width", "blocks", "cycles", "max_draws"):
                if getattr(self, name) is not None:
                    option = f"--{name.replace('_', '-')}"
                    raise SteadyNetError(
                        f"{option} is for means by blocks of images: leave it out, or take --design blocks or auto"
                    )

    def _check_means(self) -> None:
        if self.draws is not None:
            raise SteadyNetError(
                f"--draws is for --design full; design {self.chosen} runs until --half-width, or for --blocks times --cycles"
            )
        if self.target_accuracy is not None:
            raise SteadyNetError(
                "--target-accuracy asks for a yield, which needs chips that each see all images: take --design full"
            )
        if self.chosen == "blocks" and self.blocks is None:
            raise SteadyNetError("--design blocks needs --blocks; --design auto chooses them itself")
        if self.chosen == "auto" and (self.blocks is not None or self.cycles is not None):
            raise SteadyNetError("--design auto chooses the blocks itself: take --design blocks to name them")
        if self.blocks is not None and self.cycles is None and 2 * self.blocks > self.most_draws:
            raise SteadyNetError(
                f"--max-draws {self.most_draws} allows no two cycles over {self.blocks} blocks: "
                f"raise it to {2 * self.blocks} or more"
            )

    @property
    def chosen(self) -> Design:
        """The design, given or from what else is."""
        if self.design is not None:
            return self.design
        if self.blocks is not None or self.cycles is not None:
            return "blocks"
        return "full" if self.half_width is None else "auto"

    @property
    def most_draws(self) -> int:
        """The most chips for each σ_d, where no number of cycles is given."""
        return MOST_DRAWS if self.max_draws is None else self.max_draws

    @property
    def means(self) -> bool:
        """Whether means alone are asked for."""
        return self.chosen != "full"


@dataclass(frozen=True)
class ComputeOptions:
    """How it is computed; this changes no chip.

    Args:
        accelerator: auto (a GPU if there is one), cpu, cuda (or gpu) or mps.
        precision: 32 (or fp32), the network's own; bf16, faster where the hardware multiplies it; or auto, bf16 where that is
            faster.
        channels_last: Lay images channels-last in memory, which is faster for convolutions on most hardware.
        compile: Compile the network by torch.compile, which takes a while at first.
        chunk: Chips computed at once, or auto to time both ways on the first images; may help small networks, small batches
            and GPUs (design full).
        processes: Processes of this machine that chips are spread over.
        ray: local, or HOST:PORT of a Ray cluster's head, that chips are spread over (extra ray).
    """

    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps"] = "auto"
    precision: Literal["32", "fp32", "bf16", "auto"] = "32"
    channels_last: bool = False
    compile: bool = False
    chunk: int | Literal["auto"] = 1
    processes: int = 1
    ray: str | None = None

    def __post_init__(self) -> None:
        check_choice("--accelerator", self.accelerator, ("auto", "cpu", "cuda", "gpu", "mps"))
        self.build()
        if self.ray is not None:
            require_extra("ray", "--ray")

    def build(self) -> Compute:
        """Return it as the library takes it."""
        return Compute(
            # train's words for the same.
            device="cuda" if self.accelerator == "gpu" else self.accelerator,
            precision="32" if self.precision == "fp32" else self.precision,
            channels_last=self.channels_last,
            compile=self.compile,
            chunk=self.chunk,
            processes=self.processes,
            ray=self.ray,
        )


def check_sigmas(values: Sequence[float]) -> None:
    """Raise unless `values` are σ_d values, at least one, none twice."""
    if not values:
        raise SteadyNetError("--sigma-d needs at least one value")
    for value in values:
        check_number("--sigma-d", value, at_least=0)
    if len(set(values)) < len(values):
        raise SteadyNetError(f"--sigma-d names a value twice: {' '.join(f'{value:g}' for value in values)}")
