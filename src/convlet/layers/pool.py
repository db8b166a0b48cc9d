"""Pooling of images."""

from __future__ import annotations

import math

from .. import _checks
from ..ops import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from ..ops.pool import MAX_WINNERS, max_pool2d_winners, max_pool2d_winners_backward
from . import arguments, shapes
from .base import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Padding, Pair


class MaxPool2d(Layer):
    """Take the largest value of each window.

    Parameters
    ----------
    kernel_size : int or (KH, KW)
    stride : int or pair; None is kernel_size
    padding : as in Conv2d, at most half of the kernel; it never wins
    dilation : int or pair, default 1
    ceil_mode : bool, default False; round the output size up instead of down

    Raises
    ------
    TypeError, ValueError : an option is out of range.

    Notes
    -----
    Of equal values the first in row-major order gets the gradient; a NaN in the window wins. For
    the pullback a byte per output is kept, and not x, unless the kernel has more than 255
    positions.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1)).ravel()
    array([5., 7.], dtype=float32)
    """

    _kind = "max_pool2d"

    def __init__(
        self,
        kernel_size: Pair,
        *,
        stride: Pair | None = None,
        padding: Padding = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = _checks.pair(kernel_size, "MaxPool2d: kernel_size")
        self.stride = self.kernel_size
        if stride is not None:
            self.stride = _checks.pair(stride, "MaxPool2d: stride")
        self.padding = arguments.pool_padding(padding, self.kernel_size, type(self).__name__)
        self.dilation = _checks.pair(dilation, "MaxPool2d: dilation")
        self.ceil_mode = bool(ceil_mode)

    def _output_shape(self, shape):
        return shapes.pool_shape(self, shape)

    def _options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    def _apply(self, x):
        return max_pool2d(x, self.kernel_size, **self._options())

    def _vjp(self, x, input_grad, commits):
        if not input_grad:
            return max_pool2d(x, self.kernel_size, **self._options()), None
        if math.prod(self.kernel_size) > MAX_WINNERS:
            y = max_pool2d(x, self.kernel_size, **self._options())
            return y, lambda dy: max_pool2d_backward(dy, x, self.kernel_size, **self._options())
        shape = x.shape
        y, winners = max_pool2d_winners(x, self.kernel_size, **self._options())

        def pull(dy):
            return max_pool2d_winners_backward(
                dy, winners, shape, self.kernel_size, **self._options()
            )

        return y, pull

    def __repr__(self) -> str:
        return pool_repr(self, self.kernel_size, self._options())


class AvgPool2d(Layer):
    """Take the mean of each window.

    Parameters
    ----------
    kernel_size : int or (KH, KW)
    stride : int or pair; None is kernel_size
    padding : as in Conv2d, at most half of the kernel
    ceil_mode : bool, default False; round the output size up instead of down
    count_include_pad : bool, default True; divide by all positions of the window in the padded
        image, otherwise by those in the image

    Raises
    ------
    TypeError, ValueError : an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1)).ravel()
    array([2.5, 4.5], dtype=float32)
    """

    _kind = "avg_pool2d"
    dilation = (1, 1)

    def __init__(
        self,
        kernel_size: Pair,
        *,
        stride: Pair | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = _checks.pair(kernel_size, "AvgPool2d: kernel_size")
        self.stride = self.kernel_size
        if stride is not None:
            self.stride = _checks.pair(stride, "AvgPool2d: stride")
        self.padding = arguments.pool_padding(padding, self.kernel_size, type(self).__name__)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)

    def _output_shape(self, shape):
        return shapes.pool_shape(self, shape)

    def _options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
        }

    def _apply(self, x):
        return avg_pool2d(x, self.kernel_size, **self._options())

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return avg_pool2d_backward(dy, shape, self.kernel_size, **self._options())

        return avg_pool2d(x, self.kernel_size, **self._options()), pull

    def __repr__(self) -> str:
        return pool_repr(self, self.kernel_size, self._options())


class _GlobalPool2d(Layer):
    """A value of each channel of whole images: (N, H, W, C) -> (N, C)."""

    def _output_shape(self, shape):
        shapes.check_images(self, shape)
        n, h, w, c = shape
        if h < 1 or w < 1:
            raise ValueError(f"{self!r}: expected images of at least one pixel, got {shape}")
        return n, c

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GlobalAvgPool2d(_GlobalPool2d):
    """Take the mean of each channel over its image: (N, H, W, C) -> (N, C).

    Examples
    --------
    >>> import numpy as np
    >>> GlobalAvgPool2d()(np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1))
    array([[1.5]], dtype=float32)
    """

    _kind = "global_avg_pool2d"

    def _apply(self, x):
        return global_avg_pool2d(x)

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return global_avg_pool2d_backward(dy, shape)

        return global_avg_pool2d(x), pull


class GlobalMaxPool2d(_GlobalPool2d):
    """Take the largest value of each channel of an image: (N, H, W, C) -> (N, C); a NaN wins.

    Examples
    --------
    >>> import numpy as np
    >>> GlobalMaxPool2d()(np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1))
    array([[3.]], dtype=float32)
    """

    _kind = "global_max_pool2d"

    def _apply(self, x):
        return global_max_pool2d(x)

    def _vjp(self, x, input_grad, commits):
        def pull(dy):
            return global_max_pool2d_backward(dy, x)

        return global_max_pool2d(x), pull


_DEFAULTS = {"padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True}


def pool_repr(layer, kernel_size, options):
    """Write a pool as the call that makes it."""
    kernel_size = arguments.short(kernel_size)
    defaults = _DEFAULTS | {"stride": kernel_size}
    shown = arguments.options_repr([(n, v, defaults[n]) for n, v in options.items()])
    return f"{type(layer).__name__}({kernel_size}{shown})"
