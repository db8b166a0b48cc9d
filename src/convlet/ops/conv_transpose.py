"""Transposed convolution and its gradients."""

from __future__ import annotations

import functools

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads
from .conv import algorithm_number, check_axes, require_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np

    from .._types import Algorithm, Array, Gradient, Padding, Pair


_W_AXES = "(KH, KW, OC/groups, C)"


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: SupportsIndex = 1,
    algorithm: Algorithm = "auto",
) -> np.ndarray:
    """Transposed convolution: each pixel of x spreads over a window of y.

        y[n, i·sh-top+u·dh, j·sw-left+v·dw, o] += Σ_c x[n,i,j,c] · w[u,v,o,c],  from b[o] on

    It is the gradient of the convolution with w with respect to its input, plus b.

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    w : ndarray (KH, KW, OC/groups, C), of the dtype of x: the weights of the convolution
        (N, OH, OW, OC) -> (N, H, W, C) that this is the gradient of
    b : ndarray (OC,), or None
    stride : int or (sh, sw)
    padding : as in `conv2d`: the padding of that convolution, which is cropped from y. With "same"
        and "same_lower" the output is (H·sh, W·sw).
    output_padding : int or pair: extra rows and columns at the end, which that convolution does not
        read; below the larger of stride and dilation
    dilation : int or (dh, dw)
    groups : int, divides C and OC
    algorithm : as in `conv2d`

    Returns
    -------
    y : ndarray (N, OH, OW, OC)
        OH = (H - 1)·sh - top - bottom + dh·(KH - 1) + 1 + output_padding, OW alike

    Raises
    ------
    TypeError : an array is not float32 or float64, dtypes differ, or a size is not an integer.
    ValueError : shapes do not match, the padding leaves no output, or an option is out of range.

    Notes
    -----
    N·H·W·C·KH·KW·OC/groups multiply-adds. The bits of the result depend neither on the number of
    threads nor on the ISA level.

    References
    ----------
    Dumoulin & Visin 2016, arXiv:1603.07285

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.array([[[[1.0], [2.0]]]]), np.array([[[[1.0]], [[10.0]]]])
    >>> conv_transpose2d(x, w, stride=(1, 2))[0, 0, :, 0]
    array([ 1., 10.,  2., 20.])
    """
    where = "conv_transpose2d"
    x = array(x, "conv_transpose2d: x")
    w = array_like(w, "conv_transpose2d: w", x, "x")
    y_shape, geometry = conv_transpose2d_geometry(
        x.shape, w.shape, stride, padding, output_padding, dilation, groups, algorithm, where
    )
    if b is not None:
        b = array_like(b, "conv_transpose2d: b", x, "x")
        _checks.shape(b, y_shape[3:], f"{where}: b", f"(the output channels of w {w.shape})")
    require_transposed_path("backward_data", x.dtype, x.shape, y_shape, geometry, algorithm, where)
    y = empty(y_shape, x.dtype.char)
    _core.conv_transpose2d_forward(y, x, w, b, geometry, get_num_threads())
    return y


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: SupportsIndex = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: Algorithm = "auto",
) -> tuple[Gradient, Gradient, Gradient]:
    """Gradients of Σ dy·conv_transpose2d(x, w, b).

        dx[n,i,j,c] = Σ_{u,v,o} dy[n, i·sh-top+u·dh, j·sw-left+v·dw, o] · w[u,v,o,c]
        dw[u,v,o,c] = Σ_{n,i,j} dy[n, i·sh-top+u·dh, j·sw-left+v·dw, o] · x[n,i,j,c]
        db[o]       = Σ_{n,i,j} dy[n,i,j,o]

    Parameters
    ----------
    dy : ndarray (N, OH, OW, OC)
    x, w, stride, padding, output_padding, dilation, groups, algorithm : as in `conv_transpose2d`
    needs : three bools, which of dx, dw and db to compute

    Returns
    -------
    dx, dw, db : ndarrays like x, w and (OC,), None where not needed

    Raises
    ------
    TypeError, ValueError : as in `conv_transpose2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.array([[[[1.0], [2.0]]]]), np.array([[[[1.0]], [[10.0]]]])
    >>> dx, dw, db = conv_transpose2d_backward(np.ones((1, 1, 4, 1)), x, w, stride=(1, 2))
    >>> dx.ravel(), dw.ravel(), db
    (array([11., 11.]), array([3., 3.]), array([4.]))
    """
    where = "conv_transpose2d_backward"
    needs_dx, needs_dw, needs_db = _checks.needs(needs, where)
    x = array(x, "conv_transpose2d_backward: x")
    w = array_like(w, "conv_transpose2d_backward: w", x, "x")
    dy = array_like(dy, "conv_transpose2d_backward: dy", x, "x")
    y_shape, geometry = conv_transpose2d_geometry(
        x.shape, w.shape, stride, padding, output_padding, dilation, groups, algorithm, where
    )
    _checks.shape(dy, y_shape, f"{where}: dy", f"(the output of x {x.shape} and w {w.shape})")
    if needs_dx:
        require_transposed_path("forward", x.dtype, x.shape, y_shape, geometry, algorithm, where)
    if needs_dw:
        require_transposed_path(
            "backward_weights", x.dtype, x.shape, y_shape, geometry, algorithm, where
        )
    code, threads = x.dtype.char, get_num_threads()
    dx = dw = db = None
    if needs_dx:
        dx = empty(x.shape, code)
        _core.conv_transpose2d_backward_data(dx, dy, w, geometry, threads)
    if needs_dw or needs_db:
        dw = empty(w.shape, code) if needs_dw else None
        db = empty(y_shape[3:], code) if needs_db else None
        _core.conv_transpose2d_backward_weights(dw, db, dy, x, geometry, threads)
    return dx, dw, db


