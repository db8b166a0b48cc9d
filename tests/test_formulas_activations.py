"""Named tests for the formulas that docs/theory.md derives in section 8."""

import numpy as np
import pytest

from convlet import ops
from formulas import DIFFERENCES, ROUNDING, assert_close, numerical_gradient

OF_Y = {
    "relu": {},
    "leaky_relu": {"slope": 0.2},
    "relu6": {},
    "sigmoid": {},
    "tanh": {},
    "elu": {"alpha": 1.3},
}
OF_X = {
    "gelu": {},
    "gelu by tanh": {"approximate": "tanh"},
    "silu": {},
    "hard_swish": {},
    "softplus": {},
}
X = np.linspace(-7, 7, 57) + 1 / 64  # none of them where a function bends


@pytest.mark.parametrize("name", OF_Y | OF_X)
def test_activation_slopes(name):
    """Each f' of the table is the derivative of its f, from y where the table says so."""
    options = (OF_Y | OF_X)[name]
    forward = getattr(ops, name.split()[0])
    backward = getattr(ops, f"{name.split()[0]}_backward")
    y = forward(X, **options)
    dy = np.random.default_rng(0).standard_normal(X.shape)

    dx = backward(dy, y if name in OF_Y else X, **options)

    expected = numerical_gradient(lambda x: np.sum(dy * forward(x, **options)), X)
    assert_close(dx, expected, DIFFERENCES)


@pytest.mark.parametrize("name", ["gelu", "gelu by tanh", "silu", "softplus"])
def test_activation_symmetry(name):
    """f(x) - f(-x) = x and f'(x) + f'(-x) = 1 (8.1)."""
    options = OF_X[name]
    forward = getattr(ops, name.split()[0])
    backward = getattr(ops, f"{name.split()[0]}_backward")
    ones = np.ones_like(X)

    assert_close(forward(X, **options) - forward(-X, **options), X, ROUNDING)
    assert_close(backward(ones, X, **options) + backward(ones, -X, **options), ones, ROUNDING)
