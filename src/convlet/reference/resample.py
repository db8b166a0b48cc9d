"""Padding, upsampling and adaptive pooling: linear maps of the rows and columns of images."""

import numpy as np

from .window import axis_padding, integer, pair

_NUMPY_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def _images(shape):
    if len(shape) != 4 or min(shape[1:]) < 1:
        raise ValueError(f"x must be (N,H,W,C) with at least one pixel and channel, got {shape}")


def _pads(x_shape, padding, mode):
    _images(x_shape)
    if mode not in _NUMPY_MODES:
        raise ValueError(f"mode must be one of {tuple(_NUMPY_MODES)}, got {mode!r}")
    if isinstance(padding, str):
        raise ValueError(f"padding must be numbers, got {padding!r}")
    pads = [axis_padding(padding, axis, x_shape[1 + axis], 1, 1, 1) for axis in range(2)]
    for n, before_and_after in zip(x_shape[1:3], pads, strict=True):
        most = {"reflect": n - 1, "circular": n}.get(mode, np.inf)
        if max(before_and_after) > most:
            raise ValueError(f"{mode} can pad {n} pixels by {most}, got {max(before_and_after)}")
    return [(0, 0), *pads, (0, 0)]


def pad2d(x, padding, *, mode="zeros", value=0):
    """Images inside a margin of `value`s, or of what reflect, replicate or circular make of them.

    Around 0 1 2 3, two pixels are v v (zeros), 2 1 … 2 1 (reflect), 0 0 … 3 3 (replicate) and
    2 3 … 0 1 (circular).
    """
    pads = _pads(x.shape, padding, mode)
    options = {"constant_values": value} if mode == "zeros" else {}
    return np.pad(x, pads, mode=_NUMPY_MODES[mode], **options)


def pad2d_backward(dy, x_shape, padding, *, mode="zeros"):
    """Gradient of Σ dy·pad2d(x): dx[p] = Σ dy over the copies of x[p]."""
    pads = _pads(x_shape, padding, mode)
    options = {"constant_values": -1} if mode == "zeros" else {}
    rows, columns = (
        np.pad(np.arange(n), before_and_after, mode=_NUMPY_MODES[mode], **options)
        for n, before_and_after in zip(x_shape[1:3], pads[1:3], strict=True)
    )
    inside = np.ix_(np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0))
    dx = np.zeros(x_shape, dy.dtype)
    at = (slice(None), *np.ix_(rows[rows >= 0], columns[columns >= 0]))
    np.add.at(dx, at, dy[:, inside[0], inside[1]])
    return dx


def _axis_weights(n, scale, mode, align_corners):
    """Matrix (n·scale, n) of the weight with which each pixel enters each output."""
    outputs = np.arange(n * scale)
    if mode == "nearest":
        place = (outputs // scale).astype(float)
    elif align_corners:
        place = outputs * (n - 1) / max(n * scale - 1, 1)
    else:
        place = np.clip((outputs + 0.5) / scale - 0.5, 0, n - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n)))


def _upsample_weights(x_shape, scale, mode, align_corners):
    _images(x_shape)
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"mode must be 'nearest' or 'bilinear', got {mode!r}")
    if align_corners and mode == "nearest":
        raise ValueError("align_corners is an option of mode 'bilinear'")
    scales = pair(scale, "scale")
    return (
        _axis_weights(n, s, mode, align_corners) for n, s in zip(x_shape[1:3], scales, strict=True)
    )


def upsample2d(x, scale, *, mode="nearest", align_corners=False):
    """Images `scale` times as large; output i lies at (i + ½)/scale - ½ among the pixels.

    "nearest" takes the pixel i // scale, "bilinear" weighs the two around the place, held inside
    the image. With align_corners output i lies at i·(n-1)/(n·scale-1): corners on corners.
    """
    rows, columns = _upsample_weights(x.shape, scale, mode, align_corners)
    return np.einsum("ih,jw,nhwc->nijc", rows, columns, x).astype(x.dtype)


def upsample2d_backward(dy, x_shape, scale, *, mode="nearest", align_corners=False):
    """Gradient of Σ dy·upsample2d(x): each dy goes to its pixels, by the same weights."""
    rows, columns = _upsample_weights(x_shape, scale, mode, align_corners)
    return np.einsum("ih,jw,nijc->nhwc", rows, columns, dy).astype(dy.dtype)


def _bins(n, outputs):
    """The slice of each bin, floor(i·n/outputs) to ceil((i+1)·n/outputs)."""
    return [slice(i * n // outputs, -(-(i + 1) * n // outputs)) for i in range(outputs)]


def _output_size(x_shape, output_size):
    _images(x_shape)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(sizes) != 2:
        raise ValueError(f"output_size must be an integer or a pair, got {output_size!r}")
    return tuple(
        n if size is None else integer(size, "output_size", 1)
        for n, size in zip(x_shape[1:3], sizes, strict=True)
    )


def adaptive_avg_pool2d(x, output_size):
    """Mean over each of output_size bins; bin i is rows floor(i·H/OH) to ceil((i+1)·H/OH) - 1.

    output_size is an int, or a pair in which None keeps the size of the image.
    """
    oh, ow = _output_size(x.shape, output_size)
    y = np.empty((x.shape[0], oh, ow, x.shape[3]), x.dtype)
    for i, rows in enumerate(_bins(x.shape[1], oh)):
        for j, columns in enumerate(_bins(x.shape[2], ow)):
            y[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
    return y


def adaptive_avg_pool2d_backward(dy, x_shape, output_size):
    """Gradient of Σ dy·adaptive_avg_pool2d(x): every pixel gets dy / count from its bins."""
    oh, ow = _output_size(x_shape, output_size)
    dx = np.zeros(x_shape, dy.dtype)
    for i, rows in enumerate(_bins(x_shape[1], oh)):
        for j, columns in enumerate(_bins(x_shape[2], ow)):
            pixels = dx[:, rows, columns]
            pixels += (dy[:, i, j] / (pixels.shape[1] * pixels.shape[2]))[:, None, None]
    return dx
