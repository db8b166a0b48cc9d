"""A small MobileNet: depthwise convolutions that see space, pointwise ones that mix channels."""

from __future__ import annotations

import numpy as np

from ..layers import BatchNorm, Conv2d, GlobalAvgPool2d, Linear, ReLU, Sequential

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))  # output channels, stride


def mobilenet_small(
    classes: int = 10, *, channels: int = 3, rng: np.random.Generator | int | None = None
) -> Sequential:
    """Build a stem and five depthwise separable blocks for small images; 136,778 parameters.

        Conv 3-32 3x3, blocks 32-64, 64-128/2, 128-128, 128-256/2, 256-256, global average, Linear
        block c-d/s: depthwise Conv c-c 3x3/s, pointwise Conv c-d 1x1

    Batch norm and ReLU follow every convolution; padding is 1 around 3x3 windows.

    Parameters
    ----------
    classes : int, default 10
    channels : int, default 3: channels of the images
    rng : numpy Generator or seed that the parameters are drawn from, or None for fresh entropy

    Returns
    -------
    model : Sequential, x (N, H, W, channels) -> logits (N, classes), for images of any size

    Raises
    ------
    TypeError, ValueError : classes or channels is not an integer of at least 1.

    References
    ----------
    After Howard et al. 2017, MobileNets, arXiv:1704.04861

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import models
    >>> models.mobilenet_small(rng=0)(np.zeros((2, 32, 32, 3), np.float32)).shape
    (2, 10)
    """
    return build(channels, 32, BLOCKS, classes, rng)


def build(channels, width, blocks, classes, rng):
    """Build a network of this form: a stem to `width` channels, then blocks of (width, stride)."""
    layers = _unit(channels, width, 3)
    for out, stride in blocks:
        layers += _unit(width, width, 3, stride=stride, groups=width) + _unit(width, out, 1)
        width = out
    return Sequential(*layers, GlobalAvgPool2d(), Linear(width, classes), rng=rng)


def _unit(channels, out, kernel, *, stride=1, groups=1):
    conv = Conv2d(
        channels, out, kernel, stride=stride, padding=kernel // 2, groups=groups, use_bias=False
    )
    return [conv, BatchNorm(out), ReLU()]
