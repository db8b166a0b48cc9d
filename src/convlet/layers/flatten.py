"""Flatten, from images to rows."""

from __future__ import annotations

import math

from .base import Layer


class Flatten(Layer):
    """Lay out each example as one row: (N, H, W, C) -> (N, H·W·C), row-major; y is a view of x.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.zeros((2, 4, 4, 3), np.float32)).shape
    (2, 48)
    """

    _kind = "flatten"
    _is_view = True

    def _output_shape(self, shape):
        if len(shape) < 2:
            raise ValueError(f"{self!r}: expected x of shape (N, ...), got {shape}")
        return shape[0], math.prod(shape[1:])

    def _apply(self, x):
        return x.reshape(self._output_shape(x.shape))

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return dy.reshape(shape)

        return self._apply(x), pull

    def __repr__(self) -> str:
        return "Flatten()"
