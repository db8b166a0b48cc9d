"""Activation functions of each element, and their gradients."""

from __future__ import annotations

from .. import _checks, _core
from .._checks import array, array_like
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    import numpy as np

    from .._types import Array


def relu(x: Array) -> np.ndarray:
    """Rectify: y = max(x, 0); NaN stays NaN.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    return _forward(_core.relu_forward, x, "relu")


def relu_backward(dy: Array, y: Array) -> np.ndarray:
    """Gradient of Σ dy·relu(x) from y = relu(x): dx = dy where y > 0, otherwise 0.

    Parameters
    ----------
    dy, y : ndarrays of one shape and dtype

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError : an array is not float32 or float64, or dtypes differ.
    ValueError : shapes differ, or they are single numbers.

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.array([5.0, 7.0]), relu(np.array([-2.0, 3.0])))
    array([0., 7.])
    """
    return _backward(_core.relu_backward, dy, y, "y", "relu_backward")


def leaky_relu(x: Array, *, slope: float = 0.01) -> np.ndarray:
    """Scale negative values by a slope: y = x where x > 0, otherwise slope·x.

    Parameters
    ----------
    x : ndarray
    slope : float, default 0.01; at least 0

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64; slope is not a number.
    ValueError : x is a single number; slope is negative or not finite.

    References
    ----------
    Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu(np.array([-2.0, 3.0]), slope=0.25)
    array([-0.5,  3. ])
    """
    slope = _checks.not_negative(slope, "leaky_relu: slope")
    return _forward(_core.leaky_relu_forward, x, "leaky_relu", slope)


def leaky_relu_backward(dy: Array, y: Array, *, slope: float = 0.01) -> np.ndarray:
    """Gradient of Σ dy·leaky_relu(x) from its y: dx = dy where y > 0, otherwise slope·dy.

    Parameters
    ----------
    dy : ndarray
    y : ndarray of the shape and dtype of dy, the y of the forward pass
    slope : as in `leaky_relu`

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `leaky_relu`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu_backward(np.ones(2), np.array([-0.5, 3.0]), slope=0.25)
    array([0.25, 1.  ])
    """
    slope = _checks.not_negative(slope, "leaky_relu_backward: slope")
    return _backward(_core.leaky_relu_backward, dy, y, "y", "leaky_relu_backward", slope)


def relu6(x: Array) -> np.ndarray:
    """Clip to [0, 6]: y = min(max(x, 0), 6); NaN stays NaN.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    References
    ----------
    Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10.

    Examples
    --------
    >>> import numpy as np
    >>> relu6(np.array([-2.0, 3.0, 8.0]))
    array([0., 3., 6.])
    """
    return _forward(_core.relu6_forward, x, "relu6")


def relu6_backward(dy: Array, y: Array) -> np.ndarray:
    """Gradient of Σ dy·relu6(x) from its y: dx = dy where 0 < y < 6, otherwise 0.

    Parameters
    ----------
    dy : ndarray
    y : ndarray of the shape and dtype of dy, the y of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `relu6`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> relu6_backward(np.ones(3), np.array([0.0, 3.0, 6.0]))
    array([0., 1., 0.])
    """
    return _backward(_core.relu6_backward, dy, y, "y", "relu6_backward")


def sigmoid(x: Array) -> np.ndarray:
    """Map to (0, 1): y = 1 / (1 + exp(-x)), within 1 ulp for every x, in float64 1.1.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-np.inf, 0.0, 800.0]))
    array([0. , 0.5, 1. ])
    """
    return _forward(_core.sigmoid_forward, x, "sigmoid")


def sigmoid_backward(dy: Array, y: Array) -> np.ndarray:
    """Gradient of Σ dy·sigmoid(x) from its y: dx = dy·y·(1 - y).

    Parameters
    ----------
    dy : ndarray
    y : ndarray of the shape and dtype of dy, the y of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `sigmoid`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_backward(np.ones(2), np.array([0.5, 1.0]))
    array([0.25, 0.  ])
    """
    return _backward(_core.sigmoid_backward, dy, y, "y", "sigmoid_backward")


def tanh(x: Array) -> np.ndarray:
    """Map to (-1, 1): the hyperbolic tangent, within 1 ulp for every x, in float64 1.2.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.array([-np.inf, 0.0, 800.0]))
    array([-1.,  0.,  1.])
    """
    return _forward(_core.tanh_forward, x, "tanh")


def tanh_backward(dy: Array, y: Array) -> np.ndarray:
    """Gradient of Σ dy·tanh(x) from its y: dx = dy·(1 - y²).

    Parameters
    ----------
    dy : ndarray
    y : ndarray of the shape and dtype of dy, the y of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `tanh`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> tanh_backward(np.ones(2), np.array([0.5, 1.0]))
    array([0.75, 0.  ])
    """
    return _backward(_core.tanh_backward, dy, y, "y", "tanh_backward")


def elu(x: Array, *, alpha: float = 1.0) -> np.ndarray:
    """Let what is negative saturate: y = x where x > 0, otherwise alpha·(exp(x) - 1).

    Parameters
    ----------
    x : ndarray
    alpha : float, default 1.0; at least 0

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64; alpha is not a number.
    ValueError : x is a single number; alpha is negative or not finite.

    References
    ----------
    Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289.

    Examples
    --------
    >>> import numpy as np
    >>> elu(np.array([-np.inf, 0.0, 3.0]), alpha=0.5)
    array([-0.5,  0. ,  3. ])
    """
    alpha = _checks.not_negative(alpha, "elu: alpha")
    return _forward(_core.elu_forward, x, "elu", alpha)


def elu_backward(dy: Array, y: Array, *, alpha: float = 1.0) -> np.ndarray:
    """Gradient of Σ dy·elu(x) from its y: dx = dy where y > 0, otherwise dy·(y + alpha).

    Parameters
    ----------
    dy : ndarray
    y : ndarray of the shape and dtype of dy, the y of the forward pass
    alpha : as in `elu`

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `elu`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> elu_backward(np.ones(2), np.array([-0.25, 3.0]), alpha=0.5)
    array([0.25, 1.  ])
    """
    alpha = _checks.not_negative(alpha, "elu_backward: alpha")
    return _backward(_core.elu_backward, dy, y, "y", "elu_backward", alpha)


def gelu(x: Array, *, approximate: Literal["none", "tanh"] = "none") -> np.ndarray:
    """Weigh x by the probability that a standard normal number is below it.

        y = x·Φ(x),  Φ(x) = (1 + erf(x/√2)) / 2
        y = x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2  where approximate="tanh"

    Parameters
    ----------
    x : ndarray
    approximate : "none" or "tanh"

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number; approximate is neither of the two.

    Notes
    -----
    Within 5 ulp where exact, also far out in the negative tail, where y is tiny; y(-inf) is 0.

    References
    ----------
    Hendrycks & Gimpel 2016, arXiv:1606.08415.

    Examples
    --------
    >>> import numpy as np
    >>> gelu(np.array([-10.0, 0.0, 10.0]))
    array([-7.61985302e-23,  0.00000000e+00,  1.00000000e+01])
    """
    return _forward(_checks.option(approximate, _GELU, "gelu: approximate")[0], x, "gelu")


def gelu_backward(
    dy: Array, x: Array, *, approximate: Literal["none", "tanh"] = "none"
) -> np.ndarray:
    """Gradient of Σ dy·gelu(x): with φ = Φ', dx = dy·(Φ(x) + x·φ(x)), or that of the other form.

    Parameters
    ----------
    dy : ndarray
    x : ndarray of the shape and dtype of dy, the input of the forward pass
    approximate : as in `gelu`

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `gelu`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> gelu_backward(np.ones(2), np.array([0.0, 10.0]))
    array([0.5, 1. ])
    """
    backward = _checks.option(approximate, _GELU, "gelu_backward: approximate")[1]
    return _backward(backward, dy, x, "x", "gelu_backward")


def silu(x: Array) -> np.ndarray:
    """Weigh x by its sigmoid: y = x·σ(x), also known as swish; y(-inf) is 0.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    References
    ----------
    Elfwing, Uchibe & Doya 2017, arXiv:1702.03118.

    Examples
    --------
    >>> import numpy as np
    >>> silu(np.array([-np.inf, 0.0, 800.0]))
    array([ -0.,   0., 800.])
    """
    return _forward(_core.silu_forward, x, "silu")


def silu_backward(dy: Array, x: Array) -> np.ndarray:
    """Gradient of Σ dy·silu(x): dx = dy·σ(x)·(1 + x·σ(-x)).

    Parameters
    ----------
    dy : ndarray
    x : ndarray of the shape and dtype of dy, the input of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `silu`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> silu_backward(np.ones(2), np.array([0.0, 800.0]))
    array([0.5, 1. ])
    """
    return _backward(_core.silu_backward, dy, x, "x", "silu_backward")


def hard_swish(x: Array) -> np.ndarray:
    """Approximate SiLU piecewise: y = x·min(max(x + 3, 0), 6) / 6.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    References
    ----------
    Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244.

    Examples
    --------
    >>> import numpy as np
    >>> hard_swish(np.array([-1.0, 0.0, 4.0]))
    array([-0.33333333,  0.        ,  4.        ])
    """
    return _forward(_core.hard_swish_forward, x, "hard_swish")


def hard_swish_backward(dy: Array, x: Array) -> np.ndarray:
    """Gradient of Σ dy·hard_swish(x): dx is 0 up to -3, dy from 3, else dy·(2x + 3) / 6.

    Parameters
    ----------
    dy : ndarray
    x : ndarray of the shape and dtype of dy, the input of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `hard_swish`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> hard_swish_backward(np.ones(3), np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return _backward(_core.hard_swish_backward, dy, x, "x", "hard_swish_backward")


def softplus(x: Array) -> np.ndarray:
    """Smooth ReLU: y = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)).

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError : x is not float32 or float64.
    ValueError : x is a single number.

    Notes
    -----
    It never overflows, and has no threshold above which y is set to x.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([0.0, 80.0]))
    array([ 0.69314718, 80.        ])
    """
    return _forward(_core.softplus_forward, x, "softplus")


def softplus_backward(dy: Array, x: Array) -> np.ndarray:
    """Gradient of Σ dy·softplus(x): dx = dy·σ(x).

    Parameters
    ----------
    dy : ndarray
    x : ndarray of the shape and dtype of dy, the input of the forward pass

    Returns
    -------
    dx : ndarray of that shape

    Raises
    ------
    TypeError, ValueError : as in `softplus`; shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> softplus_backward(np.ones(2), np.array([0.0, 800.0]))
    array([0.5, 1. ])
    """
    return _backward(_core.softplus_backward, dy, x, "x", "softplus_backward")


_GELU = {
    "none": (_core.gelu_forward, _core.gelu_backward),
    "tanh": (_core.gelu_tanh_forward, _core.gelu_tanh_backward),
}


def _forward(function, x, where, *parameter):
    """Call a function of the core on x, and return its y."""
    y = function(x, *parameter, get_num_threads)
    if y is None:
        x = array(x, f"{where}: x")
        _checks.at_least_one_axis(x, f"{where}: x")
        y = function(x, *parameter, get_num_threads)
    return y


def _backward(function, dy, a, name, where, *parameter):
    """Call the gradient of a function of the core, from dy and from `a`, its x or y by `name`."""
    dx = function(dy, a, *parameter, get_num_threads)
    if dx is None:
        a = array(a, f"{where}: {name}")
        dy = array_like(dy, f"{where}: dy", a, name)
        _checks.shape(dy, a.shape, f"{where}: dy", f"(that of {name})")
        _checks.at_least_one_axis(a, f"{where}: {name}")
        dx = function(dy, a, *parameter, get_num_threads)
    return dx
