"""The activations of one element: reference, operators and layers."""

import math
import re

import numpy as np
import pytest

import convlet as cl
from convlet import num_threads, ops
from convlet import reference as ref
from convlet.gradcheck import gradcheck

# name: (options, whether the gradient takes y, ulps of y, ulps more for each unit of the exponent)
ACTIVATIONS = {
    "leaky_relu": ({"slope": 0.25}, True, 0.5, 0),
    "relu6": ({}, True, 0, 0),
    "sigmoid": ({}, True, 1, 0),
    "tanh": ({}, True, 1, 0),
    "elu": ({"alpha": 0.7}, True, 1.5, 0),
    "gelu": ({}, False, 5, 0),
    "gelu by tanh": ({"approximate": "tanh"}, False, 5, 6),
    "silu": ({}, False, 4, 0),
    "hard_swish": ({}, False, 3, 0),
    "softplus": ({}, False, 2, 0),
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def forward_of(module, name):
    """The function of x alone."""
    options = ACTIVATIONS[name][0]
    return lambda x: getattr(module, name.split()[0])(x, **options)


def backward_of(module, name):
    """The gradient, of what it takes."""
    options = ACTIVATIONS[name][0]
    return lambda dy, a: getattr(module, f"{name.split()[0]}_backward")(dy, a, **options)


def spread(n, dtype=np.float64, limit=9.0):
    """Numbers from -limit to limit in random order, none of them where a function bends."""
    x = np.linspace(-limit, limit, n) + 1 / 128
    return np.random.default_rng(0).permutation(x).astype(dtype)


def unit(dtype):
    return np.finfo(dtype).eps / 2


# ---------------------------------------------------------------- reference


@every_activation
def test_gradient_of_the_reference(name):
    """Finite differences agree with the gradient, for random upstream gradients."""
    x = spread(48).reshape(2, 4, 6)
    forward, backward = forward_of(ref, name), backward_of(ref, name)
    of_y = ACTIVATIONS[name][1]

    gradcheck(forward, x, lambda dy, x: backward(dy, forward(x) if of_y else x))


VALUES = {
    "leaky_relu": [(-2, -0.5), (2, 2)],
    "relu6": [(-1, 0), (5, 5), (7, 6)],
    "sigmoid": [(0, 0.5), (-1, 1 / (1 + math.e)), (40, 1)],
    "tanh": [(0, 0), (1, math.tanh(1)), (-30, -1)],
    "elu": [(-1, 0.7 * (1 / math.e - 1)), (2, 2)],
    "gelu": [(0, 0), (1, 0.8413447460685429), (-12, -12 * 1.7764821120776e-33)],
    "gelu by tanh": [(0, 0), (1, 0.8411919906082767)],
    "silu": [(0, 0), (-1, -1 / (1 + math.e))],
    "hard_swish": [(-4, 0), (-1, -1 / 3), (1, 2 / 3), (4, 4)],
    "softplus": [(0, math.log(2)), (-30, math.exp(-30)), (100, 100)],
}


@every_activation
def test_values_by_hand(name):
    """Reference and operator have the values of a table."""
    x, y = np.array(VALUES[name], np.float64).T

    np.testing.assert_allclose(forward_of(ref, name)(x), y, rtol=1e-12)
    np.testing.assert_allclose(forward_of(ops, name)(x), y, rtol=1e-12)


# ---------------------------------------------------------------- operators against the reference


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7, 65, 1003])
def test_values_and_gradients(name, dtype, n):
    """Values are within their ulps, gradients within 6 of |dy| or of themselves."""
    _, of_y, ulps, more = ACTIVATIONS[name]
    x = spread(n, dtype)
    dy = np.random.default_rng(1).uniform(-1, 1, n).astype(dtype)
    wide = x.astype(np.float64)
    exponent = np.abs(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))
    # In float64 the reference itself is as far off, and its exponentials by their arguments' error.
    slack = 0 if dtype == np.float32 else 4 + 2 * wide**2
    bound = (2 * ulps + more * 2 * exponent + slack) * unit(dtype)

    y = forward_of(ops, name)(x)
    dx = backward_of(ops, name)(dy, y if of_y else x)

    expected = forward_of(ref, name)(wide)
    assert y.dtype == dx.dtype == dtype
    assert np.all(np.abs(y - expected) <= bound * np.abs(expected))
    expected = backward_of(ref, name)(dy.astype(np.float64), (y if of_y else x).astype(np.float64))
    bound = (12 + more * 2 * exponent) * unit(dtype) * np.abs(dy)
    np.testing.assert_array_less(np.abs(dx - expected), bound + np.finfo(dtype).tiny)


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_does_not_change_a_bit(name, dtype):
    """1, 2 and 3 threads give the same values and gradients."""
    x = spread(100_003, dtype, limit=40)
    seen = []
    for threads in (1, 2, 3):
        with num_threads(threads):
            y = forward_of(ops, name)(x)
            seen.append((y.tobytes(), backward_of(ops, name)(x, y).tobytes()))

    assert seen[0] == seen[1] == seen[2]


