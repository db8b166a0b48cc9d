"""The reference of convolution, linear and batch norm: gradients, values by hand, its formulas."""

import itertools

import numpy as np
import pytest

from cases import CONV_CASES, NORM_CASES, by_name, load_conv_cases, rng_of
from convlet import reference as ref
from convlet.gradcheck import gradcheck
from convlet.reference.conv import conv_geometry


def conv_integers(case):
    rng = rng_of(case)
    shapes = (case.x_shape, case.w_shape, (case.oc,), case.y_shape)
    return [rng.integers(-8, 9, shape) for shape in shapes]


# --- convolution ----------------------------------------------------------------------------


def conv_by_definition(x, w, b, axes, groups):
    """One output at a time, skipping what lies outside the image."""
    n = x.shape[0]
    kh, kw, group_c, oc = w.shape
    h, wd = axes
    y = np.zeros((n, h.out, wd.out, oc), x.dtype) + b
    for i, j, u, v in itertools.product(range(h.out), range(wd.out), range(kh), range(kw)):
        row = i * h.stride - h.begin + u * h.dilation
        column = j * wd.stride - wd.begin + v * wd.dilation
        if not (0 <= row < h.n and 0 <= column < wd.n):
            continue
        for g in range(groups):
            pixels = x[:, row, column, g * group_c : (g + 1) * group_c]
            outputs = slice(g * (oc // groups), (g + 1) * (oc // groups))
            y[:, i, j, outputs] += pixels @ w[u, v, :, outputs]
    return y


@by_name(CONV_CASES)
def test_conv2d_is_its_definition(case):
    """The convolution equals loops over output pixels and taps, exactly, on integers."""
    x, w, b, _ = conv_integers(case)
    axes, groups = conv_geometry(x.shape, w.shape, *case.options.values())

    y = ref.conv2d(x, w, b, **case.options)

    assert np.array_equal(y, conv_by_definition(x, w, b, axes, groups))
    assert y.shape == case.y_shape


@by_name(CONV_CASES)
def test_conv2d_gradients(case):
    """The three gradients of the convolution agree with finite differences."""
    rng = rng_of(case)
    inputs = tuple(rng.standard_normal(s) for s in (case.x_shape, case.w_shape, (case.oc,)))

    gradcheck(
        lambda x, w, b: ref.conv2d(x, w, b, **case.options),
        inputs,
        lambda dy, x, w, b: ref.conv2d_backward(dy, x, w, **case.options),
        names=("x", "w", "b"),
        samples=40,
    )


@by_name(CONV_CASES)
def test_conv2d_backward_is_the_adjoint(case):
    """On integers <dy, conv(x, w)> = <dx, x> = <dw, w> holds exactly."""
    x, w, _, dy = conv_integers(case)

    y = ref.conv2d(x, w, **case.options)
    dx, dw, db = ref.conv2d_backward(dy, x, w, **case.options)

    assert np.vdot(dy, y) == np.vdot(dx, x) == np.vdot(dw, w)
    assert np.array_equal(db, dy.sum(axis=(0, 1, 2)))


@by_name(CONV_CASES)
def test_conv2d_output_shape(case):
    """The output shape is the one written in the table."""
    assert ref.conv2d_output_shape(case.x_shape, case.w_shape, **case.options) == case.y_shape


def test_conv2d_output_shape_of_the_problem_file():
    """Every problem of the file has the output size that the file gives."""
    cases = load_conv_cases()

    shapes = [ref.conv2d_output_shape(c.x_shape, c.w_shape, **c.options) for c in cases]

    assert len(cases) == 259
    assert shapes == [case.y_shape for case in cases]


def test_conv2d_of_ones():
    """Ones under a 3x3 kernel of ones count the pixels each window meets."""
    image, kernel = np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1))

    y = ref.conv2d(image, kernel, padding="same")

    assert np.array_equal(y[0, :, :, 0], [[4, 6, 4], [6, 9, 6], [4, 6, 4]])


def test_conv2d_does_not_flip_the_kernel():
    """A unit impulse gives the kernel turned by 180 degrees: this is cross-correlation."""
    impulse = np.zeros((1, 5, 5, 1))
    impulse[0, 2, 2, 0] = 1
    kernel = np.arange(9.0).reshape(3, 3, 1, 1)

    y = ref.conv2d(impulse, kernel)

    assert np.array_equal(y[0, :, :, 0], [[8, 7, 6], [5, 4, 3], [2, 1, 0]])


@pytest.mark.parametrize(
    ("padding", "expected"), [("same", [12, 34, 50]), ("same_lower", [1, 23, 45])]
)
def test_conv2d_same_places_the_odd_pixel(padding, expected):
    """With an odd total, "same" pads one more at the end and "same_lower" at the beginning."""
    x = np.array([1.0, 2, 3, 4, 5]).reshape(1, 1, 5, 1)
    w = np.array([10.0, 1]).reshape(1, 2, 1, 1)

    y = ref.conv2d(x, w, stride=(1, 2), padding=padding)

    assert y.ravel().tolist() == expected


