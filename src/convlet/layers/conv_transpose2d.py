"""Transposed convolution of images."""

from __future__ import annotations

from .. import _checks, init
from ..ops import conv_transpose2d, conv_transpose2d_backward
from ..ops.conv import check_algorithm
from ..ops.conv_transpose import transposed_axis
from . import arguments, shapes
from .weighted import WeightedLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Algorithm, Padding, Pair, Rng


class ConvTranspose2d(WeightedLayer):
    """Convolve images transposed: each pixel spreads over a window of y.

        y[n, i·sh-top+u·dh, j·sw-left+v·dw, o] += Σ_c x[n,i,j,c] · weight[u,v,o,c],  from bias[o] on

    It is the gradient of a convolution with respect to its input, plus a bias.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (KH, KW)
    stride, dilation : int or pair, default 1
    padding : as in Conv2d, default 0: what is cropped from y; "same" makes y stride times as large
        as x
    output_padding : int or pair, default 0: extra rows and columns at the end; below stride or
        dilation
    groups : int, default 1: output channels see only the input channels of their group
    use_bias : bool, default True
    algorithm : "auto", "im2col", "winograd" or "winograd2", as in `convlet.ops.conv2d`
    rng : numpy Generator or seed for the weight; by default that of the model, or fresh entropy

    Attributes
    ----------
    weight : Parameter (KH, KW, out_channels / groups, in_channels), initially He normal with a
        fan-in of KH·KW·in_channels / groups
    bias : Parameter (out_channels,), initially 0, or None

    Raises
    ------
    TypeError, ValueError : an option is out of range, or groups do not divide the channels.

    References
    ----------
    Dumoulin & Visin 2016, arXiv:1603.07285

    Examples
    --------
    >>> import numpy as np
    >>> layer = ConvTranspose2d(3, 8, 3, stride=2, padding=1, output_padding=1, rng=0)
    >>> layer(np.zeros((2, 5, 7, 3), np.float32)).shape
    (2, 10, 14, 8)
    """

    _kind = "conv_transpose2d"

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        output_padding: Pair = 0,
        dilation: Pair = 1,
        groups: SupportsIndex = 1,
        use_bias: bool = True,
        algorithm: Algorithm = "auto",
        rng: Rng = None,
    ) -> None:
        name = "ConvTranspose2d"
        self.in_channels = _checks.size(in_channels, f"{name}: in_channels")
        self.out_channels = _checks.size(out_channels, f"{name}: out_channels")
        self.kernel_size = _checks.pair(kernel_size, f"{name}: kernel_size")
        self.stride = _checks.pair(stride, f"{name}: stride")
        self.padding = _checks.padding_form(padding, f"{name}: padding")
        self.output_padding = _checks.pair(output_padding, f"{name}: output_padding", 0)
        self.dilation = _checks.pair(dilation, f"{name}: dilation")
        self.groups = _checks.size(groups, f"{name}: groups")
        arguments.check_groups(self.groups, self.in_channels, self.out_channels, name)
        for axis in range(2):
            self._axis(axis, 1, name)
        self.algorithm = check_algorithm(algorithm, name)
        shape = (*self.kernel_size, self.out_channels // self.groups, self.in_channels)
        self._make_parameters(shape, self.out_channels, use_bias, rng)

    def _draw(self, shape):
        kh, kw, _, channels = shape
        terms = kh * kw * channels // self.groups
        return init.he_normal((terms, self.out_channels), rng=self._rng).reshape(shape)

    def _axis(self, axis, n, where):
        return transposed_axis(
            self.padding,
            axis,
            n,
            self.kernel_size[axis],
            self.stride,
            self.output_padding,
            self.dilation,
            where,
        )

    def _output_shape(self, shape):
        shapes.check_images(self, shape, self.in_channels)
        outputs = []
        for axis, what in enumerate(("rows", "columns")):
            n = shape[1 + axis]
            output, begin, end, _ = self._axis(axis, n, repr(self))
            if n < 1 or output < 1:
                raise ValueError(
                    f"{self!r}: expected images that leave at least one of {what}, got {n} of "
                    f"them, and {output} when padding cuts off {begin} + {end}; use larger images "
                    f"or less padding"
                )
            outputs.append(output)
        return shape[0], *outputs, self.out_channels

    def _options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "algorithm": self.algorithm,
        }

    def _apply(self, x):
        return conv_transpose2d(x, *self._arrays(), **self._options())

    def _gradients(self, dy, x, weight, needs):
        return conv_transpose2d_backward(dy, x, weight, needs=needs, **self._options())

    def _multiply_adds(self, shape):
        n, h, w, c = shape
        kh, kw, oc, _ = self.weight.shape
        return n * h * w * c * kh * kw * oc

    def __repr__(self) -> str:
        options = arguments.options_repr(
            [
                ("stride", self.stride, 1),
                ("padding", self.padding, 0),
                ("output_padding", self.output_padding, 0),
                ("dilation", self.dilation, 1),
                ("groups", self.groups, 1),
                ("use_bias", self.bias is not None, True),
                ("algorithm", self.algorithm, "auto"),
            ]
        )
        kernel = arguments.short(self.kernel_size)
        return f"ConvTranspose2d({self.in_channels}, {self.out_channels}, {kernel}{options})"
