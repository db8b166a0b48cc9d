"""What the signatures of the package name. For type checkers alone: there is no such module."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import DTypeLike
from typing_extensions import Buffer

from .parameter import Parameter

class _HasArray(Protocol):
    def __array__(self) -> np.ndarray: ...

class _HasDLPack(Protocol):
    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, Any]: ...

Array: TypeAlias = np.ndarray | Buffer | _HasArray | _HasDLPack  # what every array may come as
Float: TypeAlias = DTypeLike  # float32 or float64
Shape: TypeAlias = tuple[int, ...]

# Sizes; floats and bools are refused.
Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]  # one for both axes, or rows, columns
_Rule: TypeAlias = Literal["valid", "same", "same_lower"]
Padding: TypeAlias = Pair | Sequence[Pair] | _Rule
SequencePadding: TypeAlias = Pair | _Rule  # or (begin, end)

Activation: TypeAlias = (
    Literal["relu", "relu6", "leaky_relu"] | tuple[Literal["leaky_relu"], float] | None
)
Algorithm: TypeAlias = Literal["auto", "im2col", "winograd", "winograd2"]
Reduction: TypeAlias = Literal["mean", "sum", "none"]
Kind: TypeAlias = Literal["weight", "bias", "norm"]
Rng: TypeAlias = (
    np.random.Generator
    | np.random.BitGenerator
    | np.random.SeedSequence
    | int
    | Sequence[int]
    | None
)

Option: TypeAlias = float | Callable[[int], float]  # a number or a function of the step
Parameters: TypeAlias = Iterable[Parameter] | Iterable[Mapping[str, Any]]  # or groups of options

# Results that an argument decides on: Any lets a program go on without asking.
Gradient: TypeAlias = np.ndarray | Any  # None where it is not wanted
Loss: TypeAlias = float | Any  # an ndarray with reduction="none"
