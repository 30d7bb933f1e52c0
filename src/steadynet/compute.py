"""How an evaluation is computed: where, how exactly, and by how many at once. Free of torch.

None of it changes which chips are simulated. Precision and the rest change results as rounding does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steadynet.errors import SteadyNetError, check_choice, check_integer

EvaluationPrecision = Literal["32", "bf16", "auto"]
EVALUATION_PRECISIONS: tuple[EvaluationPrecision, ...] = ("32", "bf16", "auto")


@dataclass(frozen=True)
class Compute:
    """How an evaluation is computed.

    Args:
        device: Where: "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU if there is one; where the model lies if None.
        precision: "32" computes in the model's own precision, which reported numbers should; "bf16" casts each chip to
            bfloat16 once and computes by autocast; "auto" is "bf16" where the hardware multiplies bfloat16 fast, else "32".
        channels_last: Whether activations lie channels-last in memory.
        compile: Whether the network is compiled by `torch.compile`, which takes a while at first.
        chunk: Chips computed at once by `vmap`, or "auto" to time the loop and chunks on the first images and take what is
            faster. 1 by default: it gives a figure the same rounding in every run. For chips that each see all images.
        processes: Processes of this machine that chips are spread over, each with its share of the CPU's cores.
        ray: "local", or HOST:PORT of a Ray cluster's head, whose CPUs chips are spread over (the extra `ray`).

    Raises:
        SteadyNetError: If a value cannot be used, or two of them together.
    """

    device: str | None = None
    precision: EvaluationPrecision = "32"
    channels_last: bool = False
    compile: bool = False
    chunk: int | Literal["auto"] = 1
    processes: int = 1
    ray: str | None = None

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, EVALUATION_PRECISIONS)
        check_integer("processes", self.processes, at_least=1)
        if isinstance(self.chunk, str):
            check_choice("chunk", self.chunk, ("auto",))
        else:
            check_integer("chunk", self.chunk, at_least=1)
        if self.compile and self.chunk != 1:
            raise SteadyNetError("compile and chunk do not go together: a compiled network runs chip by chip")
        if self.ray is not None and not self.ray.strip():
            raise SteadyNetError("ray must be 'local' or the HOST:PORT of a cluster's head, got ''")

    @property
    def alone(self) -> bool:
        """Whether this process does all the work."""
        return self.processes == 1 and self.ray is None
