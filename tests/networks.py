"""Networks and images that several tests of layers use."""

import numpy as np

import convlet as cl
from convlet import _core


def images(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def digits_like(rng=0):
    return cl.Sequential(
        cl.Conv2d(1, 3, 3, use_bias=False),
        cl.BatchNorm(3),
        cl.Residual(
            cl.Sequential(cl.Conv2d(3, 3, 1), cl.ReLU()), cl.Sequential(cl.Conv2d(3, 3, 1))
        ),
        cl.Flatten(),
        cl.Linear(12, 2),
        rng=rng,
    )


def assert_allocates_nothing_later(call):
    """From the third call on, for the second may still hold the result of the first."""
    for _ in range(2):
        call()
    misses = _core.cache_info()["misses"]
    for _ in range(10):
        call()

    assert misses == _core.cache_info()["misses"]
