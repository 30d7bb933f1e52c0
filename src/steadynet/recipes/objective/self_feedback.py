"""Self-feedback: a scaled copy of the output is its own feedback, which only rescales it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.recipes.objective.feedback import combine, growing_gammas

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.base import Forwards

MOST_COPIES = 1000


@dataclass(frozen=True)
class SelfFeedback:
    """The output itself, of one forward, stands for all N feedbacks: the naive feedback, as a control.

    With γ_n = 10^{n−N} and a_b = a_f = 1/(N+1), as in `OVF`,

        O_total = a_b O − a_f β Σ_{n=1}^{N} γ_n O = c O,   c = a_b − a_f β Σ γ_n,   loss = cross-entropy(O_total / T, y),

    which is cross entropy at the temperature T/c. What `OVF` gains over it at the same options is not the scale of
    the logits.

    Args:
        beta: β; negative for positive feedback.
        n: N, the number of copies, 1 to 1000.
        a_b: Amplification of the output; None for 1/(N+1).
        a_f: Amplification of the feedback; None for 1/(N+1).
        temperature: T > 0.

    Raises:
        SteadyNetError: If a value is out of its range, or c is not positive: the logits would vanish or turn round.

    Source:
        "Negative Feedback Training", section 3.1.
    """

    beta: float = 1e-3
    n: int = 3
    a_b: float | None = None
    a_f: float | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_number("beta", self.beta)
        check_integer("n", self.n, at_least=1, at_most=MOST_COPIES)
        check_number("temperature", self.temperature, above=0)
        for what, value in (("a_b", self.a_b), ("a_f", self.a_f)):
            if value is not None:
                check_number(what, value)
        if self.scale <= 0:
            raise SteadyNetError(
                f"self-feedback leaves {self.scale:g} of the output, which must be more than 0: lower beta or a_f"
            )

    @property
    def scale(self) -> float:
        """What is left of the output: c = a_b − a_f β Σ γ_n."""
        mean = 1 / (self.n + 1)
        a_b, a_f = (mean if given is None else given for given in (self.a_b, self.a_f))
        return a_b - a_f * self.beta * sum(growing_gammas(self.n))

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return an empty module: nothing is trained beside the backbone."""
        from torch import nn

        return nn.Module()

    def check(self, sigma_d: float) -> None:
        """Accept every σ_d."""

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss of one forward, fed back to itself."""
        output = forwards.backbone().output
        copies = [output] * self.n
        total = combine(output, copies, growing_gammas(self.n), beta=self.beta, a_b=self.a_b, a_f=self.a_f)
        return forwards.task_loss(total / self.temperature)
