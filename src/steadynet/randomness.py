"""Replayable randomness: a seed for every (seed, stream, draw, pass, name), and no global state.

Every random number of SteadyNet comes from a generator whose seed is a hash of what the number is
for. Two places that name the same thing get the same numbers, on one device type and torch version;
two that differ in any part get independent ones. CPU generators of torch keep 32 bits of their seed,
so two of n names collide with probability about n²/2³³: harmless, since a collision only makes two
tensors of different chips share numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadynet.errors import check_choice, check_integer

if TYPE_CHECKING:
    import torch

    from steadynet.nvm.matrix import Matrix

Stream = Literal["train", "validation", "test", "pilot"]
STREAMS: tuple[Stream, ...] = ("train", "validation", "test", "pilot")


def stable_seed(*parts: str | int) -> int:
    """Return a seed in 0 … 2⁶³ − 1 that depends on `parts` alone, on every machine alike.

    The parts are hashed with their types, so `1` and `"1"` differ, and so do ("ab", "c") and
    ("a", "bc").
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def draw_generator(
    seed: int, stream: Stream, draw: int, pass_: int, name: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the generator of one tensor's errors on one chip.

    Args:
        seed: The user's seed.
        stream: What the draw is for; streams never share a draw.
        draw: The chip's number in its stream, from 0.
        pass_: The forward pass within one training step (OVF makes N + 1 of them), from 0.
        name: The tensor's place in the model.
        device: Where the numbers are drawn. Each device type has numbers of its own.

    Raises:
        SteadyNetError: If a number is negative or the stream is unknown.
    """
    import torch

    check_choice("stream", stream, STREAMS)
    for what, value in (("seed", seed), ("draw", draw), ("pass_", pass_)):
        check_integer(what, value, at_least=0)
    generator = torch.Generator(device)
    generator.manual_seed(stable_seed(seed, stream, draw, pass_, name))
    return generator


@dataclass(frozen=True)
class Source:
    """Where the errors of one tensor on one chip are drawn.

    Attributes:
        seed: The user's seed.
        stream: What the draw is for.
        draw: The chip's number in its stream.
        pass_: The forward pass within one training step.
        name: The tensor's place in the model.
        where: The torch device where numbers are drawn.
        mirrored: Whether every normal has the other sign.
        read: Number of the chip's reading; the errors of programming are the same at each.
        among: Which of the device's effects that draw alike; the first is 0.
        matrix: How the tensor lies on crossbars, for errors that its columns have in common; outputs are its first dimension if
            None.
    """

    seed: int
    stream: Stream
    draw: int
    pass_: int
    name: str
    where: torch.device | str = "cpu"
    mirrored: bool = False
    read: int = 0
    matrix: Matrix | None = None
    among: int = 0

    def on(self, matrix: Matrix) -> Source:
        """Return the same source for a tensor that lies on crossbars so."""
        return dataclasses.replace(self, matrix=matrix)

    def generator(self, of: str = "") -> torch.Generator:
        """Return the generator of the tensor's own errors: those of programming, or of an effect that is named."""
        return self._generator(f"{self.name}\x1f{self._own(of)}" if of else self.name)

    def chip_generator(self, of: str) -> torch.Generator:
        """Return the generator of what all tensors of the chip share."""
        return self._generator(f"\x1f{self._own(of)}")

    def _own(self, of: str) -> str:
        return f"{of}\x1f{self.among}" if self.among else of

    @property
    def sign(self) -> int:
        """−1 where normals are mirrored, else 1."""
        return -1 if self.mirrored else 1

    def _generator(self, name: str) -> torch.Generator:
        return draw_generator(self.seed, self.stream, self.draw, self.pass_, name, self.where)
