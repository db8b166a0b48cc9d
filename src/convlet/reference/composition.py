"""Joining branches, and the shortcut without parameters."""

import numpy as np


def concat(*xs):
    """y[..., o_i : o_{i+1}] = x_i, arrays that differ in the last axis alone."""
    return np.concatenate(xs, axis=-1)


def concat_backward(dy, channels):
    """dx_i = dy[..., o_i : o_{i+1}]; `channels` are those of each x_i."""
    return tuple(part.copy() for part in np.split(dy, np.cumsum(channels)[:-1], axis=-1))


def pad_shortcut(x, channels, stride=1):
    """y[n, i, j, c] = x[n, i·stride, j·stride, c] where x has a channel c, else 0."""
    y = x[:, ::stride, ::stride]
    return np.pad(y, [(0, 0)] * 3 + [(0, channels - x.shape[-1])])


def pad_shortcut_backward(dy, x_shape, stride=1):
    """dx is dy at the pixels and channels that were taken, and 0 elsewhere."""
    dx = np.zeros(x_shape, dy.dtype)
    dx[:, ::stride, ::stride] = dy[..., : x_shape[-1]]
    return dx
