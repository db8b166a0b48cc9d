"""Transposed convolution, and convolution of sequences."""

import numpy as np

from .conv import conv2d, conv2d_backward, conv_geometry
from .window import axis_padding, integer, pair


def _padding(sizes, kernels, strides, padding, output_padding, dilations):
    """What is cut off either end of both axes, and what is added to the end of the output.

    "same" makes the output n·stride: the padding by which a convolution of that size has n
    windows, and where its last window ends earlier, the missing rows as output padding.
    """
    extras = pair(output_padding, "output_padding", minimum=0)
    cut, added = [], []
    for axis, (n, k, s, d) in enumerate(zip(sizes, kernels, strides, dilations, strict=True)):
        if extras[axis] >= max(s, d):
            raise ValueError(
                f"output_padding must be below the stride or dilation, {max(s, d)}, "
                f"got {extras[axis]}"
            )
        begin, end = axis_padding(padding, axis, n * s, k, s, d)
        same = padding in ("same", "same_lower")
        if same and extras[axis]:
            raise ValueError(f"padding={padding!r} leaves no output_padding, got {extras[axis]}")
        span = d * (k - 1) + 1
        cut.append((begin, end))
        added.append(max(s - span, 0) if same else extras[axis])
    return tuple(cut), tuple(added)


def _geometry(x_shape, w_shape, stride, padding, output_padding, dilation):
    """The output's size, the options of the convolution that undoes it, and what was cut off."""
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(
            f"x must be (N,H,W,C) and w (KH,KW,OC/groups,C), got {x_shape} and {w_shape}"
        )
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    cut, added = _padding(x_shape[1:3], w_shape[:2], strides, padding, output_padding, dilations)
    spread = tuple(
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, k, s, d, extra in zip(
            x_shape[1:3], w_shape[:2], strides, dilations, added, strict=True
        )
    )
    sizes = tuple(n - begin - end for n, (begin, end) in zip(spread, cut, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"padding {cut} leaves nothing of {spread} rows and columns")
    return spread, cut


def conv_transpose2d(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Spread every pixel over a window: the gradient, by its input, of the convolution with w.

        y[n, i·sh-top+u·dh, j·sw-left+v·dw, o] += Σ_c x[n,i,j,c] · w[u,v,o,c]

    starting from b[o]. Per axis the output has (n-1)·s - begin - end + d·(k-1) + 1 + output_padding
    positions; n·s with padding "same" or "same_lower".
    """
    spread, cut = _geometry(x.shape, w.shape, stride, padding, output_padding, dilation)
    groups = integer(groups, "groups", 1)
    n, h, wd, c = x.shape
    oc = w.shape[2] * groups
    if w.shape[3] != c or c % groups:
        raise ValueError(f"w {w.shape} with groups={groups} does not suit the {c} channels of x")
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    y = np.zeros((n, *spread, oc), np.result_type(x, w))
    for u in range(w.shape[0]):
        for v in range(w.shape[1]):
            rows = slice(u * dilations[0], u * dilations[0] + (h - 1) * strides[0] + 1, strides[0])
            columns = slice(
                v * dilations[1], v * dilations[1] + (wd - 1) * strides[1] + 1, strides[1]
            )
            for g in range(groups):
                inputs = slice(g * (c // groups), (g + 1) * (c // groups))
                outputs = slice(g * (oc // groups), (g + 1) * (oc // groups))
                y[:, rows, columns, outputs] += x[..., inputs] @ w[u, v, :, inputs].T
    (top, bottom), (left, right) = cut
    y = y[:, top : spread[0] - bottom, left : spread[1] - right]
    return y.copy() if b is None else y + b


def conv_transpose2d_backward(
    dy,
    x,
    w,
    *,
    stride=1,
    padding=0,
    output_padding=0,
    dilation=1,
    groups=1,
    needs=(True, True, True),
):
    """Gradients (dx, dw, db) of Σ dy·conv_transpose2d(x, w, b), None where not needed.

    dx is the convolution of dy with w, and dw that convolution's gradient with x in the place of
    its dy; db[o] = Σ_{n,i,j} dy[n,i,j,o].
    """
    _, cut = _geometry(x.shape, w.shape, stride, padding, output_padding, dilation)
    options = {"stride": stride, "padding": cut, "dilation": dilation, "groups": groups}
    needs_dx, needs_dw, needs_db = needs
    # Windows that output padding makes room for have no pixel of x.
    axes, _ = conv_geometry(dy.shape, w.shape, *options.values())
    windows = slice(x.shape[1]), slice(x.shape[2])
    dx = dw = db = None
    if needs_dx:
        dx = conv2d(dy, w, **options)[:, *windows].copy()
    if needs_dw:
        wide = np.zeros((x.shape[0], axes[0].out, axes[1].out, x.shape[3]), x.dtype)
        wide[:, *windows] = x
        _, dw, _ = conv2d_backward(wide, dy, w, **options, needs=(False, True, False))
    if needs_db:
        db = dy.sum(axis=(0, 1, 2))
    return dx, dw, db


def conv1d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Cross-correlate sequences (N, L, C) with filters (K, C/groups, OC).

        y[n,i,o] = act(b[o] + Σ_{u,c} x[n, i·s-begin+u·d, c] · w[u,c,o])

    padding is an int, (begin, end), "valid", "same" or "same_lower".
    """
    y = conv2d(
        x[:, None], w[None], b, activation=activation, **_rows(stride, padding, dilation, groups)
    )
    return y[:, 0]


def conv1d_backward(
    dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, needs=(True, True, True)
):
    """Gradients (dx, dw, db) of Σ dy·conv1d(x, w, b), None where not needed."""
    dx, dw, db = conv2d_backward(
        dy[:, None],
        x[:, None],
        w[None],
        needs=needs,
        **_rows(stride, padding, dilation, groups),
    )
    return None if dx is None else dx[:, 0], None if dw is None else dw[0], db


def _rows(stride, padding, dilation, groups):
    """The options of conv2d for images of one row."""
    if not isinstance(padding, str):
        padding = ((0, 0), padding)
    return {
        "stride": (1, integer(stride, "stride", 1)),
        "padding": padding,
        "dilation": (1, integer(dilation, "dilation", 1)),
        "groups": groups,
    }
