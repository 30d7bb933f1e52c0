"""The four roles of a training recipe, as protocols, and what a training step offers to them.

    variation   what error do the weights see in training?
    objective   what is minimised?
    constraint  what keeps the weights in shape?
    step        how is the gradient taken?

Any four parts fit together. Each part is a frozen dataclass that says what it needs, and nothing here
imports torch, so that a recipe can be checked at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.nvm.device import Device
    from steadynet.recipes.objective.taps import Tap
    from steadynet.recipes.variation import Chips

# Metadata of a part's field that decides how a training is computed and not what comes out: it makes no other training.
SAME_NUMBERS: Mapping[str, bool] = MappingProxyType({"same_numbers": True})


class Pass(NamedTuple):
    """What one forward of the backbone gives: its output, and the feature map at each tap asked for."""

    output: Tensor
    features: tuple[Tensor, ...]


class Forwards(Protocol):
    """One training step, as an objective sees it: forwards of the batch at hand, at will."""

    @property
    def parts(self) -> nn.Module:
        """The module that the objective's `setup` made."""
        ...

    @property
    def inputs(self) -> Any:
        """The batch's inputs."""
        ...

    @property
    def sigma_d(self) -> float:
        """The σ_d that the weights see in this step; 0 without variation."""
        ...

    def backbone(
        self,
        *,
        pass_: int = 0,
        sigma_d: float | None = None,
        raised: Sequence[str] = (),
        ideal: bool = False,
        update_batchnorm: bool = True,
        taps: Sequence[Tap] = (),
        recompute: bool = False,
    ) -> Pass:
        """Run the backbone on a chip of its own.

        Args:
            pass_: Which errors; the same pass has the same standard normals at every `sigma_d`.
            sigma_d: Their std; the step's own if None.
            raised: Patterns of the parameters that err at `sigma_d`, the others being as the step has them; all if empty.
            ideal: Whether the devices are without any error, stuck ones and drift included: weights are quantised alone.
            update_batchnorm: Whether BatchNorm's running statistics learn from this forward.
            taps: Where to catch feature maps.
            recompute: Whether the forward keeps neither its activations nor its chip, and runs again in the
                backward, with the same chip, dropout and statistics: a forward's time for its memory. It has no taps.
        """
        ...

    def part(self, name: str, *inputs: Tensor, noisy: bool = True, pass_: int = 0) -> Tensor:
        """Run the child `name` of `parts`, its weights as noisy as the backbone's unless `noisy` is False."""
        ...

    def task_loss(self, output: Tensor) -> Tensor:
        """Return the task's loss of `output` against the batch's targets: cross entropy by default."""
        ...


@runtime_checkable
class TrainingVariation(Protocol):
    """What error the weights see in training."""

    @property
    def chips(self) -> Chips:
        """How many chips share the batch of a step."""
        ...

    def device(self, deployed: Device) -> Device | None:
        """Return the device that training simulates for one that is deployed; None for clean weights."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What is minimised."""

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return the module whose parameters are trained beside the backbone's and dropped after.

        Args:
            backbone: The user's model.
            example: A small batch of its inputs.
            seed: Of initial weights.
            layout: What of the backbone lies on devices; the rule's answer if None.

        Raises:
            SteadyNetError: If the objective cannot be used on this backbone.
        """
        ...

    def check(self, sigma_d: float) -> None:
        """Raise `SteadyNetError` if the objective cannot be used at this training `sigma_d`."""
        ...

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss of one step, a scalar."""
        ...


@runtime_checkable
class Constraint(Protocol):
    """What keeps the weights in shape. `FreeWeights` has all of its methods, each of which does nothing."""

    @property
    def pace(self) -> float:
        """The learning rate over that of the settings."""
        ...

    @property
    def settled(self) -> float:
        """The share of steps, 0 to 1, from which the weights are kept as they are to be deployed; later epochs are chosen."""
        ...

    def rates(self, state: nn.Module) -> Mapping[str, float]:
        """Return the learning rates of weights that have one of their own, by name, whatever the settings say."""
        ...

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module of what the constraint learns or remembers, beside the backbone.

        Args:
            weights: The backbone's trainable weights that lie on devices, by name, as they are before training.
            sigma_d: The σ_d that training sees.
            layout: How they lie on devices; outputs first if None.

        Raises:
            SteadyNetError: If the constraint cannot be used on them.
        """
        ...

    def transform(self, name: str, weight: Tensor, state: nn.Module) -> Tensor:
        """Return the weight that is programmed for one that is trained; the same tensor if it is programmed as it is.

        The deployed backbone holds what is programmed. `state` is what `setup` made.
        """
        ...

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return what is added to the loss, a scalar, for the weights that are programmed; None for nothing."""
        ...

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Change the trained weights in place after an optimiser step; `progress` is the share of steps taken, 0 to 1."""
        ...


class FreeWeights:
    """A constraint that leaves the weights alone: what others start from."""

    @property
    def pace(self) -> float:
        """The learning rate of the settings."""
        return 1.0

    @property
    def settled(self) -> float:
        """From the beginning."""
        return 0.0

    def rates(self, state: nn.Module) -> Mapping[str, float]:
        """Return none: weights have the learning rate of all parameters."""
        return {}

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return an empty module: nothing is learned or remembered."""
        from torch import nn

        return nn.Module()

    def transform(self, name: str, weight: Tensor, state: nn.Module) -> Tensor:
        """Return the weight: it is programmed as it is."""
        return weight

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return None: nothing is added to the loss."""
        return None

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Leave the weights alone."""


def touches_weights(constraint: Constraint) -> bool:
    """Return whether a constraint does anything but set the learning rate of all parameters."""
    several: tuple[Constraint, ...] | None = getattr(constraint, "constraints", None)
    if several is not None:
        return any(touches_weights(one) for one in several)
    own = ("rates", "setup", "transform", "penalty", "project")
    return any(getattr(type(constraint), name, None) is not getattr(FreeWeights, name) for name in own)


class Evaluation(Protocol):
    """The loss of one step, to be evaluated at the weights and near them.

    Every evaluation sees the same batch, the same chips and the same dropout; BatchNorm learns from the first alone.
    """

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The backbone's trainable parameters by name, as they are trained."""
        ...

    @property
    def on_devices(self) -> Collection[str]:
        """The names of those that lie on devices."""
        ...

    def __call__(self, offsets: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the loss with `offsets` added to the parameters that they name; no gradient goes to the offsets."""
        ...

    def gradient(self, names: Collection[str]) -> Mapping[str, Tensor]:
        """Return the loss's gradient at the parameters that are named, the mean over all processes."""
        ...


@runtime_checkable
class Step(Protocol):
    """How the gradient is taken."""

    def loss(self, evaluation: Evaluation) -> Tensor:
        """Return the loss whose one backward gives the step's gradient."""
        ...
