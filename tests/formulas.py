"""What the tests of the formulas share."""

import numpy as np

# A float64 formula written in two orders differs by a few hundred roundings of 1.1e-16 at most.
ROUNDING = 1e-12

# Five-point differences at a step of 1e-3 leave h^4 f'''''/30, about 1e-13 times a fifth derivative
# that stays below 1e3 for the functions here, and a rounding of 1e-16/h = 1e-13 times their size.
DIFFERENCES = 1e-9


def assert_close(actual, expected, tolerance):
    """Compare shapes, and every entry to within tolerance times the largest expected one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def numerical_gradient(f, x, h=1e-3):
    """Differentiate the number f(x) by every entry of x, by five-point central differences."""
    gradient = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        values = []
        for steps in (-2, -1, 1, 2):
            moved = x.copy()
            moved[index] += steps * h
            values.append(f(moved))
        gradient[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    return gradient
