"""Networks and images that several tests of layers use."""

import numpy as np

import convlet as cl


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
