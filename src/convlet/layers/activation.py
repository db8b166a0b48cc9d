"""Layers without parameters that work on each value, or each row of values."""

from __future__ import annotations

from .. import _checks
from ..ops import relu, relu_backward, softmax, softmax_backward
from .base import Layer


class ReLU(Layer):
    """y = max(x, 0); a NaN stays one. The gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU()(np.array([[-1.0, 2.0]], np.float32))
    array([[0., 2.]], dtype=float32)
    """

    _kind = "relu"

    def _output_shape(self, shape):
        return shape

    def _apply(self, x):
        return relu(x)

    def _vjp(self, x, input_grad, commits):
        y = relu(x)

        def pull(dy):
            return relu_backward(dy, y) if input_grad else None

        return y, pull

    def __repr__(self):
        return "ReLU()"


class Softmax(Layer):
    """Probabilities from logits: y_i = e^{x_i} / Σ_k e^{x_k} along an axis.

    To train a classifier, leave it out and give logits to `convlet.softmax_cross_entropy`.

    Parameters
    ----------
    axis : int, -1

    Examples
    --------
    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    _kind = "softmax"

    def __init__(self, axis=-1):
        self.axis = _checks.size(axis, "Softmax: axis", -32)

    def _output_shape(self, shape):
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] < 1:
            raise ValueError(
                f"{self!r}: expected x with at least one class on axis {self.axis}, got {shape}"
            )
        return shape

    def _apply(self, x):
        return softmax(x, axis=self.axis)

    def _vjp(self, x, input_grad, commits):
        y = softmax(x, axis=self.axis)

        def pull(dy):
            return softmax_backward(dy, y, axis=self.axis) if input_grad else None

        return y, pull

    def __repr__(self):
        return "Softmax()" if self.axis == -1 else f"Softmax(axis={self.axis})"
