"""Pooling of sequences, as images of one row."""

from __future__ import annotations

import functools

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads
from .conv1d import sequence_padding
from .pool import (
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    window_geometry,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np

    from .._types import Array, SequencePadding, Shape


_X_AXES = "(N, L, C)"


def max_pool1d(
    x: Array,
    kernel_size: SupportsIndex,
    *,
    stride: SupportsIndex | None = None,
    padding: SequencePadding = 0,
    dilation: SupportsIndex = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Take the largest value of each window; padding never wins, a NaN always does.

        y[n,i,c] = max_u x[n, i·stride-begin+u·dilation, c]

    Parameters
    ----------
    x : ndarray (N, L, C)
    kernel_size, dilation : int
    stride : int; None is kernel_size
    padding : as in `conv1d`, at most half of the kernel
    ceil_mode : bool, as in `max_pool2d`

    Returns
    -------
    y : ndarray (N, OL, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool2d`, which is called with sequences as images of one row.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool1d(np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 4, 1), 2).ravel()
    array([4., 3.])
    """
    where = "max_pool1d"
    x = _sequences(x, "max_pool1d: x")
    y_shape, geometry = _geometry(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    y = empty(y_shape, x.dtype.char)
    _core.max_pool2d_forward(y[:, None], x[:, None], geometry, get_num_threads())
    return y


def max_pool1d_backward(
    dy: Array,
    x: Array,
    kernel_size: SupportsIndex,
    *,
    stride: SupportsIndex | None = None,
    padding: SequencePadding = 0,
    dilation: SupportsIndex = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Gradient of Σ dy·max_pool1d(x): each dy goes to the first largest value of its window.

        dx[p] = Σ dy[i] over the windows i whose largest value is x[p]

    Parameters
    ----------
    dy : ndarray (N, OL, C)
    x, kernel_size, stride, padding, dilation, ceil_mode : as in `max_pool1d`

    Returns
    -------
    dx : ndarray (N, L, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool1d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 4, 1)
    >>> max_pool1d_backward(np.full((1, 2, 1), 5.0), x, 2).ravel()
    array([0., 5., 5., 0.])
    """
    where = "max_pool1d_backward"
    x = _sequences(x, f"{where}: x")
    dy = _sequences(array_like(dy, f"{where}: dy", x, "x"), f"{where}: dy", "(N, OL, C)")
    y_shape, geometry = _geometry(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    _checks.shape(dy, y_shape, f"{where}: dy", "(that of the output)")
    dx = empty(x.shape, x.dtype.char)
    _core.max_pool2d_backward(dx[:, None], dy[:, None], x[:, None], geometry, get_num_threads())
    return dx


def avg_pool1d(
    x: Array,
    kernel_size: SupportsIndex,
    *,
    stride: SupportsIndex | None = None,
    padding: SequencePadding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Take the mean of each window.

        y[n,i,c] = Σ_u x[n, i·stride-begin+u, c] / count[i]

    Parameters
    ----------
    x, kernel_size, stride, padding, ceil_mode : as in `max_pool1d`
    count_include_pad : bool, whether count includes the positions of the window in the padding

    Returns
    -------
    y : ndarray (N, OL, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool1d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool1d(np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 4, 1), 2).ravel()
    array([2.5, 2.5])
    """
    where = "avg_pool1d"
    x = _sequences(x, "avg_pool1d: x")
    y_shape, geometry = _geometry(
        x.shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, where
    )
    y = empty(y_shape, x.dtype.char)
    _core.avg_pool2d_forward(y[:, None], x[:, None], geometry, get_num_threads())
    return y


def avg_pool1d_backward(
    dy: Array,
    x_shape: Shape,
    kernel_size: SupportsIndex,
    *,
    stride: SupportsIndex | None = None,
    padding: SequencePadding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Gradient of Σ dy·avg_pool1d(x): dx[p] = Σ dy[i] / count[i] over the windows i that hold p.

    Parameters
    ----------
    dy : ndarray (N, OL, C)
    x_shape : (N, L, C)
    kernel_size, stride, padding, ceil_mode, count_include_pad : as in `avg_pool1d`

    Returns
    -------
    dx : ndarray (N, L, C)

    Raises
    ------
    TypeError, ValueError : as in `avg_pool1d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool1d_backward(np.full((1, 1, 1), 8.0), (1, 4, 1), 4).ravel()
    array([2., 2., 2., 2.])
    """
    where = "avg_pool1d_backward"
    dy = _sequences(dy, f"{where}: dy", "(N, OL, C)")
    x_shape = _checks.positive_shape(x_shape, f"{where}: x_shape", _X_AXES, 3)
    y_shape, geometry = _geometry(
        x_shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, where
    )
    _checks.shape(dy, y_shape, f"{where}: dy", "(that of the output)")
    dx = empty(x_shape, dy.dtype.char)
    _core.avg_pool2d_backward(dx[:, None], dy[:, None], geometry, get_num_threads())
    return dx


def global_avg_pool1d(x: Array) -> np.ndarray:
    """Take the mean of each channel of each sequence: y[n,c] = Σ_l x[n,l,c] / L.

    Parameters
    ----------
    x : ndarray (N, L, C)

    Returns
    -------
    y : ndarray (N, C)

    Raises
    ------
    TypeError, ValueError : as in `global_avg_pool2d`, for sequences.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool1d(np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 4, 1))
    array([[2.5]])
    """
    return global_avg_pool2d(_sequences(x, "global_avg_pool1d: x")[:, None])


def global_avg_pool1d_backward(dy: Array, x_shape: Shape) -> np.ndarray:
    """Gradient of Σ dy·global_avg_pool1d(x): dx[n,l,c] = dy[n,c] / L.

    Parameters
    ----------
    dy : ndarray (N, C)
    x_shape : (N, L, C)

    Returns
    -------
    dx : ndarray (N, L, C)

    Raises
    ------
    TypeError, ValueError : as in `global_avg_pool1d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool1d_backward(np.array([[8.0]]), (1, 4, 1)).ravel()
    array([2., 2., 2., 2.])
    """
    x_shape = _one_row(x_shape, "global_avg_pool1d_backward")
    return _without_row(global_avg_pool2d_backward(dy, x_shape))


def global_max_pool1d(x: Array) -> np.ndarray:
    """Take the largest value of each channel of each sequence: y[n,c] = max_l x[n,l,c].

    Parameters
    ----------
    x : ndarray (N, L, C)

    Returns
    -------
    y : ndarray (N, C); NaN where the channel has one

    Raises
    ------
    TypeError, ValueError : as in `global_max_pool2d`, for sequences.

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool1d(np.arange(8.0).reshape(1, 4, 2))
    array([[6., 7.]])
    """
    return global_max_pool2d(_sequences(x, "global_max_pool1d: x")[:, None])


def global_max_pool1d_backward(dy: Array, x: Array) -> np.ndarray:
    """Gradient of Σ dy·global_max_pool1d(x): dx[n,l,c] = dy[n,c] at the first largest, else 0.

    Parameters
    ----------
    dy : ndarray (N, C)
    x : ndarray (N, L, C)

    Returns
    -------
    dx : ndarray (N, L, C)

    Raises
    ------
    TypeError, ValueError : as in `global_max_pool1d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool1d_backward(np.array([[5.0]]), np.array([[[1.0], [3.0], [3.0]]])).ravel()
    array([0., 5., 0.])
    """
    x = _sequences(x, "global_max_pool1d_backward: x")
    return _without_row(global_max_pool2d_backward(dy, x[:, None]))


def _sequences(x, name, axes=_X_AXES):
    x = array(x, name)
    if x.ndim != 3:
        _checks.wrong_rank(x.shape, 3, name, axes)
    return x


def _one_row(x_shape, where):
    n, length, c = _checks.positive_shape(x_shape, f"{where}: x_shape", _X_AXES, 3)
    return n, 1, length, c


def _geometry(x_shape, kernel_size, stride, padding, dilation, ceil_mode, count_padding, where):
    """The output shape and the core's description of the window, cached by shape."""
    # Keys of the cache must be exact: see `window_geometry`.
    if type(kernel_size) is not int:
        kernel_size = _checks.size(kernel_size, f"{where}: kernel_size")
    if stride is None:
        stride = kernel_size
    elif type(stride) is not int:
        stride = _checks.size(stride, f"{where}: stride")
    if type(padding) is not int:
        padding = sequence_padding(padding, f"{where}: padding")
    if type(dilation) is not int:
        dilation = _checks.size(dilation, f"{where}: dilation")
    return _remembered_geometry(
        x_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        bool(ceil_mode),
        bool(count_padding),
        where,
    )


@functools.lru_cache(maxsize=1024)
def _remembered_geometry(
    x_shape, kernel_size, stride, padding, dilation, ceil_mode, count_padding, where
):
    """Those of images of one row, without the row."""
    n, length, c = x_shape
    if type(padding) is int:
        padding = sequence_padding(padding, f"{where}: padding")
    (n, _, length, c), geometry = window_geometry(
        (n, 1, length, c),
        (1, kernel_size),
        (1, stride),
        padding,
        (1, dilation),
        ceil_mode,
        count_padding,
        where,
    )
    return (n, length, c), geometry


def _without_row(images):
    return images.reshape(images.shape[0], *images.shape[2:])
