"""Residual networks: those of CIFAR, 6n + 2 layers deep, and the 18 layers of ImageNet.

Both follow He, Zhang, Ren & Sun 2015, arXiv:1512.03385: a block is two 3x3 convolutions with batch
norm around a shortcut, and ReLU after the sum. A stage begins by halving the image with a stride.
"""

from __future__ import annotations

import numpy as np

from .. import _checks
from .._core import empty, pad_shortcut_backward, pad_shortcut_forward
from ..layers import (
    BatchNorm,
    Conv2d,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex


def resnet20(
    shortcut: str = "conv",
    *,
    classes: int = 10,
    channels: int = 3,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Build the residual network of 20 layers for small images, such as CIFAR-10's.

        Conv 3-16 3x3, 3 blocks each of 16, 32/2 and 64/2 channels, global average, Linear 64-10

    Parameters
    ----------
    shortcut : "conv", a 1x1 convolution with batch norm where the shape changes (272,474
        parameters), or "pad", every second pixel and zeros as further channels, which is what the
        paper takes on CIFAR (269,722 parameters)
    classes : int, default 10
    channels : int, default 3: channels of the images
    rng : numpy Generator or seed that the parameters are drawn from, or None for fresh entropy

    Returns
    -------
    model : Sequential, x (N, H, W, channels) -> logits (N, classes), for images of any size

    Raises
    ------
    TypeError, ValueError : shortcut is neither, or classes or channels is not an integer of at
        least 1.

    References
    ----------
    He, Zhang, Ren & Sun 2015, arXiv:1512.03385, section 4.2; shortcuts B and A

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import models
    >>> models.resnet20("pad", rng=0)(np.zeros((2, 32, 32, 3), np.float32)).shape
    (2, 10)
    """
    return cifar(3, shortcut, (16, 32, 64), classes, channels, rng)


def resnet32(
    shortcut: str = "conv",
    *,
    classes: int = 10,
    channels: int = 3,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Build `resnet20` with 5 blocks a stage: 466,906 parameters, or 464,154 with "pad".

    Parameters, Returns, Raises and References are those of `resnet20`.

    Examples
    --------
    >>> from convlet import models
    >>> models.resnet32(classes=100).output_shape((1, 32, 32, 3))
    (1, 100)
    """
    return cifar(5, shortcut, (16, 32, 64), classes, channels, rng)


def resnet56(
    shortcut: str = "conv",
    *,
    classes: int = 10,
    channels: int = 3,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Build `resnet20` with 9 blocks a stage: 855,770 parameters, or 853,018 with "pad".

    Parameters, Returns, Raises and References are those of `resnet20`.

    Examples
    --------
    >>> from convlet import models
    >>> models.resnet56().output_shape((1, 32, 32, 3))
    (1, 10)
    """
    return cifar(9, shortcut, (16, 32, 64), classes, channels, rng)


def resnet18(
    classes: int = 1000, *, channels: int = 3, rng: np.random.Generator | int | None = None
) -> Sequential:
    """Build the residual network of 18 layers for large images: 11,689,512 parameters.

        Conv 3-64 7x7/2, MaxPool 3/2, 2 blocks each of 64, 128/2, 256/2 and 512/2 channels, global
        average, Linear 512-1000; shortcuts are 1x1 convolutions where the shape changes

    Parameters
    ----------
    classes : int, default 1000
    channels : int, default 3: channels of the images
    rng : numpy Generator or seed that the parameters are drawn from, or None for fresh entropy

    Returns
    -------
    model : Sequential, x (N, H, W, channels) -> logits (N, classes), for images of any size; those
        of the paper are 224 x 224

    Raises
    ------
    TypeError, ValueError : classes or channels is not an integer of at least 1.

    References
    ----------
    He, Zhang, Ren & Sun 2015, arXiv:1512.03385, table 1

    Examples
    --------
    >>> from convlet import models
    >>> models.resnet18().output_shape((1, 224, 224, 3))
    (1, 1000)
    """
    return imagenet(2, (64, 128, 256, 512), classes, channels, rng)


def cifar(blocks, shortcut, widths, classes, channels, rng):
    """Build a network of the CIFAR form: so many blocks in a stage of each width."""
    if shortcut not in ("conv", "pad"):
        raise ValueError(f"resnet: shortcut must be 'conv' or 'pad', got {shortcut!r}")
    layers = [*_unit(channels, widths[0], 3), ReLU()]
    return _finish(layers, blocks, shortcut, widths, classes, rng)


def imagenet(blocks, widths, classes, channels, rng):
    """Build a network of the ImageNet form: a stem that quarters the image, then the stages."""
    layers = [*_unit(channels, widths[0], 7, 2), ReLU(), MaxPool2d(3, stride=2, padding=1)]
    return _finish(layers, blocks, "conv", widths, classes, rng)


def _finish(layers, blocks, shortcut, widths, classes, rng):
    width = widths[0]
    for stage, out in enumerate(widths):
        for i in range(blocks):
            stride = 2 if stage > 0 and i == 0 else 1
            layers += _block(width, out, stride, shortcut)
            width = out
    return Sequential(*layers, GlobalAvgPool2d(), Linear(width, classes), rng=rng)


def _block(channels, out, stride, shortcut):
    body = Sequential(*_unit(channels, out, 3, stride), ReLU(), *_unit(out, out, 3))
    around = None
    if channels != out or stride != 1:
        conv = shortcut == "conv"
        around = Sequential(*_unit(channels, out, 1, stride)) if conv else PadShortcut(out, stride)
    return [Residual(body, around), ReLU()]


def _unit(channels, out, kernel, stride=1):
    conv = Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, use_bias=False)
    return [conv, BatchNorm(out)]


class PadShortcut(Layer):
    """Take every `stride`-th pixel and append channels of zeros; no parameters.

        y[n, i, j, c] = x[n, i·stride, j·stride, c] where x has a channel c, else 0

    Parameters
    ----------
    channels : int, those of y
    stride : int, default 1

    Raises
    ------
    TypeError, ValueError : a size is not an integer of at least 1. At a door, x is not (N, H, W, C)
        or has more channels than y.

    References
    ----------
    He, Zhang, Ren & Sun 2015, arXiv:1512.03385, shortcut A of section 4.1

    Examples
    --------
    >>> import numpy as np
    >>> PadShortcut(3, stride=2)(np.arange(1, 5, dtype=np.float32).reshape(1, 2, 2, 1))
    array([[[[1., 0., 0.]]]], dtype=float32)
    """

    _kind = "pad_shortcut"

    def __init__(self, channels: SupportsIndex, stride: SupportsIndex = 1) -> None:
        self.channels = _checks.size(channels, "PadShortcut: channels")
        self.stride = _checks.size(stride, "PadShortcut: stride")

    def _output_shape(self, shape):
        if len(shape) != 4 or shape[-1] > self.channels:
            raise ValueError(
                f"{self!r}: expected x of shape (N, H, W, C) with C at most {self.channels}, got "
                f"{shape}"
            )
        n, h, w, _ = shape
        return n, -(-h // self.stride), -(-w // self.stride), self.channels

    def _apply(self, x):
        y = empty(self._output_shape(x.shape), x.dtype.char)
        pad_shortcut_forward(y, x, self.stride, get_num_threads())
        return y

    def _vjp(self, x, input_grad, commits):
        shape, code = x.shape, x.dtype.char

        def pull(dy):
            dx = empty(shape, code)
            pad_shortcut_backward(dx, dy, self.stride, get_num_threads())
            return dx

        return self._apply(x), pull

    def __repr__(self) -> str:
        stride = "" if self.stride == 1 else f", stride={self.stride}"
        return f"PadShortcut({self.channels}{stride})"
