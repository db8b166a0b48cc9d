"""The network of `convlet train digits`."""

from __future__ import annotations

import numpy as np

from ..layers import BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential


def digits(rng: np.random.Generator | int | None = None) -> Sequential:
    """Build the network of `convlet train digits`, for images (N, 8, 8, 1) of ten classes.

        Conv 1-16 3x3, BatchNorm, ReLU, Conv 16-32 3x3, BatchNorm, ReLU, MaxPool 2, Linear 512-10

    Parameters
    ----------
    rng : numpy Generator or seed that the parameters are drawn from, or None for fresh entropy

    Returns
    -------
    model : Sequential, x (N, 8, 8, 1) -> logits (N, 10)

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import models
    >>> models.digits(rng=0)(np.zeros((2, 8, 8, 1), np.float32)).shape
    (2, 10)
    """
    return Sequential(
        Conv2d(1, 16, 3, padding="same", use_bias=False),
        BatchNorm(16),
        ReLU(),
        Conv2d(16, 32, 3, padding="same", use_bias=False),
        BatchNorm(32),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(32 * 4 * 4, 10),
        rng=rng,
    )
