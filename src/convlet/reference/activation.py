"""Activations, along an axis or element by element."""

import numpy as np


def activate(y, activation):
    """Apply the activation that an operator carries, as `convlet.ops.conv2d` names them."""
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.01)
    if name is None:
        return y
    if name == "relu":
        return relu(y)
    if name == "relu6":
        return np.where(y > 6, y.dtype.type(6), relu(y))
    if name == "leaky_relu":
        return np.where(y > 0, y, y.dtype.type(slope) * y)
    raise ValueError(
        f"activation must be None, 'relu', 'relu6' or 'leaky_relu', got {activation!r}"
    )


def relu(x):
    """y = max(x, 0); NaN stays NaN."""
    return np.where(x < 0, x.dtype.type(0), x)


def relu_backward(dy, y):
    """Gradient of Σ dy·relu(x) from y = relu(x): dx = dy·[y > 0]."""
    return np.where(y > 0, dy, dy.dtype.type(0))


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
