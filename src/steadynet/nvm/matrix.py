"""How a weight tensor is a matrix on crossbars: inputs are rows, outputs are columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Tile(NamedTuple):
    """A part of a weight's matrix that lies on one crossbar of a sign: group, and ranges of rows and of columns (weights)."""

    group: int
    row: int
    row_stop: int
    column: int
    column_stop: int


@dataclass(frozen=True)
class Matrix:
    """How a weight tensor is laid out as `groups` matrices of rows (inputs) and columns (outputs).

    A linear layer's weight [O, I], a convolution's [O, I/g, k, k] and a recurrent one's [4H, I] have their outputs first: group
    by group the matrix [I/g·k·k, O/g]. A transposed convolution's [I, O/g, k, k] and an embedding's [N, D] have their inputs
    first: the matrix [I/g, O/g·k·k].

    Attributes:
        groups: g, blocks that share neither inputs nor outputs.
        input_major: Whether the first dimension counts inputs.
    """

    groups: int = 1
    input_major: bool = False

    def size(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return groups, rows and columns of a weight's matrix."""
        first = shape[0] // self.groups if shape else 1
        rest = math.prod(shape[1:])
        return (self.groups, first, rest) if self.input_major else (self.groups, rest, first)

    def of(self, weight: Tensor) -> Tensor:
        """Return the weight as its matrix [groups, rows, columns]."""
        groups, rows, columns = self.size(tuple(weight.shape))
        if self.input_major:
            return weight.reshape(groups, rows, columns)
        return weight.reshape(groups, columns, rows).transpose(1, 2)

    def back(self, matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return what `of` was made from."""
        return (matrix if self.input_major else matrix.transpose(1, 2)).reshape(shape)

    def tiles(self, shape: tuple[int, ...], tile: tuple[int, int]) -> Iterator[Tile]:
        """Yield the parts that crossbars of `tile` rows and columns (of weights) hold, row by row."""
        groups, rows, columns = self.size(shape)
        for group in range(groups):
            for row in range(0, rows, tile[0]):
                for column in range(0, columns, tile[1]):
                    yield Tile(group, row, min(rows, row + tile[0]), column, min(columns, column + tile[1]))


PLAIN = Matrix()
