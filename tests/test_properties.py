"""Properties that hold for every shape, on shapes that hypothesis draws."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import convlet as cl
from convlet import ops, reference

EXACT = settings(deadline=None, derandomize=True, max_examples=150)


@st.composite
def convolutions(draw):
    """Return (x, w, dy, options): small integers, and any kernel, stride, padding, groups."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    paddings = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.tuples(paddings, paddings))
    groups = draw(st.integers(1, 3))
    channels, outputs = (groups * draw(st.sampled_from((1, 2, 5, 16, 17))) for _ in range(2))
    spans = [d * (k - 1) + 1 - sum(p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    sizes = [max(1, span) + draw(st.integers(0, 6)) for span in spans]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def integers(*shape):
        return rng.integers(-8, 9, shape).astype(np.float32)

    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = integers(draw(st.integers(1, 3)), *sizes, channels)
    w = integers(*kernel, channels // groups, outputs)
    return x, w, integers(*reference.conv2d_output_shape(x.shape, w.shape, **options)), options


def inner(a, b):
    """<a, b>, exact for integers."""
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


@EXACT
@given(convolutions())
def test_convolution_equals_the_reference_exactly(problem):
    """On small integers float32 gives the integers, in all passes."""
    x, w, dy, options = problem
    wide = [a.astype(np.float64) for a in (x, w, dy)]

    assert np.array_equal(ops.conv2d(x, w, **options), reference.conv2d(*wide[:2], **options))
    expected = reference.conv2d_backward(wide[2], *wide[:2], **options)
    for want, have in zip(expected, ops.conv2d_backward(dy, x, w, **options), strict=True):
        assert np.array_equal(want, have)


@EXACT
@given(convolutions())
def test_the_gradients_are_adjoint_to_the_convolution(problem):
    """<dy, conv(x, w)> = <dx, x> = <dw, w>, exactly, without any reference."""
    x, w, dy, options = problem
    dx, dw, _ = ops.conv2d_backward(dy, x, w, **options)

    assert inner(dy, ops.conv2d(x, w, **options)) == inner(dx, x) == inner(dw, w)


@EXACT
@given(convolutions(), st.integers(2, 5))
def test_bits_do_not_depend_on_threads_or_batch(problem, threads):
    """Real operands give the same bits on several threads, and an image alone as in a batch."""
    x, w, dy, options = problem
    x, w, dy = (np.sin(a) for a in (x, w, dy))
    with cl.num_threads(1):
        y, gradients = ops.conv2d(x, w, **options), ops.conv2d_backward(dy, x, w, **options)
    with cl.num_threads(threads):
        again = ops.conv2d(x, w, **options), *ops.conv2d_backward(dy, x, w, **options)

    assert [a.tobytes() for a in (y, *gradients)] == [a.tobytes() for a in again]
    assert y[-1:].tobytes() == ops.conv2d(x[-1:], w, **options).tobytes()


@EXACT
@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.sampled_from((0.0, 10.0, 1000.0)),
    st.integers(0, 2**32 - 1),
)
def test_batch_norm_is_normal(pixels, channels, ratio, seed):
    """Outputs have the mean 0 and the variance var/(var + ε) of their formula, at any offset."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((pixels, channels)) + ratio).astype(np.float32)
    one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    y, _, _ = ops.batch_norm(x, one, zero)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + 1e-5)

    # 1e-5 at a mean of 1000 deviations is the bound that the library promises.
    assert np.abs(y - expected).max() <= 1e-5


@EXACT
@given(st.integers(1, 20), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_softmax_cross_entropy_gradients_sum_to_zero(rows, classes, seed):
    """Per row the gradient sums to Σq - Σq = 0, and the loss is not negative."""
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((rows, classes)) * 20).astype(np.float32)
    losses, gradient = cl.softmax_cross_entropy(
        logits, rng.integers(0, classes, rows), reduction="none"
    )

    assert (losses >= 0).all()
    # Each of the p is rounded once, and they sum to 1.
    assert np.abs(gradient.astype(np.float64).sum(axis=-1)).max() <= classes * 2.0**-24 + 2.0**-22
