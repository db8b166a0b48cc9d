"""Group, instance and layer norm: finite differences judge the reference, that judges the core."""

import copy
import pickle

import numpy as np
import pytest

import convlet as cl
from cases import draw, wide
from convlet import ops, reference
from convlet.gradcheck import gradcheck

DTYPES = (np.float32, np.float64)

# (shape of x, groups or normalized_shape): one of everything, prime sizes, rows, slabs of channels,
# and samples large enough to be cut into blocks.
GROUPS = [
    ((1, 2), 1),
    ((2, 1, 1, 6), 3),
    ((3, 4, 5, 6), 1),
    ((3, 4, 5, 6), 6),
    ((2, 7, 11, 10), 5),
    ((5, 17), 1),
    ((19, 3, 3, 65), 13),
    ((2, 5, 5, 160), 32),
    ((2, 60, 50, 3), 3),
    ((1, 40, 50, 24), 2),
]
TRAILING = [
    ((1, 2), (2,)),
    ((3, 4, 5, 6), (6,)),
    ((3, 4, 5, 6), (5, 6)),
    ((3, 4, 5, 6), (4, 5, 6)),
    ((19, 65), (65,)),
    ((4, 1000), (1000,)),
    ((2, 30, 30, 17), (30, 30, 17)),
]


def close(actual, expected, dtype, magnitude=1.0):
    """Hold a result to 1e-5 of the magnitude in float32, to 1e-12 in float64."""
    bound = {np.float32: 1e-5, np.float64: 1e-12}[dtype]
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= bound * np.max(magnitude)


# ---------------------------------------------------------------- the reference


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("shape", "groups"), GROUPS[1:7])
def test_reference_group_norm_gradients(shape, groups, affine):
    """All gradients of group norm agree with finite differences."""
    inputs = (draw(shape),)
    if affine:
        inputs += (1.5 + draw(shape[-1:], seed=1), draw(shape[-1:], seed=2))

    def forward(x, gamma=None, beta=None):
        return reference.group_norm(x, gamma, beta, groups=groups)[0]

    def backward(dy, x, gamma=None, beta=None):
        _, mean, var = reference.group_norm(x, gamma, beta, groups=groups)
        return reference.group_norm_backward(dy, x, gamma, mean, var)[: len(inputs)]

    gradcheck(forward, inputs, backward, samples=60)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("shape", "trailing"), TRAILING[1:5])
def test_reference_layer_norm_gradients(shape, trailing, affine):
    """All gradients of layer norm agree with finite differences."""
    inputs = (draw(shape),)
    if affine:
        inputs += (1.5 + draw(trailing, seed=1), draw(trailing, seed=2))

    def forward(x, gamma=None, beta=None):
        return reference.layer_norm(x, gamma, beta, normalized_shape=trailing)[0]

    def backward(dy, x, gamma=None, beta=None):
        _, mean, var = reference.layer_norm(x, gamma, beta, normalized_shape=trailing)
        return reference.layer_norm_backward(dy, x, gamma, mean, var)[: len(inputs)]

    gradcheck(forward, inputs, backward, samples=60)


def test_reference_instance_norm_gradients():
    """Instance norm has the gradients of its own."""

    def backward(dy, x, gamma, beta):
        _, mean, var = reference.instance_norm(x, gamma, beta)
        return reference.instance_norm_backward(dy, x, gamma, mean, var)

    inputs = (draw((3, 4, 5, 2)), draw((2,), seed=1), draw((2,), seed=2))
    gradcheck(lambda *a: reference.instance_norm(*a)[0], inputs, backward)


def test_by_hand():
    """Values 1 and 3 have mean 2 and variance 1; groups, channels and layers see their own."""
    x = np.array([[[1.0, 3.0, 0.0, 4.0], [1.0, 3.0, 4.0, 0.0]]])
    gamma, beta = np.array([2.0, 2, 1, 1]), np.array([0.0, 0, 5, 5])
    for module in (reference, ops):
        y, mean, var = module.group_norm(x, gamma, beta, groups=2, eps=0.0)
        assert (mean.tolist(), var.tolist()) == ([[2, 2]], [[1, 4]])
        assert y.tolist() == [[[-2, 2, 4, 6], [-2, 2, 6, 4]]]
        y, mean, var = module.instance_norm(x, eps=1.0)
        assert (mean.tolist(), var.tolist()) == ([[1, 3, 2, 2]], [[0, 0, 4, 4]])
        y, mean, var = module.layer_norm(x, None, beta, eps=1.5)
        assert (mean.tolist(), var.tolist()) == ([[2, 2]], [[2.5, 2.5]])
        assert y.tolist() == [[[-0.5, 0.5, 4, 6], [-0.5, 0.5, 6, 4]]]