# ---------------------------------------------------------------- edges


def test_no_elements_may_lie_anywhere():
    """An array without elements is taken off its alignment, too, as NumPy has it aligned."""
    x = np.frombuffer(bytearray(5), np.float32, 0, offset=1)

    assert ops.relu(x).shape == ops.relu_backward(x, x).shape == ops.add(x, x).shape == (0,)


# y and f' at -inf and inf
LIMITS = {
    "leaky_relu": [(-np.inf, 0.25), (np.inf, 1)],
    "relu6": [(0, 0), (6, 0)],
    "sigmoid": [(0, 0), (1, 0)],
    "tanh": [(-1, 0), (1, 0)],
    "elu": [(-0.7, 0), (np.inf, 1)],
    **{
        name: [(0, 0), (np.inf, 1)]
        for name in ("gelu", "gelu by tanh", "silu", "hard_swish", "softplus")
    },
}


@every_activation
@pytest.mark.parametrize("module", [ref, ops], ids=["reference", "ops"])
def test_limits(name, module):
    """Infinity gives the limits of value and slope, and NaN stays NaN."""
    of_y = ACTIVATIONS[name][1]
    x = np.array([-np.inf, np.inf, np.nan])
    expected = np.array(LIMITS[name], np.float64)
    with np.errstate(all="ignore"):
        y = forward_of(module, name)(x)
        dx = backward_of(module, name)(np.ones(3), y if of_y else x)

    np.testing.assert_allclose(y[:2], expected[:, 0], rtol=1e-15)
    np.testing.assert_allclose(dx[:2], expected[:, 1], rtol=0, atol=1e-15)
    assert np.isnan(y[2])


def test_subnormal_numbers_are_kept():
    """What is smaller than the smallest normal number is not flushed to 0."""
    tiny = np.array([1e-41], np.float32)

    assert ops.tanh(tiny) == tiny
    assert ops.leaky_relu(-tiny, slope=0.5) == -tiny / 2
    assert ops.sigmoid(np.array([-95], np.float32)) == np.float32(math.exp(-95))
    assert ops.softplus(np.array([-95], np.float32)) == np.float32(math.exp(-95))
    assert -1e-40 < ops.silu(np.array([-100], np.float32)) < -1e-42
    assert -1e-40 < ops.gelu(np.array([-13.8], np.float32)) < 0