def test_conv2d_unread_pixels_have_no_gradient():
    """Rows and columns that no window reaches get a gradient of exactly 0."""
    case = next(c for c in CONV_CASES if c.name == "last-rows-never-read")
    x, w, _, _ = conv_integers(case)

    dx, _, _ = ref.conv2d_backward(np.ones(case.y_shape), x, w + 20.0, **case.options)

    read = np.ix_([0, 1, 2, 4, 5, 6], [0, 1, 2, 5, 6, 7])
    assert np.all(dx[0][read] > 0)
    dx[0][read] = 0
    assert np.all(dx == 0)


def test_conv2d_activation():
    """The fused ReLU is the ReLU of the convolution."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((3, 3, 3, 4)), np.ones(4)

    y = ref.conv2d(x, w, b, activation="relu")

    assert np.array_equal(y, np.maximum(ref.conv2d(x, w, b), 0))


@pytest.mark.parametrize("needs", list(itertools.product((False, True), repeat=3)))
def test_backward_computes_what_is_needed(needs):
    """A gradient that is not needed is None, and the others are unchanged."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s) for s in ((2, 4, 4, 2), (3, 3, 2, 3), (2, 2, 2, 3)))
    pairs = [
        (ref.conv2d_backward(dy, x, w), ref.conv2d_backward(dy, x, w, needs=needs)),
        (
            ref.linear_backward(dy, x[:, :2, :2], w[0, 0]),
            ref.linear_backward(dy, x[:, :2, :2], w[0, 0], needs=needs),
        ),
    ]

    for full, partial in pairs:
        assert [g is not None for g in partial] == list(needs)
        assert all(p is None or np.array_equal(p, f) for f, p in zip(full, partial, strict=True))


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "spans 5 pixels, more than the 0 \\+ 4 \\+ 0", {"dilation": 2}),
        (ValueError, "stride must be at least 1, got 0", {"stride": 0}),
        (ValueError, "dilation must be at least 1, got -1", {"dilation": (1, -1)}),
        (ValueError, "padding must be at least 0, got -1", {"padding": ((0, -1), (0, 0))}),
        (ValueError, "padding must be an integer or a pair", {"padding": ((1, 1, 1), 0)}),
        (ValueError, "padding must have two entries", {"padding": (1, 1, 1)}),
        (ValueError, "padding must be 'valid'", {"padding": "full"}),
        (ValueError, "stride must be an integer or a pair", {"stride": (1, 1, 1)}),
        (ValueError, "groups=3 must split the 4 channels", {"groups": 3}),
        (
            ValueError,
            "activation must be None, 'relu', 'relu6' or",
            {"activation": "tanh"},
        ),
        (TypeError, "stride must be an integer, got 2.0", {"stride": 2.0}),
        (TypeError, "padding must be an integer, got True", {"padding": True}),
        (TypeError, "groups must be an integer", {"groups": "1"}),
    ],
)
def test_conv2d_refuses(error, message, options):
    """An impossible geometry is an error that names the argument and its value."""
    with pytest.raises(error, match=message):
        ref.conv2d(np.ones((1, 4, 4, 4)), np.ones((3, 3, 4, 4)), **options)


@pytest.mark.parametrize(
    ("x_shape", "w_shape"),
    [
        ((4, 4, 4), (3, 3, 4, 4)),
        ((1, 4, 4, 3), (3, 3, 4, 4)),
        ((1, 0, 4, 4), (3, 3, 4, 4)),
        ((1, 4, 4, 0), (3, 3, 0, 4)),
    ],
)
def test_conv2d_refuses_shapes(x_shape, w_shape):
    """Arrays of the wrong rank, with other channels or with nothing to read are errors."""
    with pytest.raises(ValueError, match=r"x must be|channels|at least one pixel"):
        ref.conv2d(np.ones(x_shape), np.ones(w_shape), padding=2)


# --- linear, elementwise --------------------------------------------------------------------


@pytest.mark.parametrize("rows", [(), (1,), (5,), (0,), (2, 3)], ids=str)
def test_linear_gradients(rows):
    """The three gradients of the linear map agree with finite differences, for any leading axes."""
    rng = np.random.default_rng(0)
    inputs = tuple(rng.standard_normal(s) for s in ((*rows, 7), (7, 3), (3,)))

    gradcheck(ref.linear, inputs, lambda dy, x, w, b: ref.linear_backward(dy, x, w))


def test_linear_by_hand():
    """A 2x2 linear map of one row, with and without bias."""
    x, w = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])

    assert ref.linear(x, w).tolist() == [[13, 16]]
    assert ref.linear(x, w, np.array([1.0, -1.0])).tolist() == [[14, 15]]


