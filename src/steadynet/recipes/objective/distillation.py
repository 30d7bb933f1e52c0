"""Distillation: the noisy network learns a teacher's outputs beside the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, check_bool, check_number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.base import Forwards

SELF = "self"


@dataclass(frozen=True)
class Distillation:
    """The loss draws the output under variation, O, to the labels and to a teacher's output O_t.

        loss = (1 − α) cross-entropy(O/T, y) + α τ² KL(softmax(O_t / (T_t τ)) ‖ softmax(O / (T τ))).

    T_t is T where the teacher is the network itself, whose logits are of the same scale, and 1 for another one. The teacher
    gets no gradient.

    Args:
        teacher: "self", the network's own clean weights in the same step (one more forward, no BatchNorm learns from it); or
            the folder of a finished run, of any network; or a file of weights of the same network.
        weight: α in (0, 1]; below 1 with the teacher "self", which knows no label but by the student.
        softness: τ > 0.
        temperature: T > 0.
        teacher_noise: Whether the teacher's weights are as noisy as the student's, by a draw of its own.

    Raises:
        SteadyNetError: If a value is out of its range.

    Source:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; with a clean teacher and a noisy student,
        Zhou et al., "Noisy Machines", 2020.
    """

    teacher: str = SELF
    weight: float = 0.5
    softness: float = 4.0
    temperature: float = 1.0
    teacher_noise: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.teacher, str) or not self.teacher:
            raise SteadyNetError(
                f"teacher must be 'self', the folder of a run, or a file of weights, got {self.teacher!r}"
            )
        check_number("distill_weight", self.weight, above=0, at_most=1)
        if self.weight == 1 and self.teacher == SELF:
            raise SteadyNetError(
                "distill_weight 1 with the teacher 'self' leaves nobody who knows a label: take less, or another teacher"
            )
        check_number("softness", self.softness, above=0)
        check_number("temperature", self.temperature, above=0)
        check_bool("teacher_noise", self.teacher_noise)

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return the teacher under the name "teacher"; an empty module where it is the network itself.

        Raises:
            SteadyNetError: If the backbone's output is no logits [B, C] of two classes or more, or the teacher cannot be read
                or gives another number of them.
        """
        from torch import nn

        from steadynet.recipes.objective.teacher import logits, read_teacher

        # A softmax over anything else would be no distribution over classes.
        if logits(backbone, example, "the network") < 2:
            raise SteadyNetError(
                "a network of one output has no classes to be taught: take another recipe than distillation"
            )
        if self.teacher == SELF:
            return nn.Module()

        return nn.ModuleDict({"teacher": read_teacher(self.teacher, backbone, example)})

    def check(self, sigma_d: float) -> None:
        """Accept every σ_d."""

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss of one forward of the student and one of the teacher."""
        import torch
        from torch.nn import functional as F

        output = forwards.backbone().output / self.temperature
        with torch.no_grad():
            taught = self._taught(forwards)
        # float32 or wider: autocast's bfloat16 is too coarse for what is left of a softened distribution.
        wide = torch.promote_types(output.dtype, torch.float32)
        own = (output.to(wide) / self.softness).log_softmax(-1)
        aim = (taught.to(wide) / self.softness).log_softmax(-1)
        distance = F.kl_div(own, aim, reduction="batchmean", log_target=True)
        loss = self.weight * self.softness**2 * distance
        if self.weight == 1:
            return loss
        return (1 - self.weight) * forwards.task_loss(output) + loss

    def _taught(self, forwards: Forwards) -> Tensor:
        if self.teacher != SELF:
            return forwards.part("teacher", forwards.inputs, noisy=self.teacher_noise)
        # A pass of its own: the student's errors are not the teacher's.
        if self.teacher_noise:
            taught = forwards.backbone(pass_=1, sigma_d=forwards.sigma_d, update_batchnorm=False)
        else:
            taught = forwards.backbone(pass_=1, ideal=True, update_batchnorm=False)
        return taught.output / self.temperature
