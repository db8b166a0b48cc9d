"""gradcheck accepts right gradients and refuses wrong ones."""

import numpy as np
import pytest

from convlet.gradcheck import gradcheck


class Parameter:
    """The part of a parameter that gradcheck relies on."""

    def __init__(self, value, trainable=True):
        self.value = np.array(value)
        self.grad = np.ones_like(self.value)
        self.trainable = trainable


class Scale:
    """y = s·x + t, with a fault of choice in its pullback."""

    def __init__(self, channels, fault=None, frozen=False):
        self.scale = Parameter(np.linspace(0.5, 2.0, channels))
        self.shift = Parameter(np.zeros(channels), trainable=not frozen)
        self.fault = fault

    def parameters(self):
        return [self.scale, self.shift]

    def vjp(self, x):
        def pullback(dy):
            self.scale.grad += (dy * x).sum(axis=0) * (2 if self.fault == "scale" else 1)
            if self.shift.trainable:
                self.shift.grad += dy.sum(axis=0)
            return -dy * self.scale.value if self.fault == "x" else dy * self.scale.value

        return x * self.scale.value + self.shift.value, pullback


def product(x, w):
    return np.tanh(x @ w)


def product_backward(dy, x, w):
    dz = dy * (1 - np.tanh(x @ w) ** 2)
    return dz @ w.T, x.T @ dz


@pytest.fixture
def matrices():
    rng = np.random.default_rng(1)
    return rng.standard_normal((3, 4)), rng.standard_normal((4, 2))


def test_right_gradients_pass(matrices):
    """The gradients of tanh(x w) pass with a margin of a thousand below the tolerance."""
    assert gradcheck(product, matrices, product_backward) <= 1e-10


@pytest.mark.parametrize("wrong", ["sign", "factor", "tiny factor", "transposed batch", "nan"])
def test_wrong_gradients_fail(matrices, wrong):
    """A sign, a factor, a factor of 1 + 1e-6, a reversed batch or a NaN is found."""
    faults = {
        "sign": lambda g: -g,
        "factor": lambda g: 2 * g,
        "tiny factor": lambda g: g * (1 + 1e-6),
        "transposed batch": lambda g: g[::-1],
        "nan": lambda g: np.where(np.arange(g.shape[1]) == 2, np.nan, g),
    }

    def backward(dy, x, w):
        dx, dw = product_backward(dy, x, w)
        return faults[wrong](dx), dw

    with pytest.raises(AssertionError, match="the gradient of input 0 is wrong at"):
        gradcheck(product, matrices, backward)


def test_failure_names_input_and_index(matrices):
    """One wrong element is named by the input's name, its index and both values."""

    def backward(dy, x, w):
        dx, dw = product_backward(dy, x, w)
        dw[2, 1] += 0.5
        return dx, dw

    with pytest.raises(AssertionError, match=r"gradient of w is wrong at \(2, 1\): backward gives"):
        gradcheck(product, matrices, backward, names=("x", "w"))


def test_wrong_shape_fails(matrices):
    """A gradient of another shape than its input is refused, even where it would broadcast."""

    def backward(dy, x, w):
        dx, dw = product_backward(dy, x, w)
        return dx, dw[None]

    with pytest.raises(AssertionError, match=r"input 1 has shape \(1, 4, 2\), expected \(4, 2\)"):
        gradcheck(product, matrices, backward)


def test_gradient_none_is_skipped(matrices):
    """An input whose gradient is None is not checked."""
    gradcheck(product, matrices, lambda dy, x, w: (None, product_backward(dy, x, w)[1]))


def test_missing_gradient_fails(matrices):
    """A backward that returns fewer gradients than inputs is refused."""
    with pytest.raises(ValueError, match="shorter"):
        gradcheck(product, matrices, lambda dy, x, w: product_backward(dy, x, w)[:1])


def test_vanishing_gradient_is_judged_absolutely():
    """A gradient that is 0 passes, and a stray 1e-8 in its place does not."""
    x = np.linspace(0, 1, 7)

    def forward(x):
        return (x - x.mean()).sum()

    assert gradcheck(forward, x, lambda dy, x: np.zeros(7)) <= 1e-8
    with pytest.raises(AssertionError, match="input 0"):
        gradcheck(forward, x, lambda dy, x: np.full(7, 1e-8))


def test_upstream_gradient_is_not_constant():
    """For x - mean(x) a gradient of 0 is right where dy is constant, and is refused here."""
    x = np.linspace(0, 1, 7)

    with pytest.raises(AssertionError, match="input 0"):
        gradcheck(lambda x: x - x.mean(), x, lambda dy, x: np.zeros(7))


def test_samples_limits_the_work():
    """With samples=5 the forward pass runs 20 times for each array and once for its shape."""
    calls = []

    def forward(x):
        calls.append(1)
        return np.sin(x)

    gradcheck(forward, np.linspace(0, 1, 50), lambda dy, x: dy * np.cos(x), samples=5)

    assert len(calls) == 21


def test_inputs_survive(matrices):
    """The arrays that are passed in keep their values."""
    copies = [a.copy() for a in matrices]

    gradcheck(product, matrices, product_backward)

    assert all(np.array_equal(a, c) for a, c in zip(matrices, copies, strict=True))


def test_float32_is_refused(matrices):
    """Differences in float32 prove nothing, so it is a TypeError that names the array."""
    x, w = matrices

    with pytest.raises(TypeError, match="input 1 is float32"):
        gradcheck(product, (x, w.astype(np.float32)), product_backward)


def test_a_function_without_its_backward():
    """There is nothing to check, so it is a TypeError."""
    with pytest.raises(TypeError, match=r"a function and its backward, got <ufunc 'sin'> alone"):
        gradcheck(np.sin, np.ones(3))


def test_empty_input_passes():
    """An input without elements has nothing to differ in."""
    assert gradcheck(np.sin, np.zeros((0, 3)), lambda dy, x: dy * np.cos(x)) == 0.0


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_layer_passes_and_is_left_alone(frozen):
    """A right layer passes, and its values and gradients are as before."""
    layer = Scale(3, frozen=frozen)
    x = np.random.default_rng(0).standard_normal((5, 3))

    assert gradcheck(layer, x) <= 1e-10
    assert layer.scale.value.tolist() == [0.5, 1.25, 2.0]
    assert layer.scale.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("fault", "name"), [("x", "x"), ("scale", "parameter 0")])
def test_wrong_layer_fails(fault, name):
    """A fault in a layer's dx or in a parameter's gradient is found and named."""
    x = np.random.default_rng(0).standard_normal((5, 3))

    with pytest.raises(AssertionError, match=f"the gradient of {name} is wrong"):
        gradcheck(Scale(3, fault), x)
