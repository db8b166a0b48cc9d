"""Every operator against convlet.reference in float64, over the shared table of shapes.

A bound reads: |result - reference| <= bound[dtype] · magnitude, elementwise, where the magnitude is
the same expression over absolute values: what rounding errors are proportional to.
"""

import itertools

import numpy as np
import pytest

import convlet
from cases import CLASS_CASES, CONV_CASES, NORM_CASES, POOL_CASES, by_name, draw, wide
from convlet import _core, ops, reference
from convlet.ops.batch_norm import batch_norm_gradients, batch_norm_training
from convlet.ops.pool import max_pool2d_winners, max_pool2d_winners_backward
from same_bits import assert_same_for_any_threads

DTYPES = (np.float32, np.float64)


def check(actual, expected, bound, magnitude):
    """Hold a result to its bound; magnitude is a number or an array like the result."""
    assert actual.shape == expected.shape
    limit = bound[actual.dtype.type] * np.broadcast_to(magnitude, expected.shape)
    error = np.abs(actual.astype(np.float64) - expected)
    worst = np.unravel_index(np.argmax(error - limit), error.shape) if error.size else None
    assert np.all(error <= limit), f"at {worst}: {actual[worst]} for {expected[worst]}"


# Chains of at most 384 products, added in order: the worst case is 400 roundings, the typical
# error a few. Half a unit in the last place is 6e-8 and 1.1e-16.
SUMS = {np.float32: 2e-6, np.float64: 4e-15}


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(CONV_CASES)
class TestConv2d:
    def test_forward(self, case, dtype):
        """Convolutions agree with the reference, with and without a bias."""
        x, w = draw(case.x_shape, dtype), draw(case.w_shape, dtype)
        b = draw((case.oc,), dtype)
        for bias in (None, b):
            y = ops.conv2d(x, w, bias, **case.options)
            expected = reference.conv2d(*wide(x, w, bias), **case.options)
            absolute = [None if a is None else np.abs(a) for a in wide(x, w, bias)]

            assert y.shape == case.y_shape
            check(y, expected, SUMS, reference.conv2d(*absolute, **case.options))

    @pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", ("leaky_relu", 0.3)])
    def test_activation_is_that_of_the_output(self, case, dtype, activation):
        """An activation in the call gives the bits of one after it."""
        x, w, b = draw(case.x_shape, dtype), draw(case.w_shape, dtype), draw((case.oc,), dtype)
        plain = ops.conv2d(x, w, b, **case.options)

        y = ops.conv2d(x, w, b, **case.options, activation=activation)

        np.testing.assert_array_equal(y, reference.activation.activate(plain, activation))

    def test_backward(self, case, dtype):
        """The three gradients agree with the reference."""
        x, w, dy = draw(case.x_shape, dtype), draw(case.w_shape, dtype), draw(case.y_shape, dtype)
        gradients = ops.conv2d_backward(dy, x, w, **case.options)
        expected = reference.conv2d_backward(*wide(dy, x, w), **case.options)
        magnitudes = reference.conv2d_backward(*(np.abs(a) for a in wide(dy, x, w)), **case.options)

        for actual, wanted, magnitude in zip(gradients, expected, magnitudes, strict=True):
            assert actual.dtype == dtype
            check(actual, wanted, SUMS, magnitude)

    def test_needs(self, case, dtype):
        """A gradient alone has the bits it has beside the others, which are None."""
        x, w, dy = draw(case.x_shape, dtype), draw(case.w_shape, dtype), draw(case.y_shape, dtype)
        every = ops.conv2d_backward(dy, x, w, **case.options)
        for i in range(3):
            needs = tuple(j == i for j in range(3))
            some = ops.conv2d_backward(dy, x, w, **case.options, needs=needs)

            assert [g is not None for g in some] == list(needs)
            np.testing.assert_array_equal(some[i], every[i])


