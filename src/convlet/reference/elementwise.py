"""Sums of arrays."""


def add(a, b):
    """y = a + b, arrays of one shape; the gradient of either is dy."""
    return a + b
