"""Initialisers: their fans, moments, bounds and seeds, and what they refuse."""

import numpy as np
import pytest

import convlet as cl
from convlet import init

SHAPES = [(3, 3, 16, 40), (5, 1, 30, 64), (120, 75), (75, 120), (7, 20, 90)]

# the variance each rule draws with, from fan_in and fan_out
VARIANCES = {
    "he_normal": lambda i, o: 2 / i,
    "he_uniform": lambda i, o: 2 / i,
    "glorot_normal": lambda i, o: 2 / (i + o),
    "glorot_uniform": lambda i, o: 2 / (i + o),
    "lecun_normal": lambda i, o: 1 / i,
    "lecun_uniform": lambda i, o: 1 / i,
}
NEEDS_WEIGHTS = [*VARIANCES, "orthogonal"]
ALL = [*NEEDS_WEIGHTS, "normal", "uniform"]


def assert_moments(value, variance):
    """Mean 0 and this variance, within four standard errors (those of normal numbers)."""
    assert abs(value.mean()) < 4 * np.sqrt(variance / value.size)
    assert abs(value.var() / variance - 1) < 4 * np.sqrt(2 / value.size)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 3, 16, 32), (144, 288)),
        ((3, 3, 1, 32), (9, 288)),  # depthwise: 32 groups of one channel
        ((5, 4, 6), (20, 30)),
        ((10, 7), (10, 7)),
    ],
)
def test_fans(shape, expected):
    """Inputs of one output, and outputs of one input, for convolutions and linear layers."""
    assert expected == init.fans(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", VARIANCES)
def test_moments(name, shape):
    """Each rule draws with mean 0 and the variance of its formula."""
    value = getattr(init, name)(shape, rng=1, dtype=np.float64)

    assert_moments(value, VARIANCES[name](*init.fans(shape)))


@pytest.mark.parametrize("name", [name for name in VARIANCES if name.endswith("uniform")])
def test_uniform_rules_fill_their_interval(name):
    """Uniform rules keep to √3 standard deviations, and come close to them."""
    value = getattr(init, name)((200, 100), rng=2, dtype=np.float64)
    bound = np.sqrt(3 * VARIANCES[name](200, 100))

    assert 0.999 * bound < abs(value).max() <= bound


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_he_options(name):
    """fan="out" takes the other fan, and a slope shrinks the variance by 1 + slope²."""
    draw = getattr(init, name)
    plain = draw((150, 60), rng=3, dtype=np.float64)

    np.testing.assert_allclose(
        draw((150, 60), rng=3, fan="out", dtype=np.float64), plain * np.sqrt(150 / 60), atol=1e-15
    )
    np.testing.assert_allclose(
        draw((150, 60), rng=3, slope=2, dtype=np.float64), plain / np.sqrt(5), atol=1e-15
    )


@pytest.mark.parametrize("name", ["glorot_normal", "glorot_uniform"])
def test_glorot_gain(name):
    """The gain multiplies the numbers."""
    draw = getattr(init, name)
    plain = draw((20, 30), rng=3, dtype=np.float64)

    np.testing.assert_allclose(draw((20, 30), rng=3, gain=1.5, dtype=np.float64), 1.5 * plain)


@pytest.mark.parametrize("shape", [*SHAPES, (4, 4), (1, 5), (5, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.5, -2.0])
def test_orthogonal(shape, gain):
    """Columns, or rows where they are fewer, are orthogonal of length |gain|."""
    q = init.orthogonal(shape, rng=4, gain=gain, dtype=np.float64).reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T

    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-13 * gain**2)


def test_orthogonal_is_uniform():
    """Signs are fair: over many draws each entry has mean 0 and variance 1/n."""
    rng = np.random.default_rng(5)
    draws = np.array([init.orthogonal((3, 3), rng=rng, dtype=np.float64) for _ in range(4000)])

    assert abs(draws.mean(axis=0)).max() < 4.5 * np.sqrt(1 / 3 / 4000)
    assert abs(draws.var(axis=0) * 3 - 1).max() < 0.1


def test_normal_and_uniform():
    """They have the mean, deviation and bounds that are asked for."""
    assert_moments(init.normal((50, 80), mean=3, std=0.5, rng=0, dtype=np.float64) - 3, 0.25)
    value = init.uniform((50, 80), low=-1, high=3, rng=0, dtype=np.float64)
    assert_moments(value - 1, 16 / 12)
    assert (value.min() >= -1, value.max() < 3) == (True, True)


@pytest.mark.parametrize("name", ALL)
def test_seeds_and_dtypes(name):
    """A seed or its generator gives the same numbers, None others; float32 is float64 rounded."""
    draw = getattr(init, name)
    shape = (3, 2, 4, 5)
    value = draw(shape, rng=6)

    assert (np.float32, shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(value, draw(shape, rng=np.random.default_rng(6)))
    np.testing.assert_array_equal(value, draw(shape, rng=6, dtype=np.float64).astype(np.float32))
    assert not np.array_equal(value, draw(shape, rng=7))
    assert not np.array_equal(draw(shape), draw(shape))


def test_zeros_and_ones():
    """Constants take the same arguments."""
    np.testing.assert_array_equal(np.zeros((2, 3), np.float32), init.zeros((2, 3), rng=0))
    np.testing.assert_array_equal(np.ones(4), init.ones((4,), rng=0, dtype=np.float64))


@pytest.mark.parametrize("name", ALL)
def test_layers_take_a_start_by_assignment(name):
    """What an initialiser returns for a parameter's shape can be assigned to it."""
    for layer in (cl.Conv2d(4, 6, 3, groups=2), cl.Linear(5, 3)):
        value = getattr(init, name)(layer.weight.shape, rng=8)
        layer.weight.value = value
        np.testing.assert_array_equal(value, layer.weight.value)


@pytest.mark.parametrize("name", NEEDS_WEIGHTS)
@pytest.mark.parametrize("shape", [(3,), (), (3, 0), (0, 3, 4)])
def test_shapes_without_fans_are_refused(name, shape):
    """A bias or an empty array has no fans, and the message says what to take."""
    with pytest.raises(ValueError, match=r"expected the shape of weights.*init\.zeros"):
        getattr(init, name)(shape)
    with pytest.raises(TypeError, match="fans: expected a tuple of sizes, got 3"):
        getattr(init, name)(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.he_normal((2, 2), fan="both"), "he_normal: fan must be 'in' or 'out', got"),
        (lambda: init.he_uniform((2, 2), slope=np.nan), "he_uniform: slope must be finite"),
        (lambda: init.glorot_normal((2, 2), gain=np.inf), "glorot_normal: gain must be finite"),
        (lambda: init.orthogonal((2, 2), gain=np.nan), "orthogonal: gain must be finite, got nan"),
        (lambda: init.normal((2,), std=-1), "normal: std must be at least 0, got -1"),
        (lambda: init.normal((2,), mean=np.nan), "normal: mean must be finite"),
        (lambda: init.uniform((2,), low=1, high=0), "low must be at most high, got 1 and 0"),
    ],
)
def test_bad_options_are_refused(call, message):
    """Options out of range are errors that name the function and the value."""
    with pytest.raises(ValueError, match=message):
        call()


def test_options_that_are_no_numbers_are_refused():
    """So are those that are no numbers."""
    with pytest.raises(TypeError, match="he_normal: slope must be a number, got '0'"):
        init.he_normal((2, 2), slope="0")
    with pytest.raises(TypeError, match="normal: std must be a number, got None"):
        init.normal((2,), std=None)


@pytest.mark.parametrize("name", [*NEEDS_WEIGHTS, "normal", "uniform", "zeros", "ones"])
def test_other_dtypes_are_refused(name):
    """An integer dtype, which would round the numbers to 0, is refused, and so is None."""
    for dtype in (np.int16, None):
        with pytest.raises(TypeError, match="init: dtype must be float32 or float64, got"):
            getattr(init, name)((2, 2), dtype=dtype)
