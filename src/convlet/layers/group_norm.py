"""Norms of each sample by itself, the same at both doors: group, instance and layer norm."""

from __future__ import annotations

import math

from .. import _checks, init
from ..ops.group_norm import (
    group_norm_gradients,
    group_norm_training,
    layer_norm_gradients,
    layer_norm_training,
    trailing_shape,
)
from ..parameter import Parameter
from . import arguments, shapes
from .base import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsIndex


class _SampleNorm(Layer):
    """A norm of each sample by itself; its class has `_normalise` and `_gradients`."""

    parameter_names = ("gamma", "beta")

    def _make_parameters(self, shape):
        self.gamma = self.beta = None
        if self.affine:
            self.gamma = Parameter(init.ones(shape), kind="norm", name="gamma")
            self.beta = Parameter(init.zeros(shape), kind="norm", name="beta")

    def _scale_and_shift(self):
        return (self.gamma.value, self.beta.value) if self.affine else (None, None)

    def _apply(self, x):
        return self._normalise(x)[0]

    def _vjp(self, x, input_grad, commits):
        y, mean, var = self._normalise(x)
        gamma, _ = self._scale_and_shift()

        def pull(dy):
            dx, dgamma, dbeta = self._gradients(dy, x, gamma, mean, var, self.eps, input_grad)
            if self.affine:
                self.gamma.accumulate(dgamma)
                self.beta.accumulate(dbeta)
            return dx

        return y, pull


class GroupNorm(_SampleNorm):
    """Normalise groups of neighbouring channels, each sample by itself: y = γ x̂ + β.

        x̂ = (x - mean)/√(var + ε), mean and biased variance over the channels of the group and all
        pixels of the sample

    Parameters
    ----------
    groups : int, divides channels
    channels : int
    eps : float, default 1e-5: ε, inside the root
    affine : bool, default True; if False, γ stays 1 and β stays 0

    Attributes
    ----------
    gamma, beta : Parameter (channels,), initially 1 and 0, or None

    Raises
    ------
    TypeError, ValueError : an option is out of range, or groups do not divide channels. At a door,
        a group of a sample has fewer than two values: y would be β whatever x is.

    References
    ----------
    Wu & He 2018, arXiv:1803.08494

    Examples
    --------
    >>> import numpy as np
    >>> GroupNorm(2, 4, eps=1e-12)(np.array([[1, 3, 5, 5]], np.float32))
    array([[-1.,  1.,  0.,  0.]], dtype=float32)
    """

    _kind = "group_norm"
    _gradients = staticmethod(group_norm_gradients)
    _cures = "fewer groups, larger images"  # of groups of one value

    def __init__(
        self,
        groups: SupportsIndex,
        channels: SupportsIndex,
        *,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        self.groups = _checks.size(groups, "GroupNorm: groups")
        self.channels = _checks.size(channels, "GroupNorm: channels")
        if self.channels % self.groups:
            raise ValueError(f"GroupNorm: expected groups to divide {channels}, got {groups}")
        self.eps, self.affine = arguments.epsilon(eps, "GroupNorm"), bool(affine)
        self._make_parameters((self.channels,))

    def _output_shape(self, shape):
        expected = f"(N, ..., {self.channels})"
        if len(shape) < 2:
            raise ValueError(f"{self!r}: expected x of shape {expected}, got {shape}")
        shapes.check_channels(self, shape, self.channels, expected)
        values = math.prod(shape[1:-1]) * (self.channels // self.groups)
        if values < 2:
            raise ValueError(
                f"{self!r}: expected at least two values per group of a sample to take a variance "
                f"of, got {values} in {shape}; use {self._cures}, or BatchNorm"
            )
        return shape

    def _samples(self, shape):
        """N, M, C and groups, as the core counts."""
        return shape[0], math.prod(shape[1:-1]), self.channels, self.groups

    def _normalise(self, x):
        return group_norm_training(x, *self._scale_and_shift(), self.groups, self.eps)

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.channels}{_options(self, True)})"