def test_conv2d_writes_into_out():
    """The result goes into `out`, all of it, and is returned."""
    x, w = draw((2, 5, 4, 3), np.float32), draw((3, 3, 3, 7), np.float32)
    out = np.full((2, 5, 4, 7), np.nan, np.float32)

    y = ops.conv2d(x, w, padding=1, out=out)

    assert y is out
    np.testing.assert_array_equal(out, ops.conv2d(x, w, padding=1))


def test_conv2d_algorithm_describes_the_cost():
    """Multiply-adds and bytes are those of the formula."""
    told = ops.conv2d_algorithm((2, 8, 8, 4), (3, 3, 4, 5), padding=1, dtype="float64")

    assert told["algorithm"] == "im2col"
    assert told["multiply_adds"] == 2 * 8 * 8 * 5 * 9 * 4
    assert told["bytes"] == 8 * (2 * 8 * 8 * 4 + 9 * 4 * 5 + 2 * 8 * 8 * 5)
    assert told["workspace"] >= 0
    assert told["reason"]


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weights"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("groups", [1, 16, 64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 3), (2, 2), (3, 2)])
def test_workspace_does_not_grow_with_the_batch(direction, kernel, groups, inputs, outputs):
    """It is blocks of each thread, and partial sums of a bounded size, however many images."""
    w_shape = kernel, kernel, inputs, outputs * groups
    options = {"padding": kernel // 2, "groups": groups, "direction": direction}

    few, many = (
        ops.conv2d_algorithm((n, 28, 28, inputs * groups), w_shape, **options)["workspace"]
        for n in (4096, 16384)
    )

    assert many == few


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((1, 1000, 1000, 64), (3, 3, 64, 64), {"stride": 500, "padding": 1}),
        (
            (1, 1, 8, 16),
            (8, 8, 16, 64),
            {"padding": ((3, 9000), (1, 3)), "dilation": (7, 1), "direction": "backward_data"},
        ),
    ],
)
def test_workspace_is_not_of_what_no_tap_reads(x_shape, w_shape, options):
    """Strides may skip most of an image, and the gradient of a small one read little of dy."""
    with convlet.num_threads(2):
        told = ops.conv2d_algorithm(x_shape, w_shape, **options)
    assert told["workspace"] < told["bytes"] / 100


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3), {"stride": (1, 1000), "padding": ((0, 0), (0, 90_000))}),
        ((9, 3), {"stride": (50_000, 1), "padding": (90_000, 1), "dilation": (3000, 1)}),
    ],
)
def test_workspace_is_not_of_what_padding_adds(kernel, options):
    """The gradient of few channels keeps rows of it, not of the padding around it."""
    with convlet.num_threads(2):
        told = ops.conv2d_algorithm(
            (1, 16, 16, 3), (*kernel, 3, 16), direction="backward_data", **options
        )
    assert told["workspace"] < 2**18


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("x_shape", "outputs"), [((4, 3), 5), ((0, 3), 2), ((1, 1), 1), ((2, 3, 5), 7), ((9,), 4)]
)
def test_linear(x_shape, outputs, dtype):
    """Linear maps and their gradients agree with the reference, with any axes before the last."""
    x, w, b = draw(x_shape, dtype), draw((x_shape[-1], outputs), dtype), draw((outputs,), dtype)
    dy = draw((*x_shape[:-1], outputs), dtype)

    y = ops.linear(x, w, b)
    gradients = ops.linear_backward(dy, x, w)

    absolute = [np.abs(a) for a in wide(x, w, b)]
    check(y, reference.linear(*wide(x, w, b)), SUMS, reference.linear(*absolute))
    expected = reference.linear_backward(*wide(dy, x, w))
    magnitudes = reference.linear_backward(*(np.abs(a) for a in wide(dy, x, w)))
    for actual, wanted, magnitude in zip(gradients, expected, magnitudes, strict=True):
        check(actual, np.asarray(wanted), SUMS, magnitude)