def test_tails_keep_their_relative_accuracy():
    """Far below 0, where 1 + erf(x) would be all rounding error, GELU is right to 1e-6."""
    x = np.linspace(-13, -4, 100).astype(np.float32)
    expected = [float(a) * math.erfc(-float(a) / math.sqrt(2)) / 2 for a in x]

    np.testing.assert_allclose(ops.gelu(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "phrases"),
    [
        (lambda x: ops.leaky_relu(x, slope=-0.1), ValueError, ["leaky_relu: slope", "-0.1"]),
        (lambda x: ops.leaky_relu(x, slope="0.1"), TypeError, ["leaky_relu: slope", "'0.1'"]),
        (lambda x: ops.elu(x, alpha=np.inf), ValueError, ["elu: alpha", "inf"]),
        (lambda x: ops.elu(x, alpha=True), TypeError, ["elu: alpha", "True"]),
        (lambda x: ops.elu_backward(x, x, alpha=-1), ValueError, ["elu_backward: alpha", "-1"]),
        (lambda x: ops.gelu(x, approximate="erf"), ValueError, ["gelu: approximate", "'erf'"]),
        (lambda x: ops.gelu(x, approximate=None), ValueError, ["gelu: approximate", "None"]),
        (lambda x: ops.sigmoid(x.astype(np.int32)), TypeError, ["sigmoid: x", "int32"]),
        (lambda x: ops.tanh(np.float32(1)), ValueError, ["tanh: x", "single number"]),
        (lambda x: ops.silu(None), TypeError, ["silu: x", "None"]),
        (lambda x: ops.relu6_backward(x, x[:2]), ValueError, ["relu6_backward: dy", "(2,)"]),
        (
            lambda x: ops.softplus_backward(x.astype(np.float64), x),
            TypeError,
            ["softplus_backward: dy", "float64"],
        ),
        (lambda x: cl.LeakyReLU(-1), ValueError, ["LeakyReLU: slope", "-1"]),
        (lambda x: cl.ELU(None), TypeError, ["ELU: alpha", "None"]),
        (lambda x: cl.GELU("exact"), ValueError, ["GELU: approximate", "'exact'"]),
    ],
)
def test_error_names_what_is_wrong(call, error, phrases):
    """Each bad argument is refused by name and value."""
    with pytest.raises(error, match="|".join(map(re.escape, phrases))) as caught:
        call(np.ones(3, np.float32))

    assert type(caught.value) is error
    for phrase in phrases:
        assert phrase in str(caught.value)


# ---------------------------------------------------------------- layers

LAYERS = {
    "LeakyReLU(0.25)": (cl.LeakyReLU(0.25), "leaky_relu"),
    "ReLU6()": (cl.ReLU6(), "relu6"),
    "Sigmoid()": (cl.Sigmoid(), "sigmoid"),
    "Tanh()": (cl.Tanh(), "tanh"),
    "ELU(0.7)": (cl.ELU(0.7), "elu"),
    "GELU()": (cl.GELU(), "gelu"),
    "GELU('tanh')": (cl.GELU("tanh"), "gelu by tanh"),
    "SiLU()": (cl.SiLU(), "silu"),
    "HardSwish()": (cl.HardSwish(), "hard_swish"),
    "Softplus()": (cl.Softplus(), "softplus"),
}


@pytest.mark.parametrize("written", LAYERS)
def test_layer(written):
    """A layer is its function, at both doors, between others, and is written as it was made."""
    layer, name = LAYERS[written]
    x = spread(24, np.float32).reshape(2, 3, 4)
    dy = spread(24, np.float32, 1).reshape(2, 3, 4)

    y, pullback = layer.vjp(x)
    dx = pullback(dy)

    assert repr(layer) == written
    np.testing.assert_array_equal(y, forward_of(ops, name)(x))
    np.testing.assert_array_equal(layer(x), y)
    kept = y if ACTIVATIONS[name][1] else x
    np.testing.assert_array_equal(dx, backward_of(ops, name)(dy, kept))
    assert layer.vjp(x, input_grad=False)[1](dy) is None


@pytest.mark.parametrize("written", LAYERS)
def test_gradient_through_a_model(written):
    """The weights below and above a layer have the gradients of finite differences."""
    layer, _ = LAYERS[written]
    model = cl.Sequential(cl.Linear(3, 5), layer, cl.Linear(5, 2), rng=0).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((4, 3))
    weight = model.parameters()[0]

    def forward(w):
        weight.value = w
        return model(x)

    def backward(dy, w):
        weight.value = w
        weight.grad = np.zeros(w.shape)
        model.vjp(x)[1](dy)
        return weight.grad.copy()

    gradcheck(forward, weight.value.copy(), backward)


@pytest.mark.parametrize("written", LAYERS)
def test_folded_model(written):
    """A folded model makes one call of the layer among others, to the same bits."""
    layer, _ = LAYERS[written]
    model = cl.Sequential(cl.Linear(3, 5), layer, cl.Linear(5, 2), rng=0)
    x = spread(12, np.float32).reshape(4, 3)
    folded = model.fold()

    np.testing.assert_array_equal(folded(x), model(x))
    assert folded.plan(x.shape).one_call
