"""Pooling."""

import numpy as np

from .window import crop, geometry, pad, padded_zeros, tap, taps


def pool_geometry(x_shape, kernel_size, stride, padding, dilation, ceil_mode):
    """Return the two axes of a pooling window."""
    if len(x_shape) != 4:
        raise ValueError(f"x must be (N,H,W,C), got {x_shape}")
    stride = kernel_size if stride is None else stride
    axes = geometry(x_shape[1:3], kernel_size, stride, padding, dilation, ceil_mode)
    for a in axes:
        span = a.dilation * (a.kernel - 1) + 1
        if max(a.begin, a.end) > span // 2:
            raise ValueError(
                f"padding must be at most half of the kernel, got {max(a.begin, a.end)} "
                f"for a kernel of {a.kernel} that spans {span} pixels"
            )
    return axes


def _max_and_winner(x, axes):
    """Maximum of each window, and the index in taps(axes) of the tap that holds it (-1: none)."""
    padded = pad(x, axes)
    image = pad(np.ones((1, *x.shape[1:3], 1), bool), axes)
    shape = (x.shape[0], axes[0].out, axes[1].out, x.shape[3])
    best = np.full(shape, -np.inf, x.dtype)
    winner = np.full(shape, -1)
    for index, (u, v) in enumerate(taps(axes)):
        value = tap(padded, axes, u, v)
        first_nan = np.isnan(value) & ~np.isnan(best)
        wins = tap(image, axes, u, v) & ((winner < 0) | (value > best) | first_nan)
        best = np.where(wins, value, best)
        winner = np.where(wins, index, winner)
    return best, winner


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Largest value of each window, padding left out; a NaN in the window wins.

        y[n,i,j,c] = max_{u,v} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]

    stride defaults to kernel_size. ceil_mode rounds the output size up, but the last window must
    start inside the image or the padding before it.
    """
    axes = pool_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_and_winner(x, axes)[0]


def max_pool2d_backward(dy, x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Gradient of Σ dy·max_pool2d(x): each dy goes to one pixel, the one that won its window.

        dx[p] = Σ dy[i] over the windows i whose maximum is x[p]

    Among equals, and among NaNs, the first in row-major order of the window wins.
    """
    axes = pool_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    _, winner = _max_and_winner(x, axes)
    padded = padded_zeros(x.shape, axes, dy.dtype)
    for index, (u, v) in enumerate(taps(axes)):
        target = tap(padded, axes, u, v)
        target += np.where(winner == index, dy, 0)
    return crop(padded, axes)


def _window_sizes(axes, count_include_pad):
    """Divisor of each window, shape (OH, OW, 1).

    Counts the pixels inside the image, or with count_include_pad inside the padded image: what a
    window of ceil_mode reaches beyond the padding is never counted.
    """
    counts = []
    for a in axes:
        start = np.arange(a.out) * a.stride - a.begin
        if count_include_pad:
            counts.append(np.minimum(start + a.kernel, a.n + a.end) - start)
        else:
            counts.append(np.minimum(start + a.kernel, a.n) - np.maximum(start, 0))
    return np.multiply.outer(*counts)[:, :, None]


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean of each window.

        y[n,i,j,c] = Σ_{u,v} x[n, i·sh-top+u, j·sw-left+v, c] / count[i,j]

    count is the number of pixels of the window inside the padded image, or inside the image when
    count_include_pad is False.
    """
    axes = pool_geometry(x.shape, kernel_size, stride, padding, 1, ceil_mode)
    padded = pad(x, axes)
    total = sum(tap(padded, axes, u, v) for u, v in taps(axes))
    return total / _window_sizes(axes, count_include_pad).astype(x.dtype)


def avg_pool2d_backward(
    dy, x_shape, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """Gradient of Σ dy·avg_pool2d(x).

    dx[p] = Σ dy[i] / count[i] over the windows i that contain p
    """
    axes = pool_geometry(x_shape, kernel_size, stride, padding, 1, ceil_mode)
    share = dy / _window_sizes(axes, count_include_pad).astype(dy.dtype)
    padded = padded_zeros(x_shape, axes, dy.dtype)
    for u, v in taps(axes):
        target = tap(padded, axes, u, v)
        target += share
    return crop(padded, axes)


def global_avg_pool2d(x):
    """y[n,c] = Σ_{h,w} x[n,h,w,c] / (H·W), shape (N,C)."""
    return x.mean(axis=(1, 2))


def global_avg_pool2d_backward(dy, x_shape):
    """Gradient of Σ dy·global_avg_pool2d(x): dx[n,h,w,c] = dy[n,c] / (H·W)."""
    _, h, w, _ = x_shape
    return np.broadcast_to((dy / (h * w))[:, None, None, :], x_shape).copy()


def global_max_pool2d(x):
    """y[n,c] = max_{h,w} x[n,h,w,c], shape (N,C); a NaN wins."""
    return max_pool2d(x, x.shape[1:3])[:, 0, 0]


def global_max_pool2d_backward(dy, x):
    """Gradient of Σ dy·global_max_pool2d(x): each dy goes to the first pixel that won."""
    return max_pool2d_backward(dy[:, None, None], x, x.shape[1:3])