def test_relu_gradient():
    """The ReLU's gradient agrees with finite differences away from 0."""
    x = np.random.default_rng(0).permutation(np.linspace(-2, 2, 48)).reshape(2, 3, 4, 2)

    gradcheck(ref.relu, x, lambda dy, x: ref.relu_backward(dy, ref.relu(x)))


def test_relu_at_special_values():
    """NaN stays NaN, zeros stay zeros, and neither gets a gradient."""
    x = np.array([np.nan, -0.0, 0.0, -np.inf, np.inf])

    y = ref.relu(x)

    assert np.array_equal(y, [np.nan, 0, 0, 0, np.inf], equal_nan=True)
    assert ref.relu_backward(np.ones(5), y).tolist() == [0, 0, 0, 0, 1]


def test_add():
    """add is the elementwise sum."""
    assert ref.add(np.array([1.0, 2.0]), np.array([3.0, 5.0])).tolist() == [4, 7]


# --- batch norm -----------------------------------------------------------------------------


def norm_arrays(case, activation=None, residual=False):
    """x, gamma, beta, residual whose pre-activations keep clear of the kink of a ReLU."""
    rng = rng_of(case)
    channels = case.shape[-1]
    while True:
        x = case.offset + case.scale * rng.standard_normal(case.shape)
        gamma = rng.uniform(0.5, 1.5, channels) * rng.choice([-1, 1], channels)
        beta, r = rng.standard_normal(channels), rng.standard_normal(case.shape)
        y, mean, var = ref.batch_norm(x, gamma, beta, residual=r if residual else None)
        if activation is None or np.abs(y).min() > 4e-4 * np.abs(gamma).max():
            return x, gamma, beta, r, y, mean, var


@by_name(NORM_CASES)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_batch_norm_gradients(case, activation, residual):
    """All gradients of training batch norm agree with finite differences, fused or not."""
    x, gamma, beta, r, *_ = norm_arrays(case, activation, residual)
    inputs = (x, gamma, beta, r) if residual else (x, gamma, beta)

    def forward(x, gamma, beta, r=None):
        return ref.batch_norm(x, gamma, beta, residual=r, activation=activation)[0]

    def backward(dy, x, gamma, beta, r=None):
        y, mean, var = ref.batch_norm(x, gamma, beta, residual=r, activation=activation)
        return ref.batch_norm_backward(
            dy, x, gamma, mean, var, y=y, activation=activation, residual=residual
        )

    names = ("x", "gamma", "beta", "residual")[: len(inputs)]
    gradcheck(forward, inputs, backward, names=names, eps=1e-4 * case.scale, samples=60)


@by_name(NORM_CASES)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_frozen_batch_norm_gradients(case, activation):
    """With given statistics the gradients are those of batch_norm_inference."""
    x, gamma, beta, _, _, mean, var = norm_arrays(case, activation)

    gradcheck(
        lambda x, gamma, beta: ref.batch_norm_inference(
            x, gamma, beta, mean, var, activation=activation
        ),
        (x, gamma, beta),
        lambda dy, x, gamma, beta: ref.batch_norm_backward(
            dy, x, gamma, mean, var, beta=beta, activation=activation, frozen=True
        ),
        eps=1e-4 * case.scale,
        samples=60,
    )


@by_name(NORM_CASES)
def test_batch_norm_mask_from_beta_or_y(case):
    """The ReLU's mask recomputed from x and beta is the mask read from y."""
    x, gamma, beta, _, _, mean, var = norm_arrays(case, "relu")
    y = ref.batch_norm_inference(x, gamma, beta, mean, var, activation="relu")
    dy = rng_of(case).standard_normal(case.shape)

    from_beta = ref.batch_norm_backward(dy, x, gamma, mean, var, beta=beta, activation="relu")
    from_y = ref.batch_norm_backward(dy, x, gamma, mean, var, y=y, activation="relu")

    assert all(np.array_equal(a, b) for a, b in zip(from_beta, from_y, strict=True))


def test_batch_norm_by_hand():
    """Two values 1 and 3 have mean 2 and biased variance 1."""
    y, mean, var = ref.batch_norm(
        np.array([[1.0], [3.0]]), np.array([2.0]), np.array([5.0]), eps=3.0
    )

    assert (mean.tolist(), var.tolist(), y.tolist()) == ([2], [1], [[4], [6]])


def test_batch_norm_refuses():
    """No value per channel, or an activation without a mask, is an error."""
    x, one, zero = np.ones((2, 1)), np.ones(1), np.zeros(1)

    with pytest.raises(ValueError, match="at least one value per channel"):
        ref.batch_norm(np.ones((0, 2, 2, 1)), one, zero)
    with pytest.raises(ValueError, match="activation needs y"):
        ref.batch_norm_backward(x, x, one, one, one, activation="relu")
    with pytest.raises(ValueError, match="activation needs y"):
        ref.batch_norm_backward(x, x, one, one, one, beta=zero, activation="relu", residual=True)
