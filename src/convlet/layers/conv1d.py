"""Convolution of sequences."""

from __future__ import annotations

from .. import _checks
from ..ops import conv1d, conv1d_backward
from ..ops.conv import check_algorithm
from ..ops.conv1d import sequence_padding
from . import arguments, shapes
from .weighted import ConvLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Activation, Algorithm, Rng, SequencePadding


class Conv1d(ConvLayer):
    """Convolve sequences (N, L, C) with a bank of filters: a convolution of images of one row.

        y[n,i,o] = act(bias[o] + Σ_{u,c} x[n, i·stride-begin+u·dilation, c] · weight[u,c,o])

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int
    stride, dilation : int, default 1
    padding : int, (begin, end), "valid", "same" or "same_lower"; default 0
    groups, use_bias, activation, algorithm, rng : as in Conv2d

    Attributes
    ----------
    weight : Parameter (K, in_channels / groups, out_channels), initially He normal by fan-in
    bias : Parameter (out_channels,), initially 0, or None

    Raises
    ------
    TypeError, ValueError : an option is out of range, or groups do not divide the channels.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv1d(3, 8, 5, stride=2, padding="same", rng=0)
    >>> layer(np.zeros((2, 9, 3), np.float32)).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: SupportsIndex,
        *,
        stride: SupportsIndex = 1,
        padding: SequencePadding = 0,
        dilation: SupportsIndex = 1,
        groups: SupportsIndex = 1,
        use_bias: bool = True,
        activation: Activation = None,
        algorithm: Algorithm = "auto",
        rng: Rng = None,
    ) -> None:
        self.in_channels = _checks.size(in_channels, "Conv1d: in_channels")
        self.out_channels = _checks.size(out_channels, "Conv1d: out_channels")
        # A sequence is an image of one row.
        self.kernel_size = (1, _checks.size(kernel_size, "Conv1d: kernel_size"))
        self.stride = (1, _checks.size(stride, "Conv1d: stride"))
        self.padding = sequence_padding(padding, "Conv1d: padding")
        self.dilation = (1, _checks.size(dilation, "Conv1d: dilation"))
        self.groups = _checks.size(groups, "Conv1d: groups")
        arguments.check_groups(self.groups, self.in_channels, self.out_channels, "Conv1d")
        _checks.conv_activation(activation, "Conv1d: activation")
        self.activation = activation
        self.algorithm = check_algorithm(algorithm, "Conv1d")
        shape = (self.kernel_size[1], self.in_channels // self.groups, self.out_channels)
        self._make_parameters(shape, self.out_channels, use_bias, rng)

    def _output_shape(self, shape):
        shapes.check_sequences(self, shape, self.in_channels)
        shapes.check_channels(self, shape, self.in_channels, f"(N, L, {self.in_channels})")
        n, length, _ = shape
        return n, shapes.conv_size(self, 1, length), self.out_channels

    def _own_options(self):
        return self._options() | {
            "stride": self.stride[1],
            "padding": self.padding if isinstance(self.padding, str) else self.padding[1],
            "dilation": self.dilation[1],
        }

    def _apply(self, x):
        return conv1d(x, *self._arrays(), activation=self.activation, **self._own_options())

    def _gradients(self, dy, x, weight, needs):
        return conv1d_backward(dy, x, weight, needs=needs, **self._own_options())

    def _multiply_adds(self, shape):
        n, length, oc = self._output_shape(shape)
        kernel, c, _ = self.weight.shape
        return n * length * oc * kernel * c

    def __repr__(self) -> str:
        options = arguments.options_repr(
            [
                ("stride", self.stride[1], 1),
                ("padding", self._own_options()["padding"], 0),
                ("dilation", self.dilation[1], 1),
                ("groups", self.groups, 1),
                ("use_bias", self.bias is not None, True),
                ("activation", self.activation, None),
                ("algorithm", self.algorithm, "auto"),
            ]
        )
        return f"Conv1d({self.in_channels}, {self.out_channels}, {self.kernel_size[1]}{options})"
