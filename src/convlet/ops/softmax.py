"""Softmax, log-softmax and their gradients."""

from __future__ import annotations

from .. import _checks, _core
from .._checks import array, array_like
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np

    from .._types import Array


def softmax(x: Array, *, axis: SupportsIndex = -1) -> np.ndarray:
    """Turn logits into probabilities.

        y_i = exp(x_i - m) / Σ_k exp(x_k - m),  m = max x

    Parameters
    ----------
    x : ndarray
    axis : int, the axis of the classes; any but the last costs a transposing copy each way

    Returns
    -------
    y : ndarray of the shape of x; a row with a NaN or +inf is NaN

    Raises
    ------
    TypeError : x is not float32 or float64, or axis is not an integer.
    ValueError : axis is out of range, or has no classes.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return _map(_core.softmax_forward, x, axis, "softmax")


def log_softmax(x: Array, *, axis: SupportsIndex = -1) -> np.ndarray:
    """Take the logarithm of the softmax: y_i = (x_i - m) - log Σ_k exp(x_k - m), m = max x.

    Parameters
    ----------
    x, axis : as in `softmax`

    Returns
    -------
    y : ndarray of the shape of x; a row with a NaN or +inf is NaN

    Raises
    ------
    TypeError, ValueError : as in `softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    return _map(_core.log_softmax_forward, x, axis, "log_softmax")


def softmax_backward(dy: Array, y: Array, *, axis: SupportsIndex = -1) -> np.ndarray:
    """Gradient of Σ dy·softmax(x) from y = softmax(x).

        dx_j = Σ_i dy_i · y_i (δ_ij - y_j) = y_j (dy_j - Σ_i dy_i y_i)

    Parameters
    ----------
    dy, y : ndarrays of one shape and dtype
    axis : as in `softmax`

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `softmax`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([ 0.25, -0.25])
    """
    return _pull_back(_core.softmax_backward, dy, y, axis, "softmax_backward")


def log_softmax_backward(dy: Array, y: Array, *, axis: SupportsIndex = -1) -> np.ndarray:
    """Gradient of Σ dy·log_softmax(x) from y = log_softmax(x): dx_j = dy_j - exp(y_j) Σ_i dy_i.

    Parameters
    ----------
    dy, y : ndarrays of one shape and dtype
    axis : as in `softmax`

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `softmax`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_backward(np.array([1.0, 0.0]), np.log([0.5, 0.5]))
    array([ 0.5, -0.5])
    """
    return _pull_back(_core.log_softmax_backward, dy, y, axis, "log_softmax_backward")


def _map(function, x, axis, where):
    if type(axis) is int and axis == -1:
        y = function(x, get_num_threads)
        if y is not None:
            return y
    x = array(x, f"{where}: x")
    axis = _checks.class_axis(axis, x.shape, where)
    x = _checks.axis_to_last(x, axis)
    return _checks.axis_from_last(function(x, get_num_threads), axis)


def _pull_back(function, dy, y, axis, where):
    if type(axis) is int and axis == -1:
        dx = function(dy, y, get_num_threads)
        if dx is not None:
            return dx
    y = array(y, f"{where}: y")
    dy = array_like(dy, f"{where}: dy", y, "y")
    _checks.shape(dy, y.shape, f"{where}: dy", "(that of y)")
    axis = _checks.class_axis(axis, y.shape, where)
    dy, y = _checks.axis_to_last(dy, axis), _checks.axis_to_last(y, axis)
    return _checks.axis_from_last(function(dy, y, get_num_threads), axis)
