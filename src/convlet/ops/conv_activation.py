"""The activation after a convolution, as `conv2d` takes it: a name, or a name and a slope."""

from __future__ import annotations

from .activation import leaky_relu_backward, relu6_backward, relu_backward

_TITLES = {"relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU"}


def activation_title(activation):
    """Return the name of an activation in tables."""
    return _TITLES[activation if isinstance(activation, str) else activation[0]]


def activation_backward(dy, y, activation):
    """Return the gradient before an activation, from that after it and its y."""
    if activation == "relu":
        return relu_backward(dy, y)
    if activation == "relu6":
        return relu6_backward(dy, y)
    if activation == "leaky_relu":
        return leaky_relu_backward(dy, y)
    return leaky_relu_backward(dy, y, slope=activation[1])
