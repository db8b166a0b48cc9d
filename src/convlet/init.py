"""Initial values of parameters: functions of a shape and a generator."""

from __future__ import annotations

import math

import numpy as np


def generator(rng):
    """Return a numpy Generator from one or a seed, and None from None."""
    return None if rng is None else np.random.default_rng(rng)


def he_normal(shape, *, rng=None, dtype=np.float32):
    """Draw weights from N(0, 2/fan_in), which keeps the scale of a signal through ReLU layers.

    Parameters
    ----------
    shape : tuple, (KH, KW, C/groups, OC) or (in, out): fan_in is the product of all but the last
    rng : numpy Generator or seed, or None for fresh entropy
    dtype : float32 or float64; the numbers are drawn in double and rounded once

    Returns
    -------
    value : ndarray of that shape

    References
    ----------
    He, Zhang, Ren & Sun 2015, arXiv:1502.01852, equation 10

    Examples
    --------
    >>> he_normal((3, 3, 16, 32), rng=0).std().round(2)  # sqrt(2 / 144) = 0.118
    np.float32(0.12)
    """
    scale = math.sqrt(2 / math.prod(shape[:-1]))
    return (np.random.default_rng(rng).standard_normal(shape) * scale).astype(dtype)


def zeros(shape, *, rng=None, dtype=np.float32):
    """Return zeros, the start of a bias and of the shift of a norm; rng is not used."""
    return np.zeros(shape, dtype)


def ones(shape, *, rng=None, dtype=np.float32):
    """Return ones, the start of the scale of a norm; rng is not used."""
    return np.ones(shape, dtype)
