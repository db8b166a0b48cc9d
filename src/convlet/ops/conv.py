"""Two-dimensional convolution and its gradients."""

from __future__ import annotations

import functools
import math

import numpy as np

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..options import get_options
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, SupportsIndex

    from .._types import Activation, Algorithm, Array, Float, Gradient, Padding, Pair, Shape


_ALGORITHMS = {"auto": 0, "im2col": 1, "winograd": 2, "winograd2": 3}
_NAMES = tuple(_ALGORITHMS)
_NO_ACTIVATION = _checks.conv_activation(None, "activation")
_X_AXES = "(N, H, W, C)"
_W_AXES = "(KH, KW, C/groups, OC)"


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: SupportsIndex = 1,
    activation: Activation = None,
    algorithm: Algorithm = "auto",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Cross-correlate a batch with a bank of filters.

        y[n,i,j,o] = act(b[o] + Σ_{u,v,c} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c] · w[u,v,c,o])

    x is 0 outside its bounds. With groups, output channel o sees only the channels of its own
    group.

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    w : ndarray (KH, KW, C/groups, OC), of the dtype of x
    b : ndarray (OC,), or None
    stride : int or (sh, sw)
    padding : int, (rows, columns), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        "same" is TensorFlow's rule: ceil(n / stride) outputs, an odd zero at the end; with
        "same_lower" at the beginning.
    dilation : int or (dh, dw)
    groups : int, divides C and OC
    activation : None, "relu", "relu6", "leaky_relu" (of slope 0.01) or ("leaky_relu", slope)
    algorithm : "auto", "im2col", "winograd" or "winograd2"
        "auto" takes the one expected to be fastest, by the shape alone; `conv2d_algorithm` reports
        which, and `convlet.options(winograd=False)` forbids the last two. "im2col" takes every
        shape and is exact on small integers. "winograd" multiplies less and rounds more: F(4x4,
        3x3) and F(2x2, 5x5) at stride 1 in float32, and forward 5x5 and 7x7 at stride 2.
        "winograd2" is F(2x2, 3x3), which rounds as little as "im2col", at stride 1, or at stride 2
        with padding 1 at the top and on the left.
    out : ndarray (N, OH, OW, OC) that the result is written to, or None

    Returns
    -------
    y : ndarray (N, OH, OW, OC)
        OH = floor((H + top + bottom - dh·(KH - 1) - 1) / sh) + 1, OW alike; `out` if it was given.

    Raises
    ------
    TypeError : an array is not float32 or float64, dtypes differ, or a size is not an integer.
    ValueError : shapes do not match, the kernel is larger than the padded input, an option is out
        of range, `out` overlaps an input, or `algorithm` has no path for this shape.

    Notes
    -----
    N·OH·OW·OC·KH·KW·C/groups multiply-adds. The bits of the result depend neither on the number of
    threads nor on the ISA level.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.ones((1, 3, 3, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    >>> conv2d(x, w, padding="same")[0, :, :, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]], dtype=float32)
    """
    if out is None and activation is None:
        y = _core.conv2d(x, w, b, stride, padding, dilation, groups, algorithm, get_num_threads)
        if y is not None:
            return y
    given = x, w, b
    x = array(x, "conv2d: x")
    w = array_like(w, "conv2d: w", x, "x")
    y_shape, geometry = _geometry(
        x.shape, w.shape, stride, padding, dilation, groups, activation, algorithm, "conv2d"
    )
    require_path("forward", x.dtype, x.shape, w.shape[3], geometry, algorithm, "conv2d")
    if b is not None:
        b = array_like(b, "conv2d: b", x, "x")
        if b.shape != y_shape[3:]:
            _checks.shape(b, y_shape[3:], "conv2d: b", f"(the output channels of w {w.shape})")
    if out is None:
        y = empty(y_shape, x.dtype.char)
    else:
        _checks.output(out, y_shape, x.dtype, "conv2d: out", (x, w, b, *given))
        y = out
    _core.conv2d_forward(y, x, w, b, geometry, get_num_threads())
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: SupportsIndex = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: Algorithm = "auto",
) -> tuple[Gradient, Gradient, Gradient]:
    """Gradients of Σ dy·conv2d(x, w, b).

        dx[n,p,q,c] = Σ dy[n,i,j,o] · w[u,v,c,o]  over all i·sh-top+u·dh = p, j·sw-left+v·dw = q
        dw[u,v,c,o] = Σ_{n,i,j} dy[n,i,j,o] · x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]
        db[o]       = Σ_{n,i,j} dy[n,i,j,o]

    Parameters
    ----------
    dy : ndarray (N, OH, OW, OC), the gradient before any activation
    x, w, stride, padding, dilation, groups, algorithm : as in `conv2d`
    needs : three bools, which of dx, dw and db to compute

    Returns
    -------
    dx, dw, db : ndarrays (N, H, W, C), (KH, KW, C/groups, OC) and (OC,), None where not needed
        Input positions that no window reads get exactly 0.

    Raises
    ------
    TypeError, ValueError : as in `conv2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.arange(4.0).reshape(1, 2, 2, 1), np.ones((2, 2, 1, 1))
    >>> [g.ravel() for g in conv2d_backward(np.full((1, 1, 1, 1), 2.0), x, w)]
    [array([2., 2., 2., 2.]), array([0., 2., 4., 6.]), array([2.])]
    """
    needs_dx, needs_dw, needs_db = needs = _checks.needs(needs, "conv2d_backward")
    gradients = _core.conv2d_gradients(
        dy, x, w, stride, padding, dilation, groups, needs, algorithm, get_num_threads
    )
    if gradients is not None:
        return gradients
    x = array(x, "conv2d_backward: x")
    w = array_like(w, "conv2d_backward: w", x, "x")
    dy = array_like(dy, "conv2d_backward: dy", x, "x")
    y_shape, geometry = _geometry(
        x.shape, w.shape, stride, padding, dilation, groups, None, algorithm, "conv2d_backward"
    )
    if dy.shape != y_shape:
        _checks.shape(
            dy, y_shape, "conv2d_backward: dy", f"(the output of x {x.shape} and w {w.shape})"
        )
    problem = x.dtype, x.shape, w.shape[3], geometry, algorithm, "conv2d_backward"
    if needs_dx:
        require_path("backward_data", *problem)
    if needs_dw:
        require_path("backward_weights", *problem)
    code, threads = x.dtype.char, get_num_threads()
    dx = dw = db = None
    if needs_dx:
        dx = empty(x.shape, code)
        _core.conv2d_backward_data(dx, dy, w, geometry, threads)
    if needs_dw or needs_db:
        dw = empty(w.shape, code) if needs_dw else None
        db = empty(y_shape[3:], code) if needs_db else None
        _core.conv2d_backward_weights(dw, db, dy, x, geometry, threads)
    return dx, dw, db


def conv2d_algorithm(
    x_shape: Shape,
    w_shape: Shape,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: SupportsIndex = 1,
    dtype: Float = "float32",
    direction: Literal["forward", "backward_data", "backward_weights"] = "forward",
) -> dict[str, Any]:
    """Report which algorithm "auto" takes for a convolution, why, and what it costs.

    Parameters
    ----------
    x_shape : (N, H, W, C)
    w_shape : (KH, KW, C/groups, OC)
    stride, padding, dilation, groups : as in `conv2d`
    dtype : "float32" or "float64"
    direction : "forward", "backward_data" or "backward_weights"

    Returns
    -------
    dict with "algorithm", "multiply_adds", "bytes" (of the three arrays, once each), "workspace"
        (its bytes with the current number of threads) and "reason"

    Raises
    ------
    TypeError, ValueError : as in `conv2d`; dtype or direction is unknown.

    Examples
    --------
    >>> conv2d_algorithm((8, 56, 56, 64), (3, 3, 64, 64), padding=1)["algorithm"]
    'winograd'
    """
    where = "conv2d_algorithm"
    x_shape = _checks.positive_shape(x_shape, f"{where}: x_shape", _X_AXES)
    w_shape = _checks.positive_shape(w_shape, f"{where}: w_shape", _W_AXES)
    dtype = _checks.floating(dtype, f"{where}: dtype")
    directions = ("forward", "backward_data", "backward_weights")
    if direction not in directions:
        raise ValueError(f"{where}: direction must be one of {directions}, got {direction!r}")
    y_shape, geometry = _geometry(
        x_shape, w_shape, stride, padding, dilation, groups, None, "auto", where
    )
    found = conv2d_choice(direction, dtype.char, x_shape, w_shape[3], geometry)
    elements = math.prod(x_shape) + math.prod(w_shape) + math.prod(y_shape)
    return {
        "algorithm": found["algorithm"],
        "multiply_adds": math.prod(y_shape) * math.prod(w_shape[:3]),
        "bytes": elements * dtype.itemsize,
        "workspace": found["workspace"],
        "reason": found["reason"],
    }


def conv2d_choice(direction, code, x_shape, out_channels, geometry):
    """The algorithm of a pass, its workspace in bytes and the reason for it, as a dict."""
    problem = direction, code, x_shape, out_channels, geometry
    number, reason = _core.conv2d_choose(*problem)
    workspace = _core.conv2d_workspace(*problem, get_num_threads())
    return {"algorithm": _NAMES[number], "workspace": workspace, "reason": reason}


def conv2d_geometry(x_shape, w_shape, *, activation=None, algorithm="auto", **options):
    """The core's description of a convolution whose shapes and options have been checked."""
    names = ("stride", "padding", "dilation", "groups")
    chosen = (options[name] for name in names)
    return _geometry(x_shape, w_shape, *chosen, activation, algorithm, "conv2d")[1]


def check_algorithm(algorithm, where):
    """Return the name of an algorithm; raise if there is none of that name."""
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise ValueError(f"{where}: algorithm must be one of {_NAMES}, got {algorithm!r}")
    return algorithm


def algorithm_number(algorithm, where):
    """Return the core's number of an algorithm; for "auto", im2col's if options forbid Winograd."""
    check_algorithm(algorithm, where)
    if algorithm == "auto" and not get_options().winograd:
        return _ALGORITHMS["im2col"]
    return _ALGORITHMS[algorithm]


def require_path(direction, dtype, x_shape, out_channels, geometry, algorithm, where):
    """Raise if an algorithm requested by name has no path for a shape."""
    if algorithm not in ("winograd", "winograd2"):
        return
    found, reason = _core.conv2d_choose(direction, dtype.char, x_shape, out_channels, geometry)
    if found is None:
        raise ValueError(
            f"{where}: algorithm={algorithm!r} has no path for this {dtype} problem: {reason}; "
            f"use 'auto' or 'im2col'"
        )


def _geometry(x_shape, w_shape, stride, padding, dilation, groups, activation, algorithm, where):
    """The output shape and the core's description of the convolution, cached by shape."""
    # Keys of the cache must be exact integers, pairs of them or strings, since 1 == True == 1.0.
    if type(stride) is not int:
        stride = _checks.pair(stride, f"{where}: stride")
    if type(padding) is not int and type(padding) is not str:
        padding = _checks.padding_form(padding, f"{where}: padding")
    if type(dilation) is not int:
        dilation = _checks.pair(dilation, f"{where}: dilation")
    if type(groups) is not int:
        groups = _checks.size(groups, f"{where}: groups")
    code, slope = _NO_ACTIVATION
    if activation is not None:
        code, slope = _checks.conv_activation(activation, f"{where}: activation")
    number = algorithm_number(algorithm, where)
    return _remembered_geometry(
        x_shape, w_shape, stride, padding, dilation, groups, number, code, slope, where
    )


@functools.lru_cache(maxsize=1024)
def _remembered_geometry(
    x_shape, w_shape, stride, padding, dilation, groups, algorithm, activation, slope, where
):
    strides = _checks.pair(stride, f"{where}: stride")
    form = _checks.padding_form(padding, f"{where}: padding")
    dilations = _checks.pair(dilation, f"{where}: dilation")
    groups = _checks.size(groups, f"{where}: groups")
    _check_shapes(x_shape, w_shape, groups, where)
    outputs, pads = [], []
    for axis in range(2):
        n, kernel = x_shape[1 + axis], w_shape[axis]
        begin, end = _checks.axis_padding(form, axis, n, kernel, strides[axis], dilations[axis])
        span = dilations[axis] * (kernel - 1) + 1
        if span > begin + n + end:
            raise ValueError(
                f"{where}: the kernel of w {w_shape} spans {span} {('rows', 'columns')[axis]} with "
                f"dilation {dilations[axis]}, more than the {begin} + {n} + {end} of the padded "
                f"input x {x_shape}: use larger images, more padding or a smaller kernel"
            )
        outputs.append((begin + n + end - span) // strides[axis] + 1)
        pads += begin, end
    y_shape = (x_shape[0], *outputs, w_shape[3])
    geometry = (
        *w_shape[:2],
        *strides,
        *dilations,
        *pads,
        groups,
        algorithm,
        activation,
        slope,
    )
    return y_shape, geometry


def check_axes(x_shape, w_shape, w_axes, where):
    """Raise unless x and w have four axes each, and only the batch is empty."""
    if len(x_shape) != 4:
        _checks.wrong_rank(x_shape, 4, f"{where}: x", _X_AXES)
    if len(w_shape) != 4:
        _checks.wrong_rank(w_shape, 4, f"{where}: w", w_axes)
    if min(x_shape[1:]) < 1 or min(w_shape) < 1:
        raise ValueError(
            f"{where}: only the batch may be empty, got x {x_shape} {_X_AXES} and w {w_shape} "
            f"{w_axes}"
        )


def _check_shapes(x_shape, w_shape, groups, where):
    check_axes(x_shape, w_shape, _W_AXES, where)
    channels, expected = x_shape[3], w_shape[2] * groups
    if channels != expected:
        of_groups = f" with groups={groups}" if groups != 1 else ""
        message = (
            f"{where}: x {x_shape} has {channels} channels, expected {expected} for w "
            f"{w_shape}{of_groups}"
        )
        raise ValueError(message + _cure(x_shape, w_shape, groups))
    if w_shape[3] % groups:
        raise ValueError(
            f"{where}: groups={groups} must divide the {w_shape[3]} output channels of w {w_shape}"
        )


def _cure(x_shape, w_shape, groups):
    if x_shape[1] == w_shape[2] * groups:
        return "; x looks like (N,C,H,W): use x.transpose(0,2,3,1)"
    if x_shape[3] == w_shape[1] * groups:
        return "; w looks like (OC,C,KH,KW): use w.transpose(2,3,1,0)"
    return f"; w must be {_W_AXES}, the channels of x on its third axis"
