"""Activation layers: functions of each value, and softmax."""

from __future__ import annotations

from .. import _checks
from ..ops import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    hard_swish,
    hard_swish_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
    tanh,
    tanh_backward,
)
from .base import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, SupportsIndex


class _Pointwise(Layer):
    """A function of each element: `_forward(x)`, and `_backward(dy, y)` or `_backward(dy, x)`."""

    _keeps = "y"  # or "x": what the pullback keeps, and _backward takes

    def __init__(self) -> None:  # so that options are errors with the cure
        pass

    def _output_shape(self, shape):
        return shape

    def _apply(self, x):
        return self._forward(x)

    def _vjp(self, x, input_grad, commits):
        y = self._forward(x)
        kept = y if self._keeps == "y" else x

        def pull(dy):
            return self._backward(dy, kept)

        return y, pull

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ReLU(_Pointwise):
    """y = max(x, 0); a NaN stays one. The gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU()(np.array([[-1.0, 2.0]], np.float32))
    array([[0., 2.]], dtype=float32)
    """

    _kind = "relu"

    def _forward(self, x):
        return relu(x)

    def _backward(self, dy, y):
        return relu_backward(dy, y)


class LeakyReLU(_Pointwise):
    """y = x where x > 0, otherwise slope·x. The gradient at 0 is slope.

    Parameters
    ----------
    slope : float, default 0.01; at least 0

    Raises
    ------
    TypeError, ValueError : slope is not a number, is negative or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> LeakyReLU(0.25)(np.array([[-2.0, 3.0]], np.float32))
    array([[-0.5,  3. ]], dtype=float32)
    """

    _kind = "leaky_relu"

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = _checks.not_negative(slope, "LeakyReLU: slope")

    def _forward(self, x):
        return leaky_relu(x, slope=self.slope)

    def _backward(self, dy, y):
        return leaky_relu_backward(dy, y, slope=self.slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope})"


class ReLU6(_Pointwise):
    """y = min(max(x, 0), 6). The gradient at 0 and 6 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU6()(np.array([[-1.0, 2.0, 7.0]], np.float32))
    array([[0., 2., 6.]], dtype=float32)
    """

    _kind = "relu6"

    def _forward(self, x):
        return relu6(x)

    def _backward(self, dy, y):
        return relu6_backward(dy, y)


class Sigmoid(_Pointwise):
    """y = 1 / (1 + e^{-x}).

    To train on two classes, omit this layer and pass logits to
    `convlet.losses.binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import numpy as np
    >>> Sigmoid()(np.zeros((1, 2), np.float32))
    array([[0.5, 0.5]], dtype=float32)
    """

    _kind = "sigmoid"

    def _forward(self, x):
        return sigmoid(x)

    def _backward(self, dy, y):
        return sigmoid_backward(dy, y)


class Tanh(_Pointwise):
    """y = tanh x.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh()(np.array([[0.0, 100.0]], np.float32))
    array([[0., 1.]], dtype=float32)
    """

    _kind = "tanh"

    def _forward(self, x):
        return tanh(x)

    def _backward(self, dy, y):
        return tanh_backward(dy, y)


class ELU(_Pointwise):
    """y = x where x > 0, otherwise alpha (e^x - 1). The gradient at 0 is alpha.

    Parameters
    ----------
    alpha : float, default 1.0; at least 0

    Raises
    ------
    TypeError, ValueError : alpha is not a number, is negative or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> ELU(0.5)(np.array([[-100.0, 2.0]], np.float32))
    array([[-0.5,  2. ]], dtype=float32)
    """

    _kind = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _checks.not_negative(alpha, "ELU: alpha")

    def _forward(self, x):
        return elu(x, alpha=self.alpha)

    def _backward(self, dy, y):
        return elu_backward(dy, y, alpha=self.alpha)

    def __repr__(self) -> str:
        return f"ELU({self.alpha})"


class GELU(_Pointwise):
    """y = x Φ(x), Φ the standard normal distribution function, or its approximation by tanh.

    Parameters
    ----------
    approximate : "none" or "tanh"

    Raises
    ------
    ValueError : approximate is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> GELU()(np.array([[0.0, 10.0]], np.float32))
    array([[ 0., 10.]], dtype=float32)
    """

    _kind = "gelu"
    _keeps = "x"

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        _checks.option(approximate, {"none": None, "tanh": None}, "GELU: approximate")
        self.approximate = approximate

    def _forward(self, x):
        return gelu(x, approximate=self.approximate)

    def _backward(self, dy, x):
        return gelu_backward(dy, x, approximate=self.approximate)

    def __repr__(self) -> str:
        return "GELU()" if self.approximate == "none" else f"GELU({self.approximate!r})"


class SiLU(_Pointwise):
    """y = x / (1 + e^{-x}), also known as swish.

    Examples
    --------
    >>> import numpy as np
    >>> SiLU()(np.array([[-np.inf, 100.0]], np.float32))
    array([[ -0., 100.]], dtype=float32)
    """

    _kind = "silu"
    _keeps = "x"

    def _forward(self, x):
        return silu(x)

    def _backward(self, dy, x):
        return silu_backward(dy, x)


class HardSwish(_Pointwise):
    """y = x min(max(x + 3, 0), 6) / 6.

    Examples
    --------
    >>> import numpy as np
    >>> HardSwish()(np.array([[0.0, 4.0]], np.float32))
    array([[0., 4.]], dtype=float32)
    """

    _kind = "hard_swish"
    _keeps = "x"

    def _forward(self, x):
        return hard_swish(x)

    def _backward(self, dy, x):
        return hard_swish_backward(dy, x)


class Softplus(_Pointwise):
    """y = log(1 + e^x).

    Examples
    --------
    >>> import numpy as np
    >>> Softplus()(np.array([[-200.0, 200.0]], np.float32))
    array([[  0., 200.]], dtype=float32)
    """

    _kind = "softplus"
    _keeps = "x"

    def _forward(self, x):
        return softplus(x)

    def _backward(self, dy, x):
        return softplus_backward(dy, x)


class Softmax(Layer):
    """Probabilities from logits: y_i = e^{x_i} / Σ_k e^{x_k} along an axis.

    To train a classifier, omit this layer and pass logits to `convlet.softmax_cross_entropy`.

    Parameters
    ----------
    axis : int, default -1

    Examples
    --------
    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    _kind = "softmax"

    def __init__(self, axis: SupportsIndex = -1) -> None:
        self.axis = _checks.size(axis, "Softmax: axis", -32)

    def _output_shape(self, shape):
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] < 1:
            raise ValueError(
                f"{self!r}: expected x with at least one class on axis {self.axis}, got {shape}"
            )
        return shape

    def _apply(self, x):
        return softmax(x, axis=self.axis)

    def _vjp(self, x, input_grad, commits):
        y = softmax(x, axis=self.axis)

        def pull(dy):
            return softmax_backward(dy, y, axis=self.axis)

        return y, pull

    def __repr__(self) -> str:
        return "Softmax()" if self.axis == -1 else f"Softmax(axis={self.axis})"
