"""The reference of pooling: finite differences, hand-computed values and its formulas."""

import itertools

import numpy as np
import pytest

from cases import POOL_CASES, by_name, rng_of
from convlet import reference as ref
from convlet.gradcheck import gradcheck
from convlet.reference.pool import pool_geometry


def pool_input(case):
    """Distinct values, at least 0.01 apart, so that no maximum changes hands."""
    size = int(np.prod(case.x_shape))
    return 0.01 * rng_of(case).permutation(size).reshape(case.x_shape)


def windows(case, dilation):
    """The rows and columns inside the image which each window meets, by output pixel."""
    axes = pool_geometry(
        case.x_shape, case.kernel, case.stride, case.padding, dilation, case.ceil_mode
    )
    inside = []
    for a in axes:
        starts = [i * a.stride - a.begin for i in range(a.out)]
        taps = [[s + u * a.dilation for u in range(a.kernel)] for s in starts]
        inside.append([[p for p in positions if 0 <= p < a.n] for positions in taps])
    for (i, rows), (j, columns) in itertools.product(*map(enumerate, inside)):
        yield i, j, np.ix_(rows, columns)


@by_name(POOL_CASES)
def test_max_pool2d(case):
    """The maximum is that of the pixels inside each window; its gradient is a finite difference."""
    x, options = pool_input(case), case.max_options

    y = ref.max_pool2d(x, case.kernel, **options)

    assert y.shape == case.y_shape
    for i, j, pixels in windows(case, case.dilation):
        assert np.array_equal(y[:, i, j], x[:, *pixels].max(axis=(1, 2)))
    gradcheck(
        lambda x: ref.max_pool2d(x, case.kernel, **options),
        x,
        lambda dy, x: ref.max_pool2d_backward(dy, x, case.kernel, **options),
        samples=100,
    )


@by_name([case for case in POOL_CASES if case.dilation == (1, 1)])
def test_avg_pool2d(case):
    """The mean is that of each window; its gradient is a finite difference."""
    x, options = pool_input(case), case.avg_options

    y = ref.avg_pool2d(x, case.kernel, **options)

    assert y.shape == case.y_shape
    if not case.count_include_pad:
        for i, j, pixels in windows(case, (1, 1)):
            assert np.allclose(y[:, i, j], x[:, *pixels].mean(axis=(1, 2)), rtol=1e-14, atol=0)
    gradcheck(
        lambda x: ref.avg_pool2d(x, case.kernel, **options),
        x,
        lambda dy, x: ref.avg_pool2d_backward(dy, x.shape, case.kernel, **options),
        samples=100,
    )


def test_avg_pool2d_divisors():
    """Padding counts when asked for, and what a rounded-up window adds beyond it never does."""
    x = np.ones((1, 4, 4, 1))
    options = {"stride": 3, "padding": 1, "ceil_mode": True}

    counted = ref.avg_pool2d(x, 3, **options)[0, :, :, 0]
    excluded = ref.avg_pool2d(x, 3, count_include_pad=False, **options)[0, :, :, 0]
    beyond = ref.avg_pool2d(np.ones((1, 5, 5, 1)), 3, stride=3, ceil_mode=True)[0, :, :, 0]

    assert np.allclose(counted, [[4 / 9, 4 / 9], [4 / 9, 4 / 9]])
    assert np.array_equal(excluded, np.ones((2, 2)))
    assert np.array_equal(beyond, np.ones((2, 2)))


def test_ceil_mode_drops_a_window_that_starts_outside():
    """Rounding up adds a window only when it starts in the image or in the padding before it."""
    x = np.arange(16.0).reshape(1, 4, 4, 1)

    assert ref.max_pool2d(x, 1, stride=3, ceil_mode=True).ravel().tolist() == [0, 3, 12, 15]
    assert ref.max_pool2d(x[:, :3, :3], 1, stride=3, ceil_mode=True).ravel().tolist() == [0]
    padded = ref.max_pool2d(x[:, :3, :3], 2, padding=1, ceil_mode=True)
    assert padded.ravel().tolist() == [0, 2, 8, 10]
    assert ref.max_pool2d(x[:, :3, :3], 2, ceil_mode=True).ravel().tolist() == [5, 6, 9, 10]


def test_max_pool2d_ties_go_to_the_first():
    """Among equal values, -inf included, the first in row-major order gets the gradient."""
    for value in (0.0, -np.inf):
        x = np.full((1, 2, 2, 1), value)

        dx = ref.max_pool2d_backward(np.full((1, 1, 1, 1), 7.0), x, 2)

        assert dx.ravel().tolist() == [7, 0, 0, 0]


def test_max_pool2d_padding_never_wins():
    """A corner pixel of -inf wins over the padding around it."""
    x = np.full((1, 1, 1, 1), -np.inf)

    y = ref.max_pool2d(x, 3, stride=1, padding=1)
    dx = ref.max_pool2d_backward(np.ones((1, 1, 1, 1)), x, 3, stride=1, padding=1)

    assert (y.item(), dx.item()) == (-np.inf, 1)


def test_max_pool2d_nan_wins():
    """A NaN is the maximum of its window and gets the gradient, the first NaN if there are two."""
    x = np.array([1.0, np.nan, np.nan, np.inf]).reshape(1, 2, 2, 1)

    assert np.isnan(ref.max_pool2d(x, 2)).all()
    assert ref.max_pool2d_backward(np.ones((1, 1, 1, 1)), x, 2).ravel().tolist() == [0, 1, 0, 0]


def test_pool_refuses_padding_beyond_half_the_kernel():
    """Padding of more than half the kernel would leave windows without a pixel."""
    for pool in (ref.max_pool2d, ref.avg_pool2d):
        with pytest.raises(ValueError, match="at most half of the kernel, got 2"):
            pool(np.ones((1, 4, 4, 1)), 3, padding=2)


def test_global_avg_pool2d():
    """The mean over the image, and its gradient by finite differences."""
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4))

    assert np.allclose(ref.global_avg_pool2d(x)[1, 2], x[1, :, :, 2].sum() / 15, rtol=1e-14)
    gradcheck(ref.global_avg_pool2d, x, lambda dy, x: ref.global_avg_pool2d_backward(dy, x.shape))
