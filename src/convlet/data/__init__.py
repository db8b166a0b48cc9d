"""Real data to train on, read from files that travel inside the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .idx import read_idx as read_idx

_HERE = Path(__file__).parent

__all__ = ["digits", "iterate", "read_idx"]


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


def iterate(
    x: np.ndarray, y: np.ndarray, batch_size: int, rng: np.random.Generator | int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Go once through a data set in shuffled batches.

    The order is drawn when the first batch is asked for. Every example comes exactly once; the
    last batch holds what is left and may be smaller.

    Parameters
    ----------
    x : ndarray (n, ...)
    y : ndarray (n, ...)
    batch_size : int, at least 1
    rng : numpy Generator, seed, or None for fresh entropy

    Yields
    ------
    (x, y) of at most batch_size examples, copies of the rows drawn

    Raises
    ------
    ValueError : x and y differ in length, or batch_size is below 1; the message names the values.
    """
    if len(x) != len(y):
        raise ValueError(f"iterate: expected as many labels as examples, {len(x)}, got {len(y)}")
    if batch_size < 1:
        raise ValueError(f"iterate: expected a batch_size of at least 1, got {batch_size}")
    return _batches(x, y, batch_size, np.random.default_rng(rng))


def _batches(x, y, batch_size, rng):
    order = rng.permutation(len(x))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]
