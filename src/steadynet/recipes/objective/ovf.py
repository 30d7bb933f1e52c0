"""Oriented variational forward (OVF): the feedback is the same weights under larger variation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from steadynet.errors import SteadyNetError, check_bool, check_choice, check_integer, check_number
from steadynet.recipes.base import SAME_NUMBERS
from steadynet.recipes.objective.feedback import GammaOrder, check_feedback, combine, growing_gammas

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.base import Forwards

BatchNormPasses = Literal["all", "backbone"]
BATCHNORM_PASSES: tuple[BatchNormPasses, ...] = ("all", "backbone")
Memory = Literal["fast", "lean"]
MEMORIES: tuple[Memory, ...] = ("fast", "lean")
MOST_FORWARDS = 1000


@dataclass(frozen=True)
class OVF:
    """N more forwards of the same clean weights at σ_d + n Δσ are subtracted from the output.

    With γ_n = 10^{n−N} (the noisiest weighs 1) and a_b = a_f = 1/(N+1),

        O_total = a_b O(σ_d) − a_f β Σ_{n=1}^{N} γ_n O(σ_d + n Δσ),   loss = cross-entropy(O_total / T, y).

    Each forward has its own draw, and the gradient flows through all of them.

    Args:
        beta: β. The authors chose it by a search over 1e-1 … 1e-4: VGG-8 1e-3; ResNet-18 1e-4 on
            MNIST, 1e-1 on CIFAR-10 and -100, 1e-2 on Tiny ImageNet. A negative one adds the feedback
            instead of subtracting it: a control, for feedback that is positive.
        n: N, the number of feedback forwards, 1 to 1000.
        delta_sigma: Δσ; it may be negative as long as no σ_d + n Δσ is.
        gamma: "paper", or "reversed" (the least noisy weighs 1).
        a_b: Amplification of the backbone's output; None for 1/(N+1).
        a_f: Amplification of the feedback; None for 1/(N+1).
        temperature: T > 0.
        detach_feedback: Whether the feedback is a constant in the gradient (off in the authors' code).
        rescale_draws: Whether all forwards share one draw, rescaled to their σ, instead of a draw each.
        batchnorm: Which forwards update BatchNorm's running statistics: "all" (as the authors' code
            does) or "backbone" alone, so that the deployed statistics belong to σ_d.
        feedback_layers: Names of the parameters whose σ_d grows in the feedback forwards, with * for any text
            (as in `Device.include`); the others are at σ_d there too, with the draw of that forward. Empty for
            all, as the paper says. The authors' code raises the stem and the last layer of ResNet-18 alone:
            ("conv.weight", "fc.weight") here.
        memory: "fast" keeps all N + 1 forwards until the backward; "lean" keeps none of them and computes each
            again when the backward comes to it, which takes about a fifth more time and the memory of about one
            forward. Gradients and statistics are the same, so a training may go on with the other one.

    Raises:
        SteadyNetError: If a value is out of its range.

    Source:
        "Negative Feedback Training", Algorithm 1.
    """

    beta: float = 1e-3
    n: int = 3
    delta_sigma: float = 0.05
    gamma: GammaOrder = "paper"
    a_b: float | None = None
    a_f: float | None = None
    temperature: float = 1.0
    detach_feedback: bool = False
    rescale_draws: bool = False
    batchnorm: BatchNormPasses = "all"
    feedback_layers: tuple[str, ...] = ()
    memory: Memory = field(default="fast", metadata=SAME_NUMBERS)

    def __post_init__(self) -> None:
        check_feedback(self.beta, self.gamma, self.a_b, self.a_f, self.temperature)
        check_integer("n", self.n, at_least=1, at_most=MOST_FORWARDS)
        check_number("delta_sigma", self.delta_sigma)
        check_bool("detach_feedback", self.detach_feedback)
        check_bool("rescale_draws", self.rescale_draws)
        check_choice("batchnorm", self.batchnorm, BATCHNORM_PASSES)
        check_choice("memory", self.memory, MEMORIES)
        layers: object = self.feedback_layers
        if not isinstance(layers, tuple | list) or not all(
            isinstance(layer, str) for layer in self.feedback_layers
        ):
            raise SteadyNetError(f"feedback_layers must be a list of name patterns, got {layers!r}")
        object.__setattr__(self, "feedback_layers", tuple(self.feedback_layers))

    @property
    def gammas(self) -> tuple[float, ...]:
        """γ_1 … γ_N."""
        values = growing_gammas(self.n)
        return values if self.gamma == "paper" else values[::-1]

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return an empty module: nothing is trained beside the backbone.

        Raises:
            SteadyNetError: If one of `feedback_layers` matches no parameter that lies on devices.
        """
        from torch import nn

        from steadynet.mapping import layout as layout_of
        from steadynet.mapping import matching

        if self.feedback_layers:
            matching(layout or layout_of(backbone), self.feedback_layers, "feedback layer")

        return nn.Module()

    def check(self, sigma_d: float) -> None:
        """Raise `SteadyNetError` if a feedback forward would have a negative σ."""
        lowest = sigma_d + self.n * self.delta_sigma
        if lowest < -1e-12:
            raise SteadyNetError(
                f"sigma_d {sigma_d:g} + {self.n} · delta_sigma {self.delta_sigma:g} = {lowest:g} is negative: "
                "raise delta_sigma, or lower n"
            )

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss of N + 1 forwards."""
        import torch

        lean = self.memory == "lean"
        output = forwards.backbone(recompute=lean).output
        feedback: list[Tensor] = []
        for n in range(1, self.n + 1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_feedback):
                result = forwards.backbone(
                    pass_=0 if self.rescale_draws else n,
                    sigma_d=max(0.0, forwards.sigma_d + n * self.delta_sigma),
                    raised=self.feedback_layers,
                    update_batchnorm=self.batchnorm == "all",
                    recompute=lean,
                )
            feedback.append(result.output)
        total = combine(output, feedback, self.gammas, beta=self.beta, a_b=self.a_b, a_f=self.a_f)
        return forwards.task_loss(total / self.temperature)
