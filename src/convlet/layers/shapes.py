"""Shapes of layers: checks of x, and how many windows fit on an axis."""

from __future__ import annotations

from .._checks import axis_padding
from ..ops.pool import pool_outputs

_CHANNELS_LAST = {  # by the number of axes
    3: "(N, C, L): use x.transpose(0, 2, 1)",
    4: "(N, C, H, W): use x.transpose(0, 2, 3, 1)",
}


def conv_size(layer, axis, n):
    """Return how many windows of a convolution fit on n rows (axis 0) or columns (axis 1)."""
    _, _, room = _room(layer, axis, n)
    return room // layer.stride[axis] + 1


def pool_size(layer, axis, n):
    """Return how many windows of a pool fit on n rows (axis 0) or columns (axis 1)."""
    begin, end, room = _room(layer, axis, n)
    half = layer.kernel_size[axis] // 2
    if max(begin, end) > half:  # "same" with dilation
        raise ValueError(
            f"{layer!r}: expected padding of at most half of the kernel, {half}, got "
            f"{max(begin, end)}"
        )
    return pool_outputs(begin, n, room, layer.stride[axis], layer.ceil_mode)


def pool_shape(layer, shape):
    """Return the shape of y of a pool, or raise unless x holds a window."""
    check_images(layer, shape)
    n, h, w, c = shape
    return n, pool_size(layer, 0, h), pool_size(layer, 1, w), c


def _room(layer, axis, n):
    """Return the zeros before and after n values, and how far a window can move over them."""
    kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
    begin, end = axis_padding(layer.padding, axis, n, kernel, stride, dilation)
    span = dilation * (kernel - 1) + 1
    room = begin + n + end - span
    rounds_up = getattr(layer, "ceil_mode", False)
    if n < 1 or room <= (-stride if rounds_up else -1):
        what = ("rows", "columns")[axis]
        raise ValueError(
            f"{layer!r}: expected at least {span} {what} with padding, got {begin} + {n} + {end}; "
            f"use larger images, more padding or a smaller kernel"
        )
    return begin, end, room


def check_images(layer, shape, channels=None):
    """Raise unless a shape is (N, H, W, C), with this many channels if a number is given."""
    expected = f"(N, H, W, {channels or 'C'})"
    if len(shape) != 4:
        cures = []
        if len(shape) == 3 and channels in (None, shape[-1]):
            cures.append("give a single image a first axis by x[np.newaxis]")
        if len(shape) == 3 and channels in (None, 1):
            cures.append("give images without channels a last axis by x[..., np.newaxis]")
        raise ValueError(
            "; ".join([f"{layer!r}: expected x of shape {expected}, 4 axes, got {shape}", *cures])
        )
    if channels is not None:
        check_channels(layer, shape, channels, expected)


def check_sequences(layer, shape, channels="C"):
    """Raise unless a shape is (N, L, C)."""
    if len(shape) != 3:
        raise ValueError(f"{layer!r}: expected x of shape (N, L, {channels}), 3 axes, got {shape}")


def check_pixels(layer, shape):
    """Raise unless a shape is (N, H, W, C) with at least one pixel and channel."""
    check_images(layer, shape)
    if min(shape[1:]) < 1:
        raise ValueError(
            f"{layer!r}: expected images of at least one pixel and channel, got {shape}"
        )


def check_channels(layer, shape, channels, expected):
    """Raise unless the last axis has this many channels; the message spots channels-first x."""
    if shape[-1] == channels:
        return
    message = f"{layer!r}: expected x of shape {expected}, {channels} channels last, got {shape}"
    cure = _CHANNELS_LAST.get(len(shape))
    if cure and shape[1] == channels:
        message += f"; it looks channels-first {cure}"
    else:
        message += f"; give x {channels} channels, or the layer {shape[-1]}"
    raise ValueError(message)
