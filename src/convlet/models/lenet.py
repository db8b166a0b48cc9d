"""LeNet in today's form, for the images of the MNIST family."""

from __future__ import annotations

import numpy as np

from ..layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential


def lenet(classes: int = 10, *, rng: np.random.Generator | int | None = None) -> Sequential:
    """Build two convolutions and two linear layers for images (N, 28, 28, 1); 454,922 parameters.

        Conv 1-32 5x5, ReLU, MaxPool 2, Conv 32-64 5x5, ReLU, MaxPool 2, Linear 3136-128, ReLU,
        Linear 128-10

    Parameters
    ----------
    classes : int, default 10
    rng : numpy Generator or seed that the parameters are drawn from, or None for fresh entropy

    Returns
    -------
    model : Sequential, x (N, 28, 28, 1) -> logits (N, classes)

    Raises
    ------
    TypeError, ValueError : classes is not an integer of at least 1.

    References
    ----------
    After LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document
    recognition; with ReLU, max pooling, padding and more channels.

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import models
    >>> models.lenet(rng=0)(np.zeros((2, 28, 28, 1), np.float32)).shape
    (2, 10)
    """
    return Sequential(
        Conv2d(1, 32, 5, padding="same"),
        ReLU(),
        MaxPool2d(2),
        Conv2d(32, 64, 5, padding="same"),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(64 * 7 * 7, 128),
        ReLU(),
        Linear(128, classes),
        rng=rng,
    )
