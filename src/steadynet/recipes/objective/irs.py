"""Intermediate representation snapshot (IRS): the feedback is classifiers on intermediate feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, check_bool, check_integer
from steadynet.recipes.objective.feedback import GammaOrder, check_feedback, combine

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.base import Forwards


@dataclass(frozen=True)
class IRS:
    """Classifiers on N feature maps of the same noisy forward are subtracted from the output.

    With γ_n = 10^{1−n} (the shallowest weighs 1) and a_b = a_f = 1/(N+1),

        O_total = a_b O − a_f β Σ_{n=1}^{N} γ_n head_n(feature_n),   loss = cross-entropy(O_total / T, y).

    A head is average pooling, a linear layer to `heads_hidden`, ReLU, and a linear layer to the classes; heads are
    trained with the backbone, as noisy as it is, and dropped after training.

    Args:
        beta: β. The authors' choices: VGG-8 1e-2 on MNIST and 1e-1 on CIFAR-10; ResNet-18 1e-1 on
            MNIST, 1e-3 on CIFAR-10 and -100, 1e-2 on Tiny ImageNet. A negative one adds the heads' outputs
            instead of subtracting them: a control, for feedback that is positive.
        n: N ≥ 1, the shallowest taps that are used; None for all that the rule finds. One more than those
            adds the last block's.
        gamma: "paper", or "reversed" (the deepest weighs 1).
        a_b: Amplification of the backbone's output; None for 1/(N+1).
        a_f: Amplification of the feedback; None for 1/(N+1).
        temperature: T > 0.
        detach_feedback: Whether the backbone gets no gradient from the heads (they still learn).
        heads_noise: Whether the heads' weights are noisy too.
        heads_hidden: Width of a head's hidden layer.
        taps: Names of the modules whose outputs are tapped, from shallow to deep; by the semantics
            principle if empty (`steadynet.recipes.objective.taps`).

    Raises:
        SteadyNetError: If a value is out of its range.

    Source:
        "Negative Feedback Training", Algorithm 2; head sizes from the authors' public code.
    """

    beta: float = 1e-2
    n: int | None = None
    gamma: GammaOrder = "paper"
    a_b: float | None = None
    a_f: float | None = None
    temperature: float = 1.0
    detach_feedback: bool = False
    heads_noise: bool = True
    heads_hidden: int = 512
    taps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_feedback(self.beta, self.gamma, self.a_b, self.a_f, self.temperature)
        if self.n is not None:
            check_integer("n", self.n, at_least=1)
        check_integer("heads_hidden", self.heads_hidden, at_least=1)
        check_bool("detach_feedback", self.detach_feedback)
        check_bool("heads_noise", self.heads_noise)
        if isinstance(self.taps, str):
            raise SteadyNetError(f"taps must be a list of module names, got the string {self.taps!r}")
        object.__setattr__(self, "taps", tuple(self.taps))
        if self.taps and self.n not in (None, len(self.taps)):
            raise SteadyNetError(f"n = {self.n} contradicts the {len(self.taps)} taps given: leave n out")

    def gammas(self, n: int) -> tuple[float, ...]:
        """γ_1 … γ_n."""
        values = tuple(10.0 ** (1 - i) for i in range(1, n + 1))
        return values if self.gamma == "paper" else values[::-1]

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return the heads, for the taps found on `backbone` by running `example`.

        Raises:
            SteadyNetError: If a tap does not exist, gives no feature map, or there are too few of them.
        """
        from steadynet.recipes.objective.heads import Heads
        from steadynet.recipes.objective.taps import find_taps, named_taps

        found = (
            named_taps(backbone, example, self.taps) if self.taps else find_taps(backbone, example, self.n)
        )
        return Heads.for_taps(backbone, example, found, hidden=self.heads_hidden, seed=seed)

    def check(self, sigma_d: float) -> None:
        """Accept every σ_d."""

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss of one forward and its N heads."""
        from steadynet.recipes.objective.heads import Heads

        heads = forwards.parts
        if not isinstance(heads, Heads):
            raise SteadyNetError(f"IRS needs the heads that its setup makes, got {type(heads).__name__}")
        result = forwards.backbone(taps=heads.taps)
        feedback = [
            forwards.part(name, feature.detach() if self.detach_feedback else feature, noisy=self.heads_noise)
            for name, feature in zip(heads.names, result.features, strict=True)
        ]
        gammas = self.gammas(len(feedback))
        total = combine(result.output, feedback, gammas, beta=self.beta, a_b=self.a_b, a_f=self.a_f)
        return forwards.task_loss(total / self.temperature)
