"""A law of programming and what befalls the devices afterwards: `Gaussian(0.1) + Stuck(lrs=0.01) + Drift(3600)`.

Effects see conductances relative to the largest, x = g/g_max, in the order in which they are written. What comes before
the first effect that is new at each reading is computed once a chip; that effect, and what is written after it, for each
reading, of which only such effects draw other numbers then.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from steadynet.errors import SteadyNetError

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device
    from steadynet.nvm.variation import Variation
    from steadynet.randomness import Source


@runtime_checkable
class Effect(Protocol):
    """What befalls programmed devices. A frozen dataclass, so that it is a value and can be told apart from others."""

    @property
    def per_weight(self) -> bool:
        """Whether it is a law of whole weights too, so that no device need be drawn for itself."""
        ...

    @property
    def per_read(self) -> bool:
        """Whether it is new at each reading of the chip."""
        ...

    @property
    def compensated(self) -> bool:
        """Whether weights are scaled after it, tensor by tensor, so that their mean magnitude is what it was before."""
        ...

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return the conductances after it.

        Args:
            x: Conductances relative to the largest [S, J, *shape]: S crossbars, that of the weight's sign first.
            targets: What they were aimed at, of the same shape.
            device: Bits and mapping.
            source: Where random numbers are drawn.
        """
        ...

    def on_weights(
        self, weights: Tensor, clean: Tensor, unit: Tensor, device: Device, source: Source
    ) -> Tensor:
        """Return the weights after it; asked only where `per_weight` is True.

        Args:
            weights: As they are before it.
            clean: What they were aimed at.
            unit: The weight that one code step stands for, broadcastable to them.
            device: Bits and mapping.
            source: Where random numbers are drawn.
        """
        ...


class DeviceEffect:
    """An effect that each device has for itself, once a chip; effects that differ override what differs."""

    @property
    def draws_as(self) -> str:
        """What its random numbers are called; effects of one device that share this name draw apart all the same."""
        return type(self).__name__

    @property
    def per_weight(self) -> bool:
        """False: it is no law of whole weights."""
        return False

    @property
    def per_read(self) -> bool:
        """False: it is a chip's own."""
        return False

    @property
    def compensated(self) -> bool:
        """False: weights stay as it leaves them."""
        return False

    def on_weights(
        self, weights: Tensor, clean: Tensor, unit: Tensor, device: Device, source: Source
    ) -> Tensor:
        """Raise `SteadyNetError`: there is no such law."""
        raise SteadyNetError(f"{type(self).__name__} is no law of whole weights")


def numbered(effects: Sequence[Effect]) -> tuple[tuple[int, Effect], ...]:
    """Return the effects, each with how many before it draw under the same name: `Read(0.03) + Read(0.04)` err apart."""
    seen: Counter[str] = Counter()
    found: list[tuple[int, Effect]] = []
    for effect in effects:
        name = str(getattr(effect, "draws_as", type(effect).__name__))
        found.append((seen[name], effect))
        seen[name] += 1
    return tuple(found)


@dataclass(frozen=True)
class Composed:
    """A law of programming with effects after it.

    Args:
        law: How programming errs. `sigma_d` is its, and `at` changes its alone.
        effects: What befalls the devices then, in order.

    Raises:
        SteadyNetError: If `law` is no law, or an effect no `Effect`.
    """

    law: Variation
    effects: tuple[Effect, ...]

    def __post_init__(self) -> None:
        from steadynet.nvm.variation import Variation

        if isinstance(self.law, type | Composed) or not isinstance(self.law, Variation):
            raise SteadyNetError(
                f"effects are added to a law of programming such as Gaussian(0.1), got {self.law!r}"
            )
        object.__setattr__(self, "effects", tuple(self.effects))
        for effect in self.effects:
            if isinstance(effect, type) or not isinstance(effect, Effect):
                raise SteadyNetError(
                    f"an effect must be one such as Stuck(lrs=0.01) or Drift(3600), got {effect!r}"
                )

    def __add__(self, effect: Effect) -> Composed:
        return Composed(self.law, (*self.effects, effect))

    def __str__(self) -> str:
        return " + ".join(map(str, (self.law, *self.effects)))

    @property
    def sigma_d(self) -> float:
        """That of the law of programming."""
        return self.law.sigma_d

    def at(self, sigma_d: float) -> Self:
        """Return the same with programming at another `sigma_d`; effects stay as they are."""
        return dataclasses.replace(self, law=self.law.at(sigma_d))

    @property
    def uniform(self) -> bool:
        """That of the law of programming."""
        return self.law.uniform

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return that of the law of programming."""
        return self.law.level_std(levels, codes, device)


class Composable:
    """What laws of programming have in common, each a frozen dataclass with a `sigma_d`: another size, and effects added."""

    def at(self, sigma_d: float) -> Self:
        """Return the same law at another `sigma_d`."""
        return dataclasses.replace(self, sigma_d=sigma_d)  # pyright: ignore[reportArgumentType, reportUnknownVariableType] (subclasses are dataclasses)

    def __add__(self, effect: Effect) -> Composed:
        return Composed(self, (effect,))  # pyright: ignore[reportArgumentType] (a law of programming, which Composed checks)