@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3)))
def test_linear_backward_of_what_is_needed(needs):
    """Any choice of gradients has the bits of all of them, on the short way and on the long one."""
    dy, x, w = draw((2, 6, 7), np.float32), draw((2, 6, 5), np.float32), draw((5, 7), np.float32)
    expected = ops.linear_backward(dy, x, w)

    for converted in (x, x.astype(">f4")):
        gradients = ops.linear_backward(dy, converted, w, needs=list(needs))

        for actual, wanted, needed in zip(gradients, expected, needs, strict=True):
            assert actual.tobytes() == wanted.tobytes() if needed else actual is None


def test_linear_takes_the_short_way_with_plain_arrays_only():
    """The core computes what it can read as it is, and answers None to all else."""
    x, w, b = draw((4, 5), np.float32), draw((5, 3), np.float32), draw((3,), np.float32)
    dy, every = draw((4, 3), np.float32), (True, True, True, lambda: 1)

    class Matrix(np.ndarray):
        pass

    assert _core.linear(x, w, b, every[-1]).tobytes() == ops.linear(x, w, b).tobytes()
    assert _core.linear_gradients(dy, x, w, *every) is not None
    for wrong in (
        *(None, 1.0, x.tolist(), x[:, ::2], x.astype("d"), x.astype(">f4"), x.astype("q")),
        *(x.view(Matrix), x[:, :2].copy(), np.float32(1), np.zeros((4, 0), np.float32)),
    ):
        assert _core.linear(wrong, w, b, every[-1]) is None
        assert _core.linear(x, wrong, b, every[-1]) is None
        assert wrong is None or _core.linear(x, w, wrong, every[-1]) is None
        assert _core.linear_gradients(wrong, x, w, *every) is None
        assert _core.linear_gradients(dy, wrong, w, *every) is None
        assert _core.linear_gradients(dy, x, wrong, *every) is None
    assert _core.linear(x, w, draw((2,), np.float32), every[-1]) is None
    assert _core.linear_gradients(dy[:2], x, w, *every) is None


@pytest.mark.parametrize("rows", [1, 124, 125, 126, 300])
def test_short_linear_calls_ask_nobody_for_threads(rows):
    """Only calls of 100000 multiply-adds ask how many threads there are, and bits do not tell."""
    x, w, b = draw((rows, 20), np.float32), draw((20, 40), np.float32), draw((40,), np.float32)
    dy, asked = draw((rows, 40), np.float32), []

    def two():
        asked.append(None)
        return 2

    y = _core.linear(x, w, b, two)
    gradients = _core.linear_gradients(dy, x, w, True, True, True, two)

    assert len(asked) == (2 if rows >= 125 else 0)
    with convlet.num_threads(1):
        assert y.tobytes() == ops.linear(x, w, b).tobytes()
        for actual, alone in zip(gradients, ops.linear_backward(dy, x, w), strict=True):
            assert actual.tobytes() == alone.tobytes()


