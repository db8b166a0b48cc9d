"""Max and average pooling, and their gradients."""

from __future__ import annotations

import functools

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np

    from .._types import Array, Padding, Pair, Shape


_X_AXES = "(N, H, W, C)"
MAX_WINNERS = 255  # positions of a window that a byte can number, besides 255 for none


def max_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Take the largest value of each window; padding never wins, a NaN always does.

        y[n,i,j,c] = max_{u,v} x[n, i·sh-top+u·dh, j·sw-left+v·dw, c]

    Parameters
    ----------
    x : ndarray (N, H, W, C)
    kernel_size : int or (KH, KW)
    stride : int or (sh, sw); None is kernel_size
    padding : as in `conv2d`, at most half of the kernel
    dilation : int or (dh, dw)
    ceil_mode : bool, round the output size up; the last window still begins in the image or in the
        padding before it

    Returns
    -------
    y : ndarray (N, OH, OW, C)

    Raises
    ------
    TypeError : x is not float32 or float64, or a size is not an integer.
    ValueError : x does not have four axes, the kernel is larger than the padded input, or an option
        is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    where = "max_pool2d"
    x = array(x, "max_pool2d: x")
    y_shape, geometry = window_geometry(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    y = empty(y_shape, x.dtype.char)
    _core.max_pool2d_forward(y, x, geometry, get_num_threads())
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Gradient of Σ dy·max_pool2d(x): each dy goes to the largest value of its window.

        dx[p] = Σ dy[i] over the windows i whose largest value is x[p]

    Of equal values, and of NaNs, the first in row-major order counts.

    Parameters
    ----------
    dy : ndarray (N, OH, OW, C)
    x, kernel_size, stride, padding, dilation, ceil_mode : as in `max_pool2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 2, 2, 1)
    >>> max_pool2d_backward(np.full((1, 1, 1, 1), 5.0), x, 2).ravel()
    array([0., 5., 0., 0.])
    """
    where = "max_pool2d_backward"
    x = array(x, "max_pool2d_backward: x")
    dy = array_like(dy, "max_pool2d_backward: dy", x, "x")
    y_shape, geometry = window_geometry(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, "max_pool2d_backward: dy", f"(the output of x {x.shape})")
    dx = empty(x.shape, x.dtype.char)
    _core.max_pool2d_backward(dx, dy, x, geometry, get_num_threads())
    return dx


def max_pool2d_winners(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool2d`, with the places of the largest values for a backward pass without x.

    Returns
    -------
    y : ndarray (N, OH, OW, C)
    winners : ndarray (N, OH, OW, C) of uint8, for `max_pool2d_winners_backward`: the number of the
        largest value among the positions of its window inside the image, 255 if there is none

    Raises
    ------
    TypeError, ValueError : as in `max_pool2d`; the kernel has more than 255 positions.
    """
    where = "max_pool2d_winners"
    x = array(x, "max_pool2d_winners: x")
    y_shape, geometry = window_geometry(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    y, winners = empty(y_shape, x.dtype.char), empty(y_shape, "B")
    _core.max_pool2d_forward_winners(y, winners, x, geometry, get_num_threads())
    return y, winners


def max_pool2d_winners_backward(
    dy, winners, x_shape, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False
):
    """`max_pool2d_backward` from the winners: the same bits for at most half the memory traffic.

    Parameters
    ----------
    dy : ndarray (N, OH, OW, C)
    winners : as `max_pool2d_winners` returns it
    x_shape : (N, H, W, C)
    kernel_size, stride, padding, dilation, ceil_mode : as in `max_pool2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool2d`; dy does not have the shape of the output.
    """
    where = "max_pool2d_winners_backward"
    dy = array(dy, "max_pool2d_winners_backward: dy")
    y_shape, geometry = window_geometry(
        x_shape, kernel_size, stride, padding, dilation, ceil_mode, True, where
    )
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, f"{where}: dy", f"(the output of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    _core.max_pool2d_backward_winners(dx, dy, winners, geometry, get_num_threads())
    return dx


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Take the mean of each window.

        y[n,i,j,c] = Σ_{u,v} x[n, i·sh-top+u, j·sw-left+v, c] / count[i,j]

    Parameters
    ----------
    x, kernel_size, stride, padding, ceil_mode : as in `max_pool2d`
    count_include_pad : bool, whether count includes the positions of the window in the padding

    Returns
    -------
    y : ndarray (N, OH, OW, C)

    Raises
    ------
    TypeError, ValueError : as in `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 2, 2, 1), 2).ravel()
    array([2.5])
    """
    where = "avg_pool2d"
    x = array(x, "avg_pool2d: x")
    y_shape, geometry = window_geometry(
        x.shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, where
    )
    y = empty(y_shape, x.dtype.char)
    _core.avg_pool2d_forward(y, x, geometry, get_num_threads())
    return y


def avg_pool2d_backward(
    dy: Array,
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Gradient of Σ dy·avg_pool2d(x): dx[p] = Σ dy[i] / count[i] over the windows i that hold p.

    Parameters
    ----------
    dy : ndarray (N, OH, OW, C)
    x_shape : (N, H, W, C)
    kernel_size, stride, padding, ceil_mode, count_include_pad : as in `avg_pool2d`

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `avg_pool2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.full((1, 1, 1, 1), 8.0), (1, 2, 2, 1), 2).ravel()
    array([2., 2., 2., 2.])
    """
    where = "avg_pool2d_backward"
    dy = array(dy, "avg_pool2d_backward: dy")
    x_shape = _checks.positive_shape(x_shape, "avg_pool2d_backward: x_shape", _X_AXES)
    y_shape, geometry = window_geometry(
        x_shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, where
    )
    if dy.shape != y_shape:
        _checks.shape(dy, y_shape, "avg_pool2d_backward: dy", f"(the output of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    _core.avg_pool2d_backward(dx, dy, geometry, get_num_threads())
    return dx


def global_avg_pool2d(x: Array) -> np.ndarray:
    """Take the mean of each channel of each image: y[n,c] = Σ_{h,w} x[n,h,w,c] / (H·W).

    Parameters
    ----------
    x : ndarray (N, H, W, C)

    Returns
    -------
    y : ndarray (N, C)

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x does not have four axes, or images have no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool2d(np.array([1.0, 4.0, 3.0, 2.0]).reshape(1, 2, 2, 1))
    array([[2.5]])
    """
    where = "global_avg_pool2d"
    x = array(x, "global_avg_pool2d: x")
    y_shape, geometry = _whole_image(x.shape, where)
    y = empty(y_shape, x.dtype.char)
    _core.avg_pool2d_forward(y, x, geometry, get_num_threads())
    return y.reshape(y_shape[0], y_shape[3])


def global_avg_pool2d_backward(dy: Array, x_shape: Shape) -> np.ndarray:
    """Gradient of Σ dy·global_avg_pool2d(x): dx[n,h,w,c] = dy[n,c] / (H·W).

    Parameters
    ----------
    dy : ndarray (N, C)
    x_shape : (N, H, W, C)

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `global_avg_pool2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool2d_backward(np.array([[8.0]]), (1, 2, 2, 1)).ravel()
    array([2., 2., 2., 2.])
    """
    where = "global_avg_pool2d_backward"
    dy = array(dy, "global_avg_pool2d_backward: dy")
    x_shape = _checks.positive_shape(x_shape, "global_avg_pool2d_backward: x_shape", _X_AXES)
    y_shape, geometry = _whole_image(x_shape, where)
    expected = x_shape[0], x_shape[3]
    if dy.shape != expected:
        _checks.shape(dy, expected, "global_avg_pool2d_backward: dy", f"(of x_shape {x_shape})")
    dx = empty(x_shape, dy.dtype.char)
    _core.avg_pool2d_backward(dx, dy.reshape(y_shape), geometry, get_num_threads())
    return dx


def global_max_pool2d(x: Array) -> np.ndarray:
    """Take the largest value of each channel of each image: y[n,c] = max_{h,w} x[n,h,w,c].

    Parameters
    ----------
    x : ndarray (N, H, W, C)

    Returns
    -------
    y : ndarray (N, C); NaN where the channel has one

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x does not have four axes, or images have no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[6., 7.]])
    """
    x = array(x, "global_max_pool2d: x")
    y_shape, geometry = _whole_image(x.shape, "global_max_pool2d")
    y = empty(y_shape, x.dtype.char)
    _core.max_pool2d_forward(y, x, geometry, get_num_threads())
    return y.reshape(y_shape[0], y_shape[3])


def global_max_pool2d_backward(dy: Array, x: Array) -> np.ndarray:
    """Gradient of Σ dy·global_max_pool2d(x): dx[n,h,w,c] = dy[n,c] at the first largest, else 0.

    Parameters
    ----------
    dy : ndarray (N, C)
    x : ndarray (N, H, W, C)

    Returns
    -------
    dx : ndarray (N, H, W, C)

    Raises
    ------
    TypeError, ValueError : as in `global_max_pool2d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> dx = global_max_pool2d_backward(np.array([[5.0]]), np.array([[[[1.0], [3.0], [3.0]]]]))
    >>> dx.ravel()
    array([0., 5., 0.])
    """
    where = "global_max_pool2d_backward"
    x = array(x, "global_max_pool2d_backward: x")
    dy = array_like(dy, "global_max_pool2d_backward: dy", x, "x")
    y_shape, geometry = _whole_image(x.shape, where)
    expected = x.shape[0], x.shape[3]
    if dy.shape != expected:
        _checks.shape(dy, expected, f"{where}: dy", f"(the output of x {x.shape})")
    dx = empty(x.shape, x.dtype.char)
    _core.max_pool2d_backward(dx, dy.reshape(y_shape), x, geometry, get_num_threads())
    return dx


def _whole_image(x_shape, where):
    return _remembered_geometry(x_shape, x_shape[1:3], 1, 0, 1, False, True, where)


def pool2d_geometry(
    x_shape,
    kernel_size,
    *,
    stride=1,
    padding=0,
    dilation=1,
    ceil_mode=False,
    count_include_pad=True,
):
    """The core's description of a pool whose shapes and options have been checked."""
    options = stride, padding, dilation, ceil_mode, count_include_pad
    return window_geometry(x_shape, kernel_size, *options, "pool2d")[1]


def window_geometry(
    x_shape, kernel_size, stride, padding, dilation, ceil_mode, count_padding, where
):
    """The output shape and the core's description of the window, cached by shape."""
    # Keys of the cache must be exact integers, pairs of them or strings, since 1 == True == 1.0.
    if type(kernel_size) is not int:
        kernel_size = _checks.pair(kernel_size, f"{where}: kernel_size")
    if stride is None:
        stride = kernel_size
    elif type(stride) is not int:
        stride = _checks.pair(stride, f"{where}: stride")
    if type(padding) is not int and type(padding) is not str:
        padding = _checks.padding_form(padding, f"{where}: padding")
    if type(dilation) is not int:
        dilation = _checks.pair(dilation, f"{where}: dilation")
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
    _checks.images(x_shape, where)
    kernels = _checks.pair(kernel_size, f"{where}: kernel_size")
    strides = _checks.pair(stride, f"{where}: stride")
    form = _checks.padding_form(padding, f"{where}: padding")
    dilations = _checks.pair(dilation, f"{where}: dilation")
    outputs, pads = [], []
    for axis in range(2):
        n, kernel = x_shape[1 + axis], kernels[axis]
        begin, end = _checks.axis_padding(form, axis, n, kernel, strides[axis], dilations[axis])
        if max(begin, end) > kernel // 2:
            raise ValueError(
                f"{where}: padding must be at most half of the kernel, {kernel // 2} for a kernel "
                f"of {kernel}, got {max(begin, end)}"
            )
        span = dilations[axis] * (kernel - 1) + 1
        room = begin + n + end - span
        outputs.append(pool_outputs(begin, n, room, strides[axis], ceil_mode))
        if outputs[axis] < 1:
            raise ValueError(
                f"{where}: the kernel of {kernel} spans {span} {('rows', 'columns')[axis]}, more "
                f"than the {begin} + {n} + {end} of the padded input x {x_shape}: use larger "
                f"images, more padding or a smaller kernel"
            )
        pads += begin, end
    y_shape = (x_shape[0], *outputs, x_shape[3])
    geometry = (
        *kernels,
        *strides,
        *dilations,
        *pads,
        int(ceil_mode),
        int(count_padding),
    )
    return y_shape, geometry


def pool_outputs(begin, n, room, stride, ceil_mode):
    """Windows that can move by `room`: floor or, with ceil_mode, ceil(room / stride) + 1.

    A window that would begin after the image, of n values after `begin` zeros, is left out.
    """
    if not ceil_mode:
        return room // stride + 1
    outputs = -(-room // stride) + 1
    return outputs - 1 if (outputs - 1) * stride >= begin + n else outputs
