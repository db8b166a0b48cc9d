"""Layers that pad images, upsample them, or average them over adaptive bins."""

from __future__ import annotations

from ..ops import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    pad2d,
    pad2d_backward,
    upsample2d,
    upsample2d_backward,
)
from ..ops.resample import (
    check_output_size,
    check_padding,
    check_upsampling,
    output_sizes,
    padded_shape,
)
from . import arguments, shapes
from .base import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from .._types import Padding, Pair


class Pad2d(Layer):
    """Pad images on all four sides, as `convlet.ops.pad2d` does.

    Two pixels around 0 1 2 3, with v for `value`:

        zeros  v v 0 1 2 3 v v      reflect   2 1 0 1 2 3 2 1
        replicate  0 0 0 1 2 3 3 3  circular  2 3 0 1 2 3 0 1

    Parameters
    ----------
    padding : int, (rows, columns) or ((top, bottom), (left, right))
    mode : "zeros", "reflect", "replicate" or "circular"
    value : float, default 0; with mode "zeros" only

    Raises
    ------
    TypeError, ValueError : an option is out of range, or images are too small: reflect pads at most
        H - 1 rows, circular at most H.

    Examples
    --------
    >>> import numpy as np
    >>> Pad2d((0, 1), mode="circular")(np.arange(3.0).reshape(1, 1, 3, 1)).ravel()
    array([2., 0., 1., 2., 0.])
    """

    def __init__(
        self,
        padding: Padding,
        mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        value: float = 0,
    ) -> None:
        self.padding = check_padding(padding, mode, value, "Pad2d")
        self.mode, self.value = mode, value

    def _output_shape(self, shape):
        shapes.check_images(self, shape)
        return padded_shape(shape, self.padding, self.mode, repr(self))

    def _apply(self, x):
        return pad2d(x, self.padding, mode=self.mode, value=self.value)

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return pad2d_backward(dy, shape, self.padding, mode=self.mode)

        return self._apply(x), pull

    def __repr__(self) -> str:
        options = arguments.options_repr([("mode", self.mode, "zeros"), ("value", self.value, 0)])
        return f"Pad2d({arguments.short(self.padding)}{options})"


class Upsample2d(Layer):
    """Upsample images by an integer scale, as `convlet.ops.upsample2d` does.

    Parameters
    ----------
    scale : int or (sh, sw)
    mode : "nearest" or "bilinear"
    align_corners : bool, default False; with mode "bilinear": align corner pixels instead of edges

    Raises
    ------
    TypeError, ValueError : an option is out of range, or align_corners is True with "nearest".

    Examples
    --------
    >>> import numpy as np
    >>> Upsample2d((1, 2), mode="bilinear")(np.array([[[[0.0], [4.0]]]])).ravel()
    array([0., 1., 3., 4.])
    """

    _kind = "upsample2d"

    def __init__(
        self,
        scale: Pair,
        mode: Literal["nearest", "bilinear"] = "nearest",
        align_corners: bool = False,
    ) -> None:
        self.scale = check_upsampling(scale, mode, align_corners, "Upsample2d")
        self.mode, self.align_corners = mode, align_corners

    def _output_shape(self, shape):
        shapes.check_pixels(self, shape)
        n, h, w, c = shape
        return n, h * self.scale[0], w * self.scale[1], c

    def _options(self):
        return {"mode": self.mode, "align_corners": self.align_corners}

    def _apply(self, x):
        return upsample2d(x, self.scale, **self._options())

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return upsample2d_backward(dy, shape, self.scale, **self._options())

        return self._apply(x), pull

    def __repr__(self) -> str:
        options = arguments.options_repr(
            [("mode", self.mode, "nearest"), ("align_corners", self.align_corners, False)]
        )
        return f"Upsample2d({arguments.short(self.scale)}{options})"


class AdaptiveAvgPool2d(Layer):
    """Average images over OH x OW bins, whatever their size.

        y[n,i,j,c] = mean of x[n,h,w,c], floor(i·H/OH) ≤ h < ceil((i + 1)·H/OH), w alike

    Parameters
    ----------
    output_size : int or (OH, OW); in a pair, None is the size of the image

    Raises
    ------
    TypeError, ValueError : a size is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveAvgPool2d((1, 2))(np.arange(5.0).reshape(1, 1, 5, 1)).ravel()
    array([1., 3.])
    """

    def __init__(self, output_size: Pair) -> None:
        self.output_size = check_output_size(output_size, "AdaptiveAvgPool2d: output_size")

    def _output_shape(self, shape):
        shapes.check_pixels(self, shape)
        return shape[0], *output_sizes(shape, self.output_size), shape[3]

    def _apply(self, x):
        return adaptive_avg_pool2d(x, self.output_size)

    def _vjp(self, x, input_grad, commits):
        shape = x.shape

        def pull(dy):
            return adaptive_avg_pool2d_backward(dy, shape, self.output_size)

        return self._apply(x), pull

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2d({arguments.short(self.output_size)})"
