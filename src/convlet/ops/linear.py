"""The linear map of rows, and its gradients."""

from __future__ import annotations

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np

    from .._types import Array, Gradient


def linear(x: Array, w: Array, b: Array | None = None) -> np.ndarray:
    """Map the last axis of x linearly: y = x w + b.

    Parameters
    ----------
    x : ndarray (..., in)
    w : ndarray (in, out), of the dtype of x
    b : ndarray (out,), or None

    Returns
    -------
    y : ndarray (..., out)

    Raises
    ------
    TypeError : an array is not float32 or float64, or dtypes differ.
    ValueError : shapes do not match; the message names them.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0], [10.0]]), np.array([0.5]))
    array([[21.5]])
    """
    y = _core.linear(x, w, b, get_num_threads)
    return _linear(x, w, b) if y is None else y


def _linear(x, w, b):
    """`linear`, of arrays that must be converted or are refused."""
    x = array(x, "linear: x")
    w = array_like(w, "linear: w", x, "x")
    y_shape = _output_shape(x.shape, w.shape, "linear")
    if b is not None:
        b = array_like(b, "linear: b", x, "x")
        if b.shape != w.shape[1:]:
            _checks.shape(b, w.shape[1:], "linear: b", f"(the outputs of w {w.shape})")
    y = empty(y_shape, x.dtype.char)
    _core.linear_forward(y, x, w, b, get_num_threads())
    return y


def linear_backward(
    dy: Array, x: Array, w: Array, *, needs: tuple[bool, bool, bool] = (True, True, True)
) -> tuple[Gradient, Gradient, Gradient]:
    """Gradients of Σ dy·linear(x, w, b).

        dx = dy wᵀ,  dw = Σ_rows xᵀ dy,  db = Σ_rows dy

    Parameters
    ----------
    dy : ndarray (..., out)
    x, w : as in `linear`
    needs : three bools, which of dx, dw and db to compute

    Returns
    -------
    dx, dw, db : ndarrays (..., in), (in, out) and (out,), None where not needed

    Raises
    ------
    TypeError, ValueError : as in `linear`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> dx, dw, db = linear_backward(np.ones((2, 4)), np.ones((2, 3)), np.ones((3, 4)))
    >>> dx[0], dw[0], db
    (array([4., 4., 4.]), array([2., 2., 2., 2.]), array([2., 2., 2., 2.]))
    """
    needs_dx, needs_dw, needs_db = _checks.needs(needs, "linear_backward")
    gradients = _core.linear_gradients(dy, x, w, needs_dx, needs_dw, needs_db, get_num_threads)
    if gradients is None:
        return _linear_backward(dy, x, w, needs_dx, needs_dw, needs_db)
    return gradients


def _linear_backward(dy, x, w, needs_dx, needs_dw, needs_db):
    """`linear_backward`, of arrays that must be converted or are refused."""
    x = array(x, "linear_backward: x")
    w = array_like(w, "linear_backward: w", x, "x")
    dy = array_like(dy, "linear_backward: dy", x, "x")
    y_shape = _output_shape(x.shape, w.shape, "linear_backward")
    if dy.shape != y_shape:
        _checks.shape(
            dy, y_shape, "linear_backward: dy", f"(the output of x {x.shape} and w {w.shape})"
        )
    code, threads = x.dtype.char, get_num_threads()
    dx = dw = db = None
    if needs_dx:
        dx = empty(x.shape, code)
        _core.linear_backward_data(dx, dy, w, threads)
    if needs_dw or needs_db:
        dw = empty(w.shape, code) if needs_dw else None
        db = empty(w.shape[1:], code) if needs_db else None
        _core.linear_backward_weights(dw, db, dy, x, threads)
    return dx, dw, db


def _output_shape(x_shape, w_shape, where):
    if len(w_shape) != 2 or 0 in w_shape:
        raise ValueError(f"{where}: w must be (in, out) with no empty axis, got shape {w_shape}")
    if not x_shape:
        raise ValueError(f"{where}: x must be (..., in), got a single number")
    if x_shape[-1] != w_shape[0]:
        cure = ""
        if x_shape[-1] == w_shape[1]:
            cure = "; w looks like (out, in): use w.T"
        elif len(x_shape) == 4:
            cure = "; to flatten images first, use x.reshape(len(x), -1)"
        raise ValueError(
            f"{where}: x {x_shape} has {x_shape[-1]} features, expected {w_shape[0]} for w "
            f"{w_shape}{cure}"
        )
    return (*x_shape[:-1], w_shape[1])
