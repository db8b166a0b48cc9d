"""Convolution of images."""

from __future__ import annotations

from .. import _checks
from ..ops import conv2d, conv2d_backward
from ..ops.conv import check_algorithm
from . import arguments, shapes
from .weighted import ConvLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Activation, Algorithm, Padding, Pair, Rng


class Conv2d(ConvLayer):
    """Convolve images with a bank of filters: y = act(conv(x, weight) + bias).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (KH, KW)
    stride, dilation : int or pair, default 1
    padding : int, pair, ((top, bottom), (left, right)), "valid", "same" or "same_lower"; default 0
    groups : int, default 1: output channels see only the input channels of their group
    use_bias : bool, default True
    activation : None, "relu", "relu6", "leaky_relu" (of slope 0.01) or ("leaky_relu", slope)
    algorithm : "auto", "im2col", "winograd" or "winograd2", as in `convlet.ops.conv2d`
    rng : numpy Generator or seed for the weight; by default that of the model, or fresh entropy

    Attributes
    ----------
    weight : Parameter (KH, KW, in_channels / groups, out_channels), initially He normal by fan-in
    bias : Parameter (out_channels,), initially 0, or None

    Raises
    ------
    TypeError, ValueError : an option is out of range, or groups do not divide the channels.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d(3, 8, 3, padding="same", rng=0)
    >>> layer(np.zeros((2, 5, 7, 3), np.float32)).shape
    (2, 5, 7, 8)
    """

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: SupportsIndex = 1,
        use_bias: bool = True,
        activation: Activation = None,
        algorithm: Algorithm = "auto",
        rng: Rng = None,
    ) -> None:
        self.in_channels = _checks.size(in_channels, "Conv2d: in_channels")
        self.out_channels = _checks.size(out_channels, "Conv2d: out_channels")
        self.kernel_size = _checks.pair(kernel_size, "Conv2d: kernel_size")
        self.stride = _checks.pair(stride, "Conv2d: stride")
        self.padding = _checks.padding_form(padding, "Conv2d: padding")
        self.dilation = _checks.pair(dilation, "Conv2d: dilation")
        self.groups = _checks.size(groups, "Conv2d: groups")
        arguments.check_groups(self.groups, self.in_channels, self.out_channels, "Conv2d")
        _checks.conv_activation(activation, "Conv2d: activation")
        self.activation = activation
        self.algorithm = check_algorithm(algorithm, "Conv2d")
        shape = (*self.kernel_size, self.in_channels // self.groups, self.out_channels)
        self._make_parameters(shape, self.out_channels, use_bias, rng)

    def _output_shape(self, shape):
        shapes.check_images(self, shape, self.in_channels)
        n, h, w, _ = shape
        return n, shapes.conv_size(self, 0, h), shapes.conv_size(self, 1, w), self.out_channels

    def _apply(self, x):
        return conv2d(x, *self._arrays(), activation=self.activation, **self._options())

    def _gradients(self, dy, x, weight, needs):
        return conv2d_backward(dy, x, weight, needs=needs, **self._options())

    def _multiply_adds(self, shape):
        n, oh, ow, oc = self._output_shape(shape)
        kh, kw, c, _ = self.weight.shape
        return n * oh * ow * oc * kh * kw * c

    def __repr__(self) -> str:
        options = arguments.options_repr(
            [
                ("stride", self.stride, 1),
                ("padding", self.padding, 0),
                ("dilation", self.dilation, 1),
                ("groups", self.groups, 1),
                ("use_bias", self.bias is not None, True),
                ("activation", self.activation, None),
                ("algorithm", self.algorithm, "auto"),
            ]
        )
        kernel = arguments.short(self.kernel_size)
        return f"Conv2d({self.in_channels}, {self.out_channels}, {kernel}{options})"