# ---------------------------------------------------------------- the core


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "groups"), GROUPS)
def test_group_norm(shape, groups, dtype, affine):
    """Values, statistics and gradients are those of the reference in float64."""
    x, dy = draw(shape, dtype) + dtype(3), draw(shape, dtype, 1)
    gamma = draw(shape[-1:], dtype, 2) if affine else None
    beta = draw(shape[-1:], dtype, 3) if affine else None

    results = ops.group_norm(x, gamma, beta, groups=groups)
    expected = reference.group_norm(*wide(x, gamma, beta), groups=groups)
    for actual, wanted in zip(results, expected, strict=True):
        close(actual, wanted, dtype, 2 + np.abs(wanted))
    _, mean, var = results
    gradients = ops.group_norm_backward(dy, x, gamma, mean, var)
    wanted = reference.group_norm_backward(*wide(dy, x, gamma, mean, var))
    scale = 1 / np.sqrt(var.min() + 1e-5)
    sums = np.abs(dy).sum(axis=tuple(range(x.ndim - 1)))
    for actual, want, magnitude in zip(
        gradients, wanted, (20 * scale, 10 * sums, sums), strict=True
    ):
        close(actual, want, dtype, magnitude)
    if groups == shape[-1]:
        for a, b in zip(results, ops.instance_norm(x, gamma, beta), strict=True):
            np.testing.assert_array_equal(a, b)
        again = ops.instance_norm_backward(dy, x, gamma, mean, var)
        for a, b in zip(gradients, again, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "trailing"), TRAILING)
def test_layer_norm(shape, trailing, dtype, affine):
    """Values, statistics and gradients are those of the reference in float64."""
    x, dy = draw(shape, dtype) + dtype(3), draw(shape, dtype, 1)
    gamma = draw(trailing, dtype, 2) if affine else None
    beta = draw(trailing, dtype, 3) if affine else None
    told = {} if affine else {"normalized_shape": trailing}

    results = ops.layer_norm(x, gamma, beta, **told)
    expected = reference.layer_norm(*wide(x, gamma, beta), **told)
    for actual, wanted in zip(results, expected, strict=True):
        close(actual, wanted, dtype, 2 + np.abs(wanted))
    _, mean, var = results
    gradients = ops.layer_norm_backward(dy, x, gamma, mean, var)
    wanted = reference.layer_norm_backward(*wide(dy, x, gamma, mean, var))
    sums = np.abs(dy).sum(axis=tuple(range(mean.ndim)))
    scale = 20 / np.sqrt(var.min() + 1e-5)
    for actual, want, magnitude in zip(gradients, wanted, (scale, 10 * sums, sums), strict=True):
        close(actual, want, dtype, magnitude)


def test_layer_norm_shape_comes_from_gamma_beta_or_the_last_axis():
    """Without normalized_shape the axes are those of gamma, else of beta, else the last one."""
    x, two = draw((3, 4, 5)), draw((4, 5), seed=1)

    assert ops.layer_norm(x, two, None)[1].shape == (3,)
    assert ops.layer_norm(x, None, two)[1].shape == (3,)
    assert ops.layer_norm(x, None, None)[1].shape == (3, 4)
    assert ops.layer_norm(x, None, None, normalized_shape=5)[1].shape == (3, 4)
    assert ops.layer_norm(x, None, None, normalized_shape=(3, 4, 5))[1].shape == ()


def test_empty_batch():
    """No samples give empty results and gradients of 0."""
    x, gamma = np.zeros((0, 4, 4, 6), np.float32), np.ones(6, np.float32)
    y, mean, var = ops.group_norm(x, gamma, gamma, groups=3)
    dx, dgamma, dbeta = ops.group_norm_backward(x, x, gamma, mean, var)

    assert y.shape == dx.shape == x.shape
    assert mean.shape == var.shape == (0, 3)
    assert not dgamma.any()
    assert not dbeta.any()
    assert ops.layer_norm(x, gamma, gamma)[1].shape == (0, 4, 4)
    assert cl.GroupNorm(3, 6)(x).shape == x.shape