def test_errors_of_who_is_asked_for_threads_come_through():
    """A long linear call raises what the number of threads raises, or its being out of range."""
    x = draw((400, 300), np.float32)
    w = x[:300]

    with pytest.raises(ZeroDivisionError):
        _core.linear(x, w, None, lambda: 1 // 0)
    for out_of_range in (0, 1025):
        with pytest.raises(ValueError, match="threads"):
            _core.linear_gradients(x, x, w, True, True, True, lambda n=out_of_range: n)


# y and dx are differences of terms of the size of x̂ and of the sums over M values; 1e-5 is what
# remains of float32 where the mean is 1000 deviations (x itself is rounded to 6e-5 of them).
NORM = {np.float32: 1e-5, np.float64: 1e-12}


@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("dtype", DTYPES)
@by_name(NORM_CASES)
def test_batch_norm(case, dtype, activation, with_residual):
    """Batch norm, its moments and its gradients agree with the reference, fused or not."""
    channels = case.shape[-1:]
    x = (case.offset + case.scale * draw(case.shape, np.float64)).astype(dtype)
    gamma, beta = draw(channels, dtype, 1), draw(channels, dtype, 2)
    residual = draw(case.shape, dtype, 3) if with_residual else None
    dy = draw(case.shape, dtype, 4)
    options = {"eps": 1e-5, "residual": residual, "activation": activation}
    wide_options = options | {"residual": wide(residual)[0]}

    y, mean, var = ops.batch_norm(x, gamma, beta, **options)
    expected = reference.batch_norm(*wide(x, gamma, beta), **wide_options)
    largest = 2 + np.abs(expected[0]).max()
    check(y, expected[0], NORM, largest)
    check(mean, expected[1], SUMS, np.abs(expected[1]) + case.scale)
    check(var, expected[2], SUMS, expected[2])
    assert y.dtype == mean.dtype == var.dtype == dtype

    given = ops.batch_norm_inference(x, gamma, beta, mean, var, **options)
    expected = reference.batch_norm_inference(*wide(x, gamma, beta, mean, var), **wide_options)
    check(given, expected, NORM, largest)

    for frozen in (False, True):
        # The mask comes from y on both sides: at a kink two roundings may disagree.
        told = {"y": y, "activation": activation, "residual": with_residual, "frozen": frozen}
        gradients = ops.batch_norm_backward(dy, x, gamma, mean, var, **told)
        expected = reference.batch_norm_backward(
            *wide(dy, x, gamma, mean, var), **(told | {"y": wide(y)[0]})
        )
        assert len(gradients) == len(expected) == 3 + with_residual
        sums = np.abs(dy).astype(np.float64).sum(axis=tuple(range(x.ndim - 1)))
        scale = np.abs(gamma) / np.sqrt(var.astype(np.float64) + 1e-5)
        check(gradients[0], expected[0], NORM, 10 * scale * np.abs(dy).max())
        check(gradients[1], expected[1], NORM, 10 * sums)
        check(gradients[2], expected[2], NORM, sums)
        if with_residual:
            np.testing.assert_array_equal(gradients[3], expected[3].astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_mask_from_beta_is_the_mask_of_y(dtype):
    """The mask of ReLU is the same to the bit from beta and from y."""
    x, dy = draw((4, 5, 6, 7), dtype), draw((4, 5, 6, 7), dtype, 1)
    gamma, beta = draw((7,), dtype, 2), draw((7,), dtype, 3)
    y, mean, var = batch_norm_training(x, gamma, beta, 1e-5, None, "relu")
    assert mean.dtype == var.dtype == np.float64

    from_beta = ops.batch_norm_backward(dy, x, gamma, mean, var, beta=beta, activation="relu")
    from_y = ops.batch_norm_backward(dy, x, gamma, mean, var, y=y, activation="relu")

    for a, b in zip(from_beta, from_y, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_norm_gradients_without_dx():
    """Without dx the other gradients have the same bits."""
    x, dy = draw((4, 3), np.float32), draw((4, 3), np.float32, 1)
    gamma = np.ones(3, np.float32)
    _, mean, var = ops.batch_norm(x, gamma, gamma)
    every = ops.batch_norm_backward(dy, x, gamma, mean, var)

    dx, dgamma, dbeta = batch_norm_gradients(
        dy, x, gamma, mean, var, 1e-5, None, None, None, False, False, needs_dx=False
    )

    assert dx is None
    np.testing.assert_array_equal(dgamma, every[1])
    np.testing.assert_array_equal(dbeta, every[2])


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(POOL_CASES)
def test_max_pool2d(case, dtype):
    """Max pooling is exact, and its gradient agrees with the reference."""
    x, dy = draw(case.x_shape, dtype), draw(case.y_shape, dtype)

    y = ops.max_pool2d(x, case.kernel, **case.max_options)
    dx = ops.max_pool2d_backward(dy, x, case.kernel, **case.max_options)

    np.testing.assert_array_equal(y, reference.max_pool2d(x, case.kernel, **case.max_options))
    args = (x.astype(np.float64), case.kernel)
    expected = reference.max_pool2d_backward(dy.astype(np.float64), *args, **case.max_options)
    magnitude = reference.max_pool2d_backward(
        np.abs(dy).astype(np.float64), *args, **case.max_options
    )
    check(dx, expected, SUMS, magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(POOL_CASES)
def test_max_pool2d_by_winners(case, dtype):
    """Keeping the winners gives the bits that keeping x gives."""
    x, dy = draw(case.x_shape, dtype), draw(case.y_shape, dtype)
    x = np.round(x)  # ties

    y, winners = max_pool2d_winners(x, case.kernel, **case.max_options)
    dx = max_pool2d_winners_backward(dy, winners, case.x_shape, case.kernel, **case.max_options)

    np.testing.assert_array_equal(y, ops.max_pool2d(x, case.kernel, **case.max_options))
    expected = ops.max_pool2d_backward(dy, x, case.kernel, **case.max_options)
    assert dx.tobytes() == expected.tobytes()


UNDILATED = [case for case in POOL_CASES if case.dilation == (1, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(UNDILATED)
def test_avg_pool2d(case, dtype):
    """Average pooling and its gradient agree with the reference."""
    x, dy = draw(case.x_shape, dtype), draw(case.y_shape, dtype)

    y = ops.avg_pool2d(x, case.kernel, **case.avg_options)
    dx = ops.avg_pool2d_backward(dy, case.x_shape, case.kernel, **case.avg_options)

    x, dy = wide(x, dy)
    expected = reference.avg_pool2d(x, case.kernel, **case.avg_options)
    magnitude = reference.avg_pool2d(np.abs(x), case.kernel, **case.avg_options)
    check(y, expected, SUMS, magnitude)
    args = (case.x_shape, case.kernel)
    expected = reference.avg_pool2d_backward(dy, *args, **case.avg_options)
    magnitude = reference.avg_pool2d_backward(np.abs(dy), *args, **case.avg_options)
    check(dx, expected, SUMS, magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (0, 3, 3, 2), (1, 1, 1, 1), (2, 8, 8, 65)])
def test_global_avg_pool2d(shape, dtype):
    """Global average pooling and its gradient agree with the reference."""
    x, dy = draw(shape, dtype), draw((shape[0], shape[3]), dtype)

    y, dx = ops.global_avg_pool2d(x), ops.global_avg_pool2d_backward(dy, shape)

    x, dy = wide(x, dy)
    check(y, reference.global_avg_pool2d(x), SUMS, reference.global_avg_pool2d(np.abs(x)))
    expected = reference.global_avg_pool2d_backward(dy, shape)
    check(dx, expected, SUMS, np.abs(expected))


SHAPES = [(1,), (0, 3), (17,), (2, 3, 5, 7), (3, 65, 11)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_elementwise(shape, dtype):
    """Sums, ReLU and its gradient are exact."""
    a, b = draw(shape, dtype), draw(shape, dtype, 1)

    np.testing.assert_array_equal(ops.add(a, b), reference.add(a, b))
    np.testing.assert_array_equal(ops.relu(a), reference.relu(a))
    np.testing.assert_array_equal(
        ops.relu_backward(b, ops.relu(a)), reference.relu_backward(b, reference.relu(a))
    )


def test_relu_keeps_nan_and_the_sign_of_zero():
    """A NaN stays one, and so does a negative zero."""
    y = ops.relu(np.array([np.nan, -0.0, -1.0, 2.0], np.float32))

    np.testing.assert_array_equal(y, [np.nan, 0, 0, 2])
    assert np.signbit(y[1])


# Probabilities are at most 1, and what is far below the maximum is small; the exponent z - m
# is rounded once.
PROBABILITIES = {np.float32: 1e-6, np.float64: 4e-15}


def logits_of(case, dtype):
    return (case.offset + case.scale * draw(case.shape, np.float64)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(CLASS_CASES)
class TestSoftmax:
    def test_softmax(self, case, dtype):
        """Softmax and its gradient agree with the reference on any axis."""
        x, dy = logits_of(case, dtype), draw(case.shape, dtype, 1)

        y = ops.softmax(x, axis=case.axis)
        dx = ops.softmax_backward(dy, y, axis=case.axis)

        check(y, reference.softmax(*wide(x), axis=case.axis), PROBABILITIES, 1)
        expected = reference.softmax_backward(*wide(dy, y), axis=case.axis)
        check(dx, expected, PROBABILITIES, 10)

    def test_log_softmax(self, case, dtype):
        """Log-softmax and its gradient agree with the reference on any axis."""
        x, dy = logits_of(case, dtype), draw(case.shape, dtype, 1)

        y = ops.log_softmax(x, axis=case.axis)
        dx = ops.log_softmax_backward(dy, y, axis=case.axis)

        expected = reference.log_softmax(*wide(x), axis=case.axis)
        check(y, expected, PROBABILITIES, 1 + np.abs(expected))
        expected = reference.log_softmax_backward(*wide(dy, y), axis=case.axis)
        magnitude = 1 + np.abs(dy).astype(np.float64).sum(axis=case.axis, keepdims=True)
        check(dx, expected, PROBABILITIES, magnitude)

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("kind", ["labels", "soft"])
    def test_cross_entropy(self, case, dtype, kind, reduction):
        """Cross-entropy and its gradient agree with the reference, for labels and soft targets."""
        logits = logits_of(case, dtype)
        if kind == "labels":
            classes = case.shape[case.axis]
            target = np.random.default_rng(0).integers(0, classes, case.rows_shape)
            wide_target = target
        else:
            target = np.abs(draw(case.shape, dtype, 1))
            (wide_target,) = wide(target)
        options = {"axis": case.axis, "reduction": reduction}

        loss, dlogits = ops.softmax_cross_entropy(logits, target, **options)
        expected, expected_gradient = reference.softmax_cross_entropy(
            *wide(logits), wide_target, **options
        )

        # A soft row sums C terms q (lse - z).
        total = 1 if kind == "labels" else 1 + np.abs(target).sum(axis=case.axis, keepdims=True)
        check(dlogits, expected_gradient, PROBABILITIES, total)
        if reduction == "none":
            assert loss.dtype == dtype
            check(loss, expected, PROBABILITIES, 1 + np.abs(expected))
        else:
            assert type(loss) is float
            assert loss == pytest.approx(expected, rel=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i4", "u4", "i8", "u8"])
def test_labels_of_any_integer_dtype(dtype):
    """Labels of every integer dtype and byte order mean the same."""
    logits, labels = draw((5, 4), np.float32), np.array([3, 0, 1, 2, 3])
    expected = ops.softmax_cross_entropy(logits, labels)

    loss, dlogits = ops.softmax_cross_entropy(logits, labels.astype(dtype))

    assert loss == expected[0]
    np.testing.assert_array_equal(dlogits, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(dtype):
    """One, two, three and seven threads give the same bits."""
    x, w = draw((9, 17, 15, 13), dtype), draw((3, 3, 13, 33), dtype)
    gamma = draw((33,), dtype)

    def run():
        y = ops.conv2d(x, w, padding=1)
        normal, mean, var = ops.batch_norm(y, gamma, gamma)
        gradients = ops.batch_norm_backward(y, normal, gamma, mean, var)
        pooled = ops.max_pool2d(y, 3, stride=2, padding=1)
        return y, normal, *gradients, *ops.conv2d_backward(y, x, w, padding=1), pooled

    assert_same_for_any_threads(run)
