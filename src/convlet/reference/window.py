"""The geometry of windows: kernels that slide over padded images."""

from typing import NamedTuple

import numpy as np


class Axis(NamedTuple):
    """One spatial axis of a window that slides over n values, between begin and end zeros."""

    n: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    out: int

    @property
    def extent(self):
        """Length of the padded axis, stretched to the last tap when a pool rounds up."""
        last_tap = (self.out - 1) * self.stride + self.dilation * (self.kernel - 1)
        return max(self.begin + self.n + self.end, last_tap + 1)

    def tap(self, u):
        """Positions on the padded axis which kernel tap u meets, one for each output."""
        first = u * self.dilation
        return slice(first, first + (self.out - 1) * self.stride + 1, self.stride)


def integer(value, name, minimum):
    """Return an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def pair(value, name, minimum=1):
    """Return a pair of integers from one or two."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be an integer or a pair, got {value!r}")
    return tuple(integer(v, name, minimum) for v in values)


def axis_padding(padding, axis, n, kernel, stride, dilation):
    """Zeros before and after axis 0 or 1, from any accepted form of padding."""
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0
        if padding in ("same", "same_lower"):
            total = max((-(-n // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
            small, large = total // 2, total - total // 2
            return (small, large) if padding == "same" else (large, small)
        raise ValueError(f"padding must be 'valid', 'same' or 'same_lower', got {padding!r}")
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(f"padding must have two entries, one per axis, got {padding!r}")
        padding = padding[axis]
    return pair(padding, "padding", minimum=0)


def geometry(sizes, kernel_size, stride, padding, dilation, ceil_mode=False):
    """The two spatial axes of a sliding window; ceil_mode rounds the output up, as PyTorch does."""
    kernels = pair(kernel_size, "kernel_size")
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    axes = []
    for axis, (n, k, s, d) in enumerate(zip(sizes, kernels, strides, dilations, strict=True)):
        if n < 1:
            raise ValueError(f"the image must have at least one pixel per axis, got {sizes}")
        begin, end = axis_padding(padding, axis, n, k, s, d)
        numerator = begin + n + end - d * (k - 1) - 1
        out = (numerator + (s - 1 if ceil_mode else 0)) // s + 1
        if out < 1:
            raise ValueError(
                f"a kernel of {k} with dilation {d} spans {d * (k - 1) + 1} pixels, "
                f"more than the {begin} + {n} + {end} of the padded image"
            )
        if ceil_mode and (out - 1) * s >= begin + n:
            out -= 1  # the last window must start inside the image or the padding before it
        axes.append(Axis(n, k, s, d, begin, end, out))
    return tuple(axes)


def taps(axes):
    """List the taps (u, v) of the kernel in row order."""
    return [(u, v) for u in range(axes[0].kernel) for v in range(axes[1].kernel)]


def pad(x, axes):
    """x (N, H, W, C) inside zeros."""
    before_and_after = [(a.begin, a.extent - a.begin - a.n) for a in axes]
    return np.pad(x, [(0, 0), *before_and_after, (0, 0)])


def padded_zeros(x_shape, axes, dtype):
    """Zeros of the shape of the padded image."""
    n, _, _, c = x_shape
    return np.zeros((n, axes[0].extent, axes[1].extent, c), dtype)


def crop(padded, axes):
    """Copy of the image inside its padding."""
    h, w = axes
    return padded[:, h.begin : h.begin + h.n, w.begin : w.begin + w.n, :].copy()


def tap(padded, axes, u, v):
    """The view (N, OH, OW, C) of the pixels that kernel tap (u, v) meets."""
    return padded[:, axes[0].tap(u), axes[1].tap(v), :]
