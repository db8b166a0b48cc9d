"""Activations, along an axis or element by element."""

import math

import numpy as np

_erfc = np.frompyfunc(math.erfc, 1, 1)


def activate(y, activation):
    """Apply the activation that an operator carries, as `convlet.ops.conv2d` names them."""
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.01)
    if name is None:
        return y
    if name == "relu":
        return relu(y)
    if name == "relu6":
        return relu6(y)
    if name == "leaky_relu":
        return leaky_relu(y, slope=slope)
    raise ValueError(
        f"activation must be None, 'relu', 'relu6' or 'leaky_relu', got {activation!r}"
    )


def relu(x):
    """y = max(x, 0); NaN stays NaN."""
    return np.where(x < 0, x.dtype.type(0), x)


def relu_backward(dy, y):
    """Gradient of Σ dy·relu(x) from y = relu(x): dx = dy·[y > 0]."""
    return np.where(y > 0, dy, dy.dtype.type(0))


def leaky_relu(x, *, slope=0.01):
    """y = x where x > 0, otherwise slope·x."""
    return np.where(x > 0, x, x.dtype.type(slope) * x)


def leaky_relu_backward(dy, y, *, slope=0.01):
    """Gradient of Σ dy·leaky_relu(x) from y: dx = dy·(1 where y > 0, otherwise slope)."""
    return np.where(y > 0, dy, dy.dtype.type(slope) * dy)


def relu6(x):
    """y = min(max(x, 0), 6); NaN stays NaN."""
    return np.where(x > 6, x.dtype.type(6), relu(x))


def relu6_backward(dy, y):
    """Gradient of Σ dy·relu6(x) from y: dx = dy·[0 < y < 6]."""
    return np.where((y > 0) & (y < 6), dy, dy.dtype.type(0))


def sigmoid(x):
    """y = 1 / (1 + e^{-x}), as e^x / (1 + e^x) where x < 0."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, x.dtype.type(1)) / (1 + e)


def sigmoid_backward(dy, y):
    """Gradient of Σ dy·sigmoid(x) from y: dx = dy·y·(1 - y)."""
    return dy * y * (1 - y)


def tanh(x):
    """y = (e^x - e^{-x}) / (e^x + e^{-x})."""
    return np.tanh(x)


def tanh_backward(dy, y):
    """Gradient of Σ dy·tanh(x) from y: dx = dy·(1 - y)·(1 + y)."""
    return dy * (1 - y) * (1 + y)


def elu(x, *, alpha=1.0):
    """y = x where x > 0, otherwise alpha·(e^x - 1)."""
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_backward(dy, y, *, alpha=1.0):
    """Gradient of Σ dy·elu(x) from y: dx = dy·(1 where y > 0, otherwise y + alpha)."""
    return np.where(y > 0, dy, dy * (y + dy.dtype.type(alpha)))


def _times(a, b):
    """a·b, and 0 where b is 0 even if a is infinite."""
    return np.where(b == 0, b, np.where(b == 0, a.dtype.type(0), a) * b)


def _normal(x):
    """The standard normal distribution function Φ(x) = erfc(-x/√2) / 2, and its density."""
    x = x.astype(np.float64)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return _erfc(-x / math.sqrt(2)).astype(np.float64) / 2, density


def _tanh_form(x):
    """2v and its derivative, v = √(2/π)·(x + 0.044715·x³)."""
    x = np.clip(x.astype(np.float64), -1e9, 1e9)
    c = 2 * math.sqrt(2 / math.pi)
    return c * (x + 0.044715 * x**3), c * (1 + 3 * 0.044715 * x * x)


def gelu(x, *, approximate="none"):
    """y = x·Φ(x), or with approximate="tanh" x·(1 + tanh v)/2 = x·sigmoid(2v)."""
    weight = _normal(x)[0] if approximate == "none" else sigmoid(_tanh_form(x)[0])
    return _times(x.astype(np.float64), weight).astype(x.dtype)


def gelu_backward(dy, x, *, approximate="none"):
    """Gradient of Σ dy·gelu(x): dx = dy·(Φ(x) + x·φ(x)), or dy·(s + x·s·(1 - s)·2v'), s = σ(2v)."""
    if approximate == "none":
        weight, slope = _normal(x)
    else:
        z, dz = _tanh_form(x)
        weight, slope = sigmoid(z), sigmoid(z) * sigmoid(-z) * dz
    return (dy * (weight + _times(x.astype(np.float64), slope))).astype(x.dtype)


def silu(x):
    """y = x·sigmoid(x)."""
    return _times(x, sigmoid(x))


def silu_backward(dy, x):
    """Gradient of Σ dy·silu(x): dx = dy·(s + x·s·(1 - s)), s = sigmoid(x), 1 - s = sigmoid(-x)."""
    s = sigmoid(x)
    return dy * (s + _times(x, s * sigmoid(-x)))


def hard_swish(x):
    """y = x·min(max(x + 3, 0), 6) / 6."""
    return _times(x, relu6(x + 3) / 6)


def hard_swish_backward(dy, x):
    """Gradient of Σ dy·hard_swish(x): dx = dy·(0 up to -3, 1 from 3, else (2x + 3)/6)."""
    slope = (2 * np.clip(x, -3, 3) + 3) / 6
    return np.where(x <= -3, dy.dtype.type(0), np.where(x >= 3, dy, dy * slope))


def softplus(x):
    """y = log(1 + e^x) = max(x, 0) + log1p(e^{-|x|})."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_backward(dy, x):
    """Gradient of Σ dy·softplus(x): dx = dy·sigmoid(x)."""
    return dy * sigmoid(x)


def _shifted(z, axis):
    """z - max z, with 0 at the maximum and NaN throughout where the maximum is not finite."""
    if z.shape[axis] == 0:
        raise ValueError(f"axis {axis} of the logits {z.shape} has no classes")
    with np.errstate(over="ignore", invalid="ignore"):
        return z - z.max(axis=axis, keepdims=True)


def softmax(x, *, axis=-1):
    """Probabilities from logits: y_i = e^{x_i - m} / Σ_k e^{x_k - m}, m = max x."""
    e = np.exp(_shifted(x, axis))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy, y, *, axis=-1):
    """Gradient of Σ dy·softmax(x) from y = softmax(x): the Jacobian y_i (δ_ij - y_j) times dy."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x, *, axis=-1):
    """Logarithm of the probabilities, accurate also where one of them is almost 1.

    y_i = (x_i - m) - log1p(Σ_{k ≠ argmax} e^{x_k - m}),  m = max x
    """
    z = _shifted(x, axis)
    terms = np.exp(z)
    top = np.expand_dims(x.argmax(axis=axis), axis)
    top_term = np.take_along_axis(terms, top, axis)
    np.put_along_axis(terms, top, top_term - 1, axis)  # 0, or NaN where the maximum is not finite
    return z - np.log1p(terms.sum(axis=axis, keepdims=True))


def log_softmax_backward(dy, y, *, axis=-1):
    """Gradient of Σ dy·log_softmax(x) from y = log_softmax(x): dx_j = dy_j - e^{y_j} Σ_i dy_i."""
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)
