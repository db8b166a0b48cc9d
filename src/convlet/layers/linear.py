"""Linear, the fully connected layer."""

from __future__ import annotations

import math

from .. import _checks
from ..ops import linear, linear_backward
from .weighted import WeightedLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Rng


class Linear(WeightedLayer):
    """Multiply the last axis by a matrix: y = x · weight + bias.

    Parameters
    ----------
    in_features, out_features : int
    use_bias : bool, default True
    rng : numpy Generator or seed for the weight; by default that of the model, or fresh entropy

    Attributes
    ----------
    weight : Parameter (in_features, out_features), initially He normal by fan-in
    bias : Parameter (out_features,), initially 0, or None

    Raises
    ------
    TypeError, ValueError : a size is not an integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> Linear(4, 3, rng=0)(np.zeros((2, 4), np.float32))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """

    _kind = "linear"

    def __init__(
        self,
        in_features: SupportsIndex,
        out_features: SupportsIndex,
        *,
        use_bias: bool = True,
        rng: Rng = None,
    ) -> None:
        self.in_features = _checks.size(in_features, "Linear: in_features")
        self.out_features = _checks.size(out_features, "Linear: out_features")
        shape = (self.in_features, self.out_features)
        self._make_parameters(shape, self.out_features, use_bias, rng)

    def _output_shape(self, shape):
        if len(shape) >= 2 and shape[-1] == self.in_features:
            return (*shape[:-1], self.out_features)
        features = math.prod(shape[1:])
        if len(shape) < 2:
            cure = "give a single example a first axis by x[np.newaxis]"
        elif features == self.in_features:
            cure = "put Flatten() before this layer"
        elif len(shape) == 2:
            cure = f"x has {features} features per example: Linear({features}, ...)"
        else:
            cure = f"x has {shape[-1]} features on its last axis, and {features} after Flatten()"
        raise ValueError(
            f"{self!r}: expected x of shape (N, {self.in_features}), got {shape}; {cure}"
        )

    def _apply(self, x):
        return linear(x, *self._arrays())

    def _gradients(self, dy, x, weight, needs):
        return linear_backward(dy, x, weight, needs=needs)

    def _multiply_adds(self, shape):
        return math.prod(shape) * self.out_features

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", use_bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"
