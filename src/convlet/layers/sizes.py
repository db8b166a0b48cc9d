"""What the layers say about sizes: options in range, shapes that fit, and how to write them."""

from __future__ import annotations

import math
import numbers

from .._checks import axis_padding, padding_form


def real(value, name) -> float:
    """Return a float; anything that is no number is a TypeError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def epsilon(value, layer) -> float:
    """Return a finite float above 0, the eps of a norm."""
    number = real(value, f"{layer}: eps")
    if not 0 < number < math.inf:
        raise ValueError(f"{layer}: expected a finite eps above 0, got {value}")
    return number


def conv_size(layer, axis, n):
    """Return how many windows of a convolution fit on n rows (axis 0) or columns (axis 1)."""
    _, _, room = _room(layer, axis, n)
    return room // layer.stride[axis] + 1


def pool_size(layer, axis, n):
    """Return how many windows of a pool fit on n rows (axis 0) or columns (axis 1).

    With ceil_mode the last one may reach past the end, but begins in the image or before it.
    """
    begin, end, room = _room(layer, axis, n)
    half = layer.kernel_size[axis] // 2
    if max(begin, end) > half:  # "same" with dilation
        raise ValueError(
            f"{layer!r}: expected padding of at most half of the kernel, {half}, got "
            f"{max(begin, end)}"
        )
    stride = layer.stride[axis]
    if not layer.ceil_mode:
        return room // stride + 1
    outputs = -(-room // stride) + 1
    return outputs - 1 if (outputs - 1) * stride >= begin + n else outputs


def pool_padding(padding, kernel_size, layer):
    """Return the padding_form of a pool: numbers are at most half of the kernel."""
    form = padding_form(padding, f"{layer}: padding")
    if isinstance(form, str):
        return form
    for pads, kernel in zip(form, kernel_size, strict=True):
        if max(pads) > kernel // 2:
            raise ValueError(
                f"{layer}: expected padding of at most half of the kernel, {kernel // 2} for a "
                f"kernel of {kernel}, got {max(pads)}"
            )
    return form


def _room(layer, axis, n):
    """The zeros before and after n values, and how far a window can move over all of them."""
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


def images(layer, shape, channels=None):
    """Raise unless a shape is (N, H, W, C), with so many channels where a number is given."""
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


def check_channels(layer, shape, channels, expected):
    """Raise unless the last axis has so many channels; hint at channels that come first."""
    if shape[-1] == channels:
        return
    message = f"{layer!r}: expected x of shape {expected}, {channels} channels last, got {shape}"
    if len(shape) == 4 and shape[1] == channels:
        message += "; it looks channels-first (N, C, H, W): use x.transpose(0, 2, 3, 1)"
    else:
        message += f"; give x {channels} channels, or the layer {shape[-1]}"
    raise ValueError(message)


def short(value):
    """Write a pair of equal numbers as one, for reprs."""
    if not isinstance(value, tuple):
        return value
    first, second = map(short, value)
    if isinstance(first, tuple) or isinstance(second, tuple):
        return value
    return first if first == second else (first, second)


def options_repr(pairs):
    """Write the options that are not at their default: (name, value, default) each."""
    return "".join(f", {n}={short(v)!r}" for n, v, default in pairs if short(v) != default)


def count_objections(value):
    """What speaks against loading an array as a count, apart from its shape and dtype."""
    negative = value.dtype.kind == "i" and value.min(initial=0) < 0
    return [f"expected at least 0, got {value}"] if negative else []