X = np.zeros((2, 3, 3, 6), np.float32)
ONE = np.ones(6, np.float32)
M = np.zeros((2, 3), np.float32)
IMAGE = np.ones((3, 3, 6), np.float32)
BAD = {
    "groups": (lambda: ops.group_norm(X, ONE, ONE, groups=4), ValueError, "divide the 6 .* got 4"),
    "no groups": (lambda: ops.group_norm(X, ONE, ONE, groups=0), ValueError, "at least 1, got 0"),
    "float groups": (lambda: ops.group_norm(X, ONE, ONE, groups=2.0), TypeError, "integer"),
    "gamma": (lambda: ops.group_norm(X, ONE[:3], ONE, groups=2), ValueError, r"gamma .*\(6,\)"),
    "channels first": (
        lambda: ops.group_norm(np.zeros((2, 6, 3, 4), np.float32), ONE, ONE, groups=2),
        ValueError,
        "x.transpose",
    ),
    "dtypes": (lambda: ops.group_norm(X, ONE.astype(float), ONE, groups=2), TypeError, "one dtype"),
    "eps": (
        lambda: ops.group_norm(X, ONE, ONE, groups=2, eps=-1),
        ValueError,
        "at least 0, got -1",
    ),
    "rank": (lambda: ops.group_norm(ONE, ONE, ONE, groups=2), ValueError, r"\(N, ..., C\)"),
    "no pixels": (
        lambda: ops.instance_norm(np.zeros((2, 0, 6), np.float32)),
        ValueError,
        r"instance_norm: x must have at least one value per sample, got shape \(2, 0, 6\)",
    ),
    "mean": (
        lambda: ops.group_norm_backward(X, X, ONE, M[:1], M),
        ValueError,
        r"mean must have shape \(2, 3\) .*, got \(1, 3\)",
    ),
    "groups of mean": (
        lambda: ops.group_norm_backward(X, X, ONE, M[:, 0], M),
        ValueError,
        r"groups that divide the 6 channels of x, got \(2,\)",
    ),
    "mean of instances": (
        lambda: ops.instance_norm_backward(X, X, ONE, M, M),
        ValueError,
        r"instance_norm_backward: mean must have shape \(2, 6\)",
    ),
    "dy": (
        lambda: ops.group_norm_backward(X[:1], X, ONE, M, M),
        ValueError,
        r"dy must have shape \(2, 3, 3, 6\)",
    ),
    "layer shape": (
        lambda: ops.layer_norm(X, None, None, normalized_shape=(3, 5)),
        ValueError,
        r"x must end in the axes \(3, 5\) .* got shape \(2, 3, 3, 6\)",
    ),
    "layer beta": (lambda: ops.layer_norm(X, IMAGE, ONE), ValueError, "beta must have shape"),
    "layer scalar": (
        lambda: ops.layer_norm(X, np.float32(1), None),
        ValueError,
        "at least one axis",
    ),
    "layer mean": (
        lambda: ops.layer_norm_backward(X, X, ONE, np.zeros((3, 3)), np.zeros((3, 3))),
        ValueError,
        r"mean must have shape \(2, 3\)",
    ),
    "layer all axes": (
        lambda: ops.layer_norm_backward(X, X, None, X, X),
        ValueError,
        "x must end in the axes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_of_ops(name):
    """What does not go together is an error that names the value."""
    call, error, message = BAD[name]

    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- the layers

LAYERS = {
    "GroupNorm": lambda: cl.GroupNorm(2, 4),
    "GroupNorm, not affine": lambda: cl.GroupNorm(4, 4, affine=False),
    "InstanceNorm": lambda: cl.InstanceNorm(4),
    "InstanceNorm, affine": lambda: cl.InstanceNorm(4, affine=True),
    "LayerNorm of pixels": lambda: cl.LayerNorm(4),
    "LayerNorm of images": lambda: cl.LayerNorm((5, 3, 4)),
    "LayerNorm, not affine": lambda: cl.LayerNorm((3, 4), affine=False),
}


def model_with(name):
    """A float64 model with the layer above a trainable one, its parameters random."""
    model = cl.Sequential(cl.Conv2d(2, 4, 1), LAYERS[name](), rng=0).astype("float64")
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.value += 0.3 * rng.standard_normal(p.shape)
    return model


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_above_a_trainable_layer(name, frozen):
    """Every norm passes gradients to x, its parameters and those of the layer below it."""
    model = model_with(name)
    if frozen:
        model[1].freeze()

    assert gradcheck(model, draw((2, 5, 3, 2))) <= 1e-7
    y, pullback = model.vjp(draw((2, 5, 3, 2)))
    pullback(y)
    assert all(p.grad.any() != frozen for p in model[1].parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_both_doors_agree_and_copies_are_equal(name):
    """Inference is training's forward, to the bit, in a pickle and a deep copy too."""
    model, x = model_with(name), draw((2, 5, 3, 2))
    y, _ = model.vjp(x)

    np.testing.assert_array_equal(model(x), y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x), y)
        assert repr(other) == repr(model)


@pytest.mark.parametrize("name", LAYERS)
def test_without_input_grad(name):
    """Parameter gradients do not depend on whether dx is wanted."""
    layer, x = model_with(name)[1], draw((2, 5, 3, 4))
    wanted = []
    for input_grad in (True, False):
        for p in layer.parameters():
            p.grad[...] = 0
        y, pullback = layer.vjp(x, input_grad=input_grad)
        assert (pullback(y) is not None) == input_grad
        wanted.append([p.grad.copy() for p in layer.parameters()])

    for a, b in zip(*wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_and_kinds():
    """Parameters are called gamma and beta, of the kind norm; without affine there are none."""
    model = cl.Sequential(cl.GroupNorm(2, 4), cl.LayerNorm((3, 4)), cl.InstanceNorm(4))

    assert list(model.state_dict()) == ["0.gamma", "0.beta", "1.gamma", "1.beta"]
    assert model.state_dict()["1.gamma"].shape == (3, 4)
    assert {p.kind for p in model.parameters()} == {"norm"}


def test_representations():
    """A repr is the call that makes the layer."""
    for text in (
        "GroupNorm(2, 4)",
        "GroupNorm(2, 4, eps=0.001, affine=False)",
        "InstanceNorm(3)",
        "InstanceNorm(3, affine=True)",
        "LayerNorm(7)",
        "LayerNorm((2, 7), eps=0.1)",
    ):
        assert repr(eval(f"cl.{text}")) == text


BAD_LAYERS = {
    "groups": (lambda: cl.GroupNorm(3, 4), ValueError, "groups to divide 4, got 3"),
    "eps": (lambda: cl.LayerNorm(4, eps=0), ValueError, "LayerNorm: expected a finite eps above 0"),
    "no eps": (
        lambda: cl.InstanceNorm(4, eps="1"),
        TypeError,
        "InstanceNorm: eps must be a number",
    ),
    "one value": (lambda: cl.LayerNorm(1), ValueError, "at least two values .* got 1"),
    "no axis": (lambda: cl.LayerNorm(()), ValueError, "at least one axis"),
    "channels": (lambda: cl.GroupNorm(2, 4)(X), ValueError, r"expected x of shape \(N, ..., 4\)"),
    "rank": (lambda: cl.GroupNorm(2, 4)(ONE), ValueError, r"expected x of shape \(N, ..., 4\)"),
    "one value of a group": (
        lambda: cl.GroupNorm(6, 6)(X[:, :1, :1]),
        ValueError,
        "at least two values per group of a sample .* use fewer groups, larger images,",
    ),
    "one pixel": (
        lambda: cl.InstanceNorm(6)(X[:, :1, :1]),
        ValueError,
        "at least two values per group of a sample .* use larger images,",
    ),
    "axes": (lambda: cl.LayerNorm((2, 6))(X), ValueError, r"expected x of shape \(N, ..., 2, 6\)"),
    "no batch": (lambda: cl.LayerNorm(6)(ONE), ValueError, r"expected x of shape \(N, ..., 6\)"),
    "dtype": (lambda: cl.LayerNorm(6)(X.astype(float)), TypeError, "float32"),
}


@pytest.mark.parametrize("name", BAD_LAYERS)
def test_errors_of_layers(name):
    """Options out of range and inputs that do not fit are errors that say what was expected."""
    call, error, message = BAD_LAYERS[name]

    with pytest.raises(error, match=message):
        call()
