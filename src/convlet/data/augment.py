"""Data augmentation: random flips, shifts and crops of images."""

from __future__ import annotations

import numpy as np

from .. import _checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Array, Pair, Rng


def random_flip(x: Array, *, rng: Rng = None) -> np.ndarray:
    """Flip each image, left to right, with probability 1/2.

    Parameters
    ----------
    x : array (N, H, W, C), of any dtype
    rng : numpy Generator, whose state advances from call to call, or seed, or None for fresh
        entropy

    Returns
    -------
    y : ndarray like x

    Raises
    ------
    TypeError, ValueError : x is not an array of four axes.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(2, 1, 3, 1)
    >>> random_flip(x, rng=1)[:, 0, :, 0]
    array([[2., 1., 0.],
           [5., 4., 3.]])
    """
    x = _images(x, "random_flip")
    chosen = np.random.default_rng(rng).random(len(x)) >= 0.5
    y = x.copy()
    y[chosen] = x[chosen, :, ::-1]
    return y


def random_shift(x: Array, pixels: SupportsIndex, *, rng: Rng = None) -> np.ndarray:
    """Shift each image by up to `pixels` pixels in either direction on both axes, padding by zeros.

    This is zero padding followed by a random crop. For other padding, use `convlet.pad2d` and then
    `random_crop`.

    Parameters
    ----------
    x : array (N, H, W, C), of any dtype
    pixels : int, at least 0: the largest shift
    rng : as in `random_flip`

    Returns
    -------
    y : ndarray like x

    Raises
    ------
    TypeError, ValueError : x is not an array of four axes, or pixels not an integer of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(1.0, 7).reshape(2, 1, 3, 1)
    >>> random_shift(np.tile(x, (1, 3, 1, 1)), 1, rng=0)[:, 1, :, 0]
    array([[1., 2., 3.],
           [0., 4., 5.]])
    """
    x = _images(x, "random_shift")
    pixels = _checks.size(pixels, "random_shift: pixels", 0)
    padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    return random_crop(padded, x.shape[1:3], rng=rng)


def random_crop(x: Array, size: Pair, *, rng: Rng = None) -> np.ndarray:
    """Crop each image to a window at a random place of its own.

    Parameters
    ----------
    x : array (N, H, W, C), of any dtype
    size : int or pair: height and width of the window, at most those of x
    rng : as in `random_flip`

    Returns
    -------
    y : ndarray (N, *size, C)

    Raises
    ------
    TypeError, ValueError : x is not an array of four axes, or the window does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> random_crop(np.arange(9.0).reshape(1, 3, 3, 1), 2, rng=0)[0, :, :, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    x = _images(x, "random_crop")
    size = _checks.pair(size, "random_crop: size")
    if size[0] > x.shape[1] or size[1] > x.shape[2]:
        raise ValueError(
            f"random_crop: expected a size of at most {x.shape[1:3]}, as images of shape {x.shape} "
            f"have, got {size}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    rng = np.random.default_rng(rng)
    rows, columns = (rng.integers(n, size=len(x)) for n in windows.shape[1:3])
    return np.ascontiguousarray(windows[np.arange(len(x)), rows, columns].transpose(0, 2, 3, 1))


def _images(x, where):
    x = _checks.as_ndarray(x, f"{where}: x")
    if x.ndim != 4:
        _checks.wrong_rank(x.shape, 4, f"{where}: x", "(N, H, W, C)")
    return x