class InstanceNorm(GroupNorm):
    """Normalise each channel of each sample by itself: `GroupNorm` of as many groups as channels.

    Parameters
    ----------
    channels : int
    eps : float, default 1e-5: ε, inside the root
    affine : bool, default False: γ stays 1 and β stays 0

    Attributes
    ----------
    gamma, beta : Parameter (channels,), initially 1 and 0, or None

    Raises
    ------
    TypeError, ValueError : as `GroupNorm`; a sample needs at least two pixels.

    Notes
    -----
    Nothing is tracked: both doors use the statistics of the sample at hand.

    References
    ----------
    Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022

    Examples
    --------
    >>> import numpy as np
    >>> InstanceNorm(1, eps=1e-12)(np.array([[[1], [3]]], np.float32)).ravel()
    array([-1.,  1.], dtype=float32)
    """

    _cures = "larger images"

    def __init__(self, channels: SupportsIndex, *, eps: float = 1e-5, affine: bool = False) -> None:
        self.channels = self.groups = _checks.size(channels, "InstanceNorm: channels")
        self.eps, self.affine = arguments.epsilon(eps, "InstanceNorm"), bool(affine)
        self._make_parameters((self.channels,))

    def __repr__(self) -> str:
        return f"InstanceNorm({self.channels}{_options(self, False)})"


class LayerNorm(_SampleNorm):
    """Normalise the values of the trailing axes together: y = γ x̂ + β.

        x̂ = (x - mean)/√(var + ε), mean and biased variance over the trailing axes

    Parameters
    ----------
    normalized_shape : int or tuple: the lengths of the trailing axes. `LayerNorm(C)` normalises the
        channels of each pixel, `LayerNorm((H, W, C))` a whole image
    eps : float, default 1e-5: ε, inside the root
    affine : bool, default True; if False, γ stays 1 and β stays 0

    Attributes
    ----------
    gamma, beta : Parameter of normalized_shape, initially 1 and 0, or None

    Raises
    ------
    TypeError, ValueError : an option is out of range, or normalized_shape holds fewer than two
        values: y would be β whatever x is. At a door, x does not end in normalized_shape.

    References
    ----------
    Ba, Kiros & Hinton 2016, arXiv:1607.06450

    Examples
    --------
    >>> import numpy as np
    >>> LayerNorm(2, eps=1e-12)(np.array([[1, 3], [9, 5]], np.float32))
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    """

    _kind = "layer_norm"
    _gradients = staticmethod(layer_norm_gradients)

    def __init__(
        self,
        normalized_shape: SupportsIndex | Sequence[SupportsIndex],
        *,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        self.normalized_shape = trailing_shape(normalized_shape, "LayerNorm: normalized_shape")
        if math.prod(self.normalized_shape) < 2:
            raise ValueError(
                f"LayerNorm: expected a normalized_shape of at least two values to take a variance "
                f"of, got {normalized_shape}"
            )
        self.eps, self.affine = arguments.epsilon(eps, "LayerNorm"), bool(affine)
        self._make_parameters(self.normalized_shape)

    def _output_shape(self, shape):
        own = self.normalized_shape
        if len(shape) <= len(own) or tuple(shape[-len(own) :]) != own:
            expected = ", ".join(["N", "...", *map(str, own)])
            raise ValueError(f"{self!r}: expected x of shape ({expected}), got {shape}")
        return shape

    def _samples(self, shape):
        """N, M, C and groups, as the core counts."""
        values = math.prod(self.normalized_shape)
        return math.prod(shape[: -len(self.normalized_shape)]), 1, values, 1

    def _normalise(self, x):
        return layer_norm_training(x, *self._scale_and_shift(), self.normalized_shape, self.eps)

    def __repr__(self) -> str:
        own = self.normalized_shape
        return f"LayerNorm({own[0] if len(own) == 1 else own}{_options(self, True)})"


def _options(layer, affine):
    return arguments.options_repr([("eps", layer.eps, 1e-5), ("affine", layer.affine, affine)])
