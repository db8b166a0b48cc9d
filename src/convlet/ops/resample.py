"""Padding, upsampling and adaptive pooling, and their gradients."""

from __future__ import annotations

import functools

from .. import _checks, _core
from .._checks import array
from .._core import empty
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    import numpy as np

    from .._types import Array, Padding, Pair, Shape


_X_AXES = "(N, H, W, C)"
PAD_MODES = {"zeros": 0, "reflect": 1, "replicate": 2, "circular": 3}
UPSAMPLE_MODES = {"nearest": 0, "bilinear": 1}


def pad2d(
    x: Array,
    padding: Padding,
    *,
    mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
    value: float = 0,
) -> np.ndarray:
    """Pad images on all four sides.

    Two pixels around 0 1 2 3, with v for `value`:

        zeros  v v 0 1 2 3 v v      reflect   2 1 0 1 2 3 2 1
        replicate  0 0 0 1 2 3 3 3  circular  2 3 0 1 2 3 0 1

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    padding : int, (rows, columns) or ((top, bottom), (left, right))
    mode : "zeros", "reflect" (at most H - 1 rows), "replicate" or "circular" (at most H)
    value : float, default 0; with mode "zeros" only

    Returns
    -------
    y : ndarray (N, top + H + bottom, left + W + right, C)

    Raises
    ------
    TypeError : x is not float32 or float64, or a size is not an integer.
    ValueError : x does not have four axes, mode is unknown, the image is too small for it, or
        `value` is given to a mode that does not use it.

    Examples
    --------
    >>> import numpy as np
    >>> pad2d(np.arange(4.0).reshape(1, 1, 4, 1), (0, 2), mode="reflect").ravel()
    array([2., 1., 0., 1., 2., 3., 2., 1.])
    """
    x = array(x, "pad2d: x")
    y_shape, geometry = _pad_geometry(x.shape, padding, mode, value, "pad2d")
    y = empty(y_shape, x.dtype.char)
    _core.pad2d_forward(y, x, geometry, value, get_num_threads())
    return y


def pad2d_backward(
    dy: Array,
    x_shape: Shape,
    padding: Padding,
    *,
    mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
) -> np.ndarray:
    """Gradient of Σ dy·pad2d(x): dx[p] = Σ dy over the pixels that are copies of x[p].

    Parameters
    ----------
    dy : ndarray of the shape of the output
    x_shape : (N, H, W, C)
    padding, mode : as in `pad2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `pad2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> pad2d_backward(np.ones((1, 1, 8, 1)), (1, 1, 4, 1), (0, 2), mode="reflect").ravel()
    array([1., 3., 3., 1.])
    """
    where = "pad2d_backward"
    dy = array(dy, "pad2d_backward: dy")
    x_shape = _checks.positive_shape(x_shape, "pad2d_backward: x_shape", _X_AXES)
    y_shape, geometry = _pad_geometry(x_shape, padding, mode, 0, where)
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, f"{where}: dy", f"(of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    _core.pad2d_backward(dx, dy, geometry, 0, get_num_threads())
    return dx


def check_padding(padding, mode, value, where):
    """Return ((top, bottom), (left, right)), or raise if the options do not match."""
    if not isinstance(mode, str) or mode not in PAD_MODES:
        raise ValueError(f"{where}: mode must be one of {tuple(PAD_MODES)}, got {mode!r}")
    _checks.number(value, f"{where}: value")
    if mode != "zeros" and value:
        raise ValueError(
            f"{where}: mode={mode!r} takes its margin from the image and has no use for "
            f"value={value}; use mode='zeros'"
        )
    if isinstance(padding, str):
        raise ValueError(
            f"{where}: padding must be an integer, a pair or ((top, bottom), (left, right)), got "
            f"{padding!r}"
        )
    return _checks.padding_form(padding, f"{where}: padding")


def padded_shape(x_shape, pads, mode, where):
    """Return the shape of y, or raise if the image is too small for its padding."""
    _checks.images(x_shape, where)
    for axis in range(2):
        n, most = x_shape[1 + axis], max(pads[axis])
        if most > {"reflect": n - 1, "circular": n}.get(mode, most):
            raise ValueError(
                f"{where}: mode={mode!r} can make at most {n - 1 if mode == 'reflect' else n} of "
                f"{n} {('rows', 'columns')[axis]}, got padding {most} for {x_shape}; use less, or "
                f"mode='replicate'"
            )
    (top, bottom), (left, right) = pads
    n, h, w, c = x_shape
    return n, top + h + bottom, left + w + right, c


def _pad_geometry(x_shape, padding, mode, value, where):
    """The output shape and the core's description, cached by shape."""
    if type(padding) is not int or type(mode) is not str or type(value) is not int or value:
        padding = check_padding(padding, mode, value, where)
    return _remembered_padding(x_shape, padding, mode, where)


@functools.lru_cache(maxsize=1024)
def _remembered_padding(x_shape, padding, mode, where):
    pads = check_padding(padding, mode, 0, where)
    return padded_shape(x_shape, pads, mode, where), (*pads[0], *pads[1], PAD_MODES[mode])


