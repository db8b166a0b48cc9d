"""Activations against the golden vectors of PyTorch, in float64.

PyTorch computes GELU from 1 + erf or 1 + tanh, which costs it the digits of the negative tail: an
absolute bound stands beside the relative one.
"""

import numpy as np
import pytest

import golden
from convlet import ops
from golden import draw

VECTORS = golden.load("activations")
KEEP_X = ("gelu", "silu", "hard_swish", "softplus")


@pytest.mark.parametrize("name", golden.ACTIVATIONS)
def test_activation(name):
    """Values and gradients are PyTorch's where a function bends, saturates, and far beyond."""
    function, options = golden.ACTIVATIONS[name]
    x, expected = golden.ACTIVATION_INPUTS, VECTORS[name]
    y = getattr(ops, function)(x, **options)
    kept = x if function in KEEP_X else y
    dx = getattr(ops, f"{function}_backward")(np.ones_like(x), kept, **options)

    known = ~np.isnan(expected["dx"])  # PyTorch's slope of GELU by tanh at 1e300 is not
    np.testing.assert_allclose(y, expected["y"], rtol=2e-15, atol=2e-15)
    np.testing.assert_allclose(dx[known], expected["dx"][known], rtol=2e-15, atol=4e-15)
    assert np.isfinite(dx).all()
    assert np.count_nonzero(~known) == 2 * (name == "gelu by tanh")


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("name", golden.SOFTMAX)
def test_softmax(function, name):
    """Softmax, its logarithm and their gradients are PyTorch's, over any axis."""
    shape, axis = golden.SOFTMAX[name]
    case = f"{function}, {name}"
    y = getattr(ops, function)(draw(f"activations/{case}/x", shape, -5, 5), axis=axis)
    dy = draw(f"activations/{case}/dy", shape)
    dx = getattr(ops, f"{function}_backward")(dy, y, axis=axis)

    np.testing.assert_allclose(y, VECTORS[case]["y"], rtol=2e-15, atol=1e-15)
    np.testing.assert_allclose(dx, VECTORS[case]["dx"], rtol=0, atol=4e-15)