def require_transposed_path(direction, dtype, x_shape, y_shape, geometry, algorithm, where):
    """Raise if the convolution that this is the gradient of has no path."""
    no_activation = 0, 0.0
    of_convolution = *geometry[:10], *geometry[12:], *no_activation
    require_path(direction, dtype, y_shape, x_shape[3], of_convolution, algorithm, where)


def conv_transpose2d_geometry(
    x_shape,
    w_shape,
    stride,
    padding,
    output_padding,
    dilation,
    groups,
    algorithm,
    where="conv_transpose2d",
):
    """The output shape and the core's description, cached by exact sizes."""
    strides = _checks.pair(stride, f"{where}: stride")
    form = _checks.padding_form(padding, f"{where}: padding")
    extras = _checks.pair(output_padding, f"{where}: output_padding", 0)
    dilations = _checks.pair(dilation, f"{where}: dilation")
    groups = _checks.size(groups, f"{where}: groups")
    number = algorithm_number(algorithm, where)
    return _remembered_geometry(
        x_shape, w_shape, strides, form, extras, dilations, groups, number, where
    )


@functools.lru_cache(maxsize=1024)
def _remembered_geometry(
    x_shape, w_shape, strides, form, extras, dilations, groups, algorithm, where
):
    _check_shapes(x_shape, w_shape, groups, where)
    outputs, pads, added = [], [], []
    for axis in range(2):
        output, begin, end, extra = transposed_axis(
            form, axis, x_shape[1 + axis], w_shape[axis], strides, extras, dilations, where
        )
        if output < 1:
            raise ValueError(
                f"{where}: padding {begin} + {end} leaves none of the {output + begin + end} "
                f"{('rows', 'columns')[axis]} that w {w_shape} makes of x {x_shape}: use less "
                f"padding, a larger kernel or larger images"
            )
        outputs.append(output)
        pads += begin, end
        added.append(extra)
    y_shape = (x_shape[0], *outputs, w_shape[2] * groups)
    return y_shape, (*w_shape[:2], *strides, *dilations, *pads, *added, groups, algorithm)


def transposed_axis(form, axis, n, kernel, strides, extras, dilations, where):
    """Return the outputs of n positions on an axis, those cropped at either end, and those added.

    With "same" there are n·stride outputs; windows that do not reach so far are extended.
    """
    stride, extra, dilation = strides[axis], extras[axis], dilations[axis]
    span = dilation * (kernel - 1) + 1
    if extra >= max(stride, dilation):
        raise ValueError(
            f"{where}: output_padding must be below the larger of stride and dilation, "
            f"{max(stride, dilation)}, got {extra}"
        )
    if form in ("same", "same_lower"):
        if extra:
            raise ValueError(
                f"{where}: padding={form!r} makes the output {n}·{stride} "
                f"{('rows', 'columns')[axis]}, which leaves no output_padding, got {extra}"
            )
        extra = max(stride - span, 0)
    begin, end = _checks.axis_padding(form, axis, n * stride, kernel, stride, dilation)
    return (n - 1) * stride + span + extra - begin - end, begin, end, extra


def _check_shapes(x_shape, w_shape, groups, where):
    check_axes(x_shape, w_shape, _W_AXES, where)
    channels = x_shape[3]
    if w_shape[3] != channels:
        cure = f"w must be {_W_AXES}, the channels of x on its last axis"
        if x_shape[1] == w_shape[3]:
            cure = "x looks like (N,C,H,W): use x.transpose(0,2,3,1)"
        elif w_shape[2] == channels:
            cure = "w looks like (KH,KW,C,OC): use w.transpose(0,1,3,2)"
        elif w_shape[0] == channels:
            cure = "w looks like (C,OC,KH,KW): use w.transpose(2,3,1,0)"
        raise ValueError(
            f"{where}: x {x_shape} has {channels} channels, expected {w_shape[3]} for w {w_shape}; "
            f"{cure}"
        )
    if channels % groups:
        raise ValueError(
            f"{where}: groups={groups} must divide the {channels} channels of x {x_shape}"
        )
