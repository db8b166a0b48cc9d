"""Data to train on: digits that come with the package, readers of original files, and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .augment import random_crop as random_crop
from .augment import random_flip as random_flip
from .augment import random_shift as random_shift
from .batches import Batches as Batches
from .cifar import cifar10 as cifar10
from .cifar import cifar100 as cifar100
from .idx import read_idx as read_idx
from .mnist import fashion_mnist as fashion_mnist
from .mnist import mnist as mnist

_HERE = Path(__file__).parent

__all__ = [
    "Batches",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "mnist",
    "random_crop",
    "random_flip",
    "random_shift",
    "read_idx",
]


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Load the UCI optical handwritten digits: 1,797 grey images of 8x8 pixels, ten classes.

    Image i of the file is in the test set when i % 5 == 0. The data set is by E. Alpaydin and
    C. Kaynak (https://doi.org/10.24432/C50P49), CC BY 4.0; see LICENSE-digits.txt beside the files.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : x ndarray (n, 8, 8, 1), float32, in [0, 1] (the pixel
        over 16); y ndarray (n,), int64, in 0 to 9; n is 1437 in training and 360 in test. The
        arrays are new at every call.

    Examples
    --------
    >>> from convlet import data
    >>> (x_train, y_train), (x_test, y_test) = data.digits()
    >>> x_train.shape, y_test.shape
    ((1437, 8, 8, 1), (360,))
    """
    images = read_idx(_HERE / "digits-images.idx3-ubyte")
    x = images[..., np.newaxis].astype(np.float32) / np.float32(16)
    y = read_idx(_HERE / "digits-labels.idx1-ubyte").astype(np.int64)
    test = np.arange(len(x)) % 5 == 0
    return (x[~test], y[~test]), (x[test], y[test])
