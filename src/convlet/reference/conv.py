"""Convolution."""

import numpy as np

from .activation import activate
from .window import crop, geometry, integer, pad, padded_zeros, tap, taps


def conv_geometry(x_shape, w_shape, stride, padding, dilation, groups):
    """Return the two axes of the window, and the groups, of shapes that go together."""
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(
            f"x must be (N,H,W,C) and w (KH,KW,C/groups,OC), got {x_shape} and {w_shape}"
        )
    groups = integer(groups, "groups", 1)
    c, (_, _, group_c, oc) = x_shape[3], w_shape
    if min(c, group_c, oc) < 1:
        raise ValueError(f"channels must be at least 1, got x {x_shape} and w {w_shape}")
    if c != group_c * groups or oc % groups:
        raise ValueError(
            f"groups={groups} must split the {c} channels of x into parts of {group_c}, "
            f"as w {w_shape} has them, and the {oc} output channels evenly"
        )
    return geometry(x_shape[1:3], w_shape[:2], stride, padding, dilation), groups


def _by_group(a, groups):
    """Pixels (..., C) as matrices (groups, pixels, C/groups)."""
    c = a.shape[-1] // groups
    return a.reshape(a.size // (groups * c), groups, c).transpose(1, 0, 2)


def _from_groups(a, shape):
    return a.transpose(1, 0, 2).reshape(shape)


def conv2d_output_shape(x_shape, w_shape, *, stride=1, padding=0, dilation=1, groups=1):
    """Shape of conv2d(x, w).

    (N, OH, OW, OC), where per axis O = floor((n + begin + end - d(k - 1) - 1) / s) + 1
    """
    (h, w), _ = conv_geometry(x_shape, w_shape, stride, padding, dilation, groups)
    return x_shape[0], h.out, w.out, w_shape[3]


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Cross-correlate a batch with a bank of filters.

        y[n,i,j,o] = act(b[o] + Σ_{u,v,c} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c] · w[u,v,c,o])

    x counts as 0 outside its bounds; with groups, output channel o sees only its own group's c.
    """
    axes, groups = conv_geometry(x.shape, w.shape, stride, padding, dilation, groups)
    y_shape = (x.shape[0], axes[0].out, axes[1].out, w.shape[3])
    padded = pad(x, axes)
    y = np.zeros(y_shape, np.result_type(x, w))
    for u, v in taps(axes):
        product = _by_group(tap(padded, axes, u, v), groups) @ _by_group(w[u, v], groups)
        y += _from_groups(product, y_shape)
    if b is not None:
        y += b
    return activate(y, activation)


def conv2d_backward(
    dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, needs=(True, True, True)
):
    """Gradients (dx, dw, db) of Σ dy·conv2d(x, w, b), None where not needed.

        dx[n,p,q,c] = Σ dy[n,i,j,o] · w[u,v,c,o] over all i·sh-top+u·dh = p, j·sw-left+v·dw = q
        dw[u,v,c,o] = Σ_{n,i,j} dy[n,i,j,o] · x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]
        db[o] = Σ_{n,i,j} dy[n,i,j,o]

    dy is taken before any activation.
    """
    axes, groups = conv_geometry(x.shape, w.shape, stride, padding, dilation, groups)
    needs_dx, needs_dw, needs_db = needs
    dtype = np.result_type(dy, x, w)
    dy_groups = _by_group(dy, groups)
    dx = dw = db = None
    if needs_dx:
        padded = padded_zeros(x.shape, axes, dtype)
        for u, v in taps(axes):
            target = tap(padded, axes, u, v)
            product = dy_groups @ _by_group(w[u, v], groups).transpose(0, 2, 1)
            target += _from_groups(product, target.shape)
        dx = crop(padded, axes)
    if needs_dw:
        padded = pad(x, axes)
        dw = np.zeros(w.shape, dtype)
        for u, v in taps(axes):
            pixels = _by_group(tap(padded, axes, u, v), groups)
            dw[u, v] = _from_groups(pixels.transpose(0, 2, 1) @ dy_groups, w.shape[2:])
    if needs_db:
        db = dy.sum(axis=(0, 1, 2))
    return dx, dw, db