def upsample2d(
    x: Array,
    scale: Pair,
    *,
    mode: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool = False,
) -> np.ndarray:
    """Upsample images by an integer scale.

        nearest   y[n,i,j,c] = x[n, i // sh, j // sw, c]
        bilinear  y[n,i,j,c] = Σ_{h,w} max(0, 1 - |r_i - h|) · max(0, 1 - |s_j - w|) · x[n,h,w,c]

    where r_i = (i + ½)/sh - ½, clipped to [0, H - 1], or with align_corners
    r_i = i·(H - 1)/(H·sh - 1); s_j alike.

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    scale : int or (sh, sw)
    mode : "nearest" or "bilinear"
    align_corners : bool, default False; with mode "bilinear" only

    Returns
    -------
    y : ndarray (N, H·sh, W·sw, C)

    Raises
    ------
    TypeError : x is not float32 or float64, or scale is not an integer.
    ValueError : x does not have four axes, an option is out of range, or align_corners is True with
        mode "nearest".

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    >>> upsample2d(x, (1, 2), mode="bilinear").ravel()
    array([0., 1., 3., 4.])
    """
    where = "upsample2d"
    x = array(x, "upsample2d: x")
    scales = check_upsampling(scale, mode, align_corners, where)
    _checks.images(x.shape, where)
    n, h, w, c = x.shape
    y = empty((n, h * scales[0], w * scales[1], c), x.dtype.char)
    geometry = upsample2d_geometry(scales, mode, align_corners)
    _core.upsample2d_forward(y, x, geometry, get_num_threads())
    return y


def upsample2d_backward(
    dy: Array,
    x_shape: Shape,
    scale: Pair,
    *,
    mode: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool = False,
) -> np.ndarray:
    """Gradient of Σ dy·upsample2d(x): dx[p] = Σ dy[i] · weight of x[p] in y[i].

    Parameters
    ----------
    dy : ndarray (N, H·sh, W·sw, C)
    x_shape : (N, H, W, C)
    scale, mode, align_corners : as in `upsample2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `upsample2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> upsample2d_backward(np.arange(4.0).reshape(1, 1, 4, 1), (1, 1, 2, 1), (1, 2)).ravel()
    array([1., 5.])
    """
    where = "upsample2d_backward"
    dy = array(dy, "upsample2d_backward: dy")
    x_shape = _checks.positive_shape(x_shape, "upsample2d_backward: x_shape", _X_AXES)
    scales = check_upsampling(scale, mode, align_corners, where)
    n, h, w, c = x_shape
    y_shape = n, h * scales[0], w * scales[1], c
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, f"{where}: dy", f"(of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    geometry = upsample2d_geometry(scales, mode, align_corners)
    _core.upsample2d_backward(dx, dy, geometry, get_num_threads())
    return dx


def upsample2d_geometry(scales, mode, align_corners):
    """The core's description."""
    return (*scales, UPSAMPLE_MODES[mode], int(align_corners))


def check_upsampling(scale, mode, align_corners, where):
    """Return (sh, sw), or raise if the options do not match."""
    if not isinstance(mode, str) or mode not in UPSAMPLE_MODES:
        raise ValueError(f"{where}: mode must be one of {tuple(UPSAMPLE_MODES)}, got {mode!r}")
    if not isinstance(align_corners, bool):
        raise TypeError(f"{where}: align_corners must be a bool, got {align_corners!r}")
    if align_corners and mode == "nearest":
        raise ValueError(
            f"{where}: align_corners says where bilinear weights lie, and mode='nearest' has none; "
            f"use mode='bilinear'"
        )
    return _checks.pair(scale, f"{where}: scale")


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> np.ndarray:
    """Average images over OH x OW bins, whatever their size.

        y[n,i,j,c] = mean of x[n,h,w,c], floor(i·H/OH) ≤ h < ceil((i + 1)·H/OH), w alike

    Bins overlap where OH does not divide H, and repeat pixels where OH is larger.

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    output_size : int or (OH, OW); in a pair, None is the size of the image

    Returns
    -------
    y : ndarray (N, OH, OW, C)

    Raises
    ------
    TypeError : x is not float32 or float64, or a size is not an integer.
    ValueError : x does not have four axes, or a size is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel()
    array([1., 3.])
    """
    where = "adaptive_avg_pool2d"
    x = array(x, "adaptive_avg_pool2d: x")
    sizes = check_output_size(output_size, f"{where}: output_size")
    _checks.images(x.shape, where)
    outputs = output_sizes(x.shape, sizes)
    y = empty((x.shape[0], *outputs, x.shape[3]), x.dtype.char)
    _core.adaptive_avg_pool2d_forward(y, x, outputs, get_num_threads())
    return y


def adaptive_avg_pool2d_backward(dy: Array, x_shape: Shape, output_size: Pair) -> np.ndarray:
    """Gradient of Σ dy·adaptive_avg_pool2d(x): dx[p] = Σ dy[i] / count[i] over the bins i of p.

    Parameters
    ----------
    dy : ndarray (N, OH, OW, C)
    x_shape : (N, H, W, C)
    output_size : as in `adaptive_avg_pool2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `adaptive_avg_pool2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> dy = np.array([3.0, 6.0]).reshape(1, 1, 2, 1)
    >>> adaptive_avg_pool2d_backward(dy, (1, 1, 5, 1), (1, 2)).ravel()
    array([1., 1., 3., 2., 2.])
    """
    where = "adaptive_avg_pool2d_backward"
    dy = array(dy, "adaptive_avg_pool2d_backward: dy")
    x_shape = _checks.positive_shape(x_shape, f"{where}: x_shape", _X_AXES)
    outputs = output_sizes(x_shape, check_output_size(output_size, f"{where}: output_size"))
    y_shape = x_shape[0], *outputs, x_shape[3]
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, f"{where}: dy", f"(of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    _core.adaptive_avg_pool2d_backward(dx, dy, outputs, get_num_threads())
    return dx


def check_output_size(value, name):
    """Return a pair of sizes, with None for that of the image."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair, got {value!r}")
        first, second = (None if v is None else _checks.size(v, name) for v in value)
        return first, second
    return _checks.pair(value, name)


def output_sizes(x_shape, sizes):
    """Return (OH, OW) for images of this shape."""
    return x_shape[1] if sizes[0] is None else sizes[0], (
        x_shape[2] if sizes[1] is None else sizes[1]
    )
