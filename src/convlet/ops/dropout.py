"""Dropout, as a function of a seed and a counter."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._checks import array
from .._core import empty
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from .._types import Array


def dropout(
    x: Array,
    p: float,
    *,
    seed: SupportsIndex,
    counter: SupportsIndex = 0,
    per_channel: bool = False,
) -> np.ndarray:
    """Set each value to 0 with probability p, and scale the others by 1/(1 - p).

        y[i] = x[i] / (1 - p) where word(seed, counter, i) ≥ 2³²·p, else 0

    word is Philox4x32-10, a counter-based generator: the mask is a function of seed, counter and
    the index of the element, the same on every machine and for any number of threads, so that it
    need not be stored. 2³²·p is rounded to an integer.

    Parameters
    ----------
    x : ndarray (N, ...)
    p : float from 0 to 1: the probability that a value is dropped
    seed, counter : int from 0 to 2**64 - 1: these select the mask
    per_channel : bool, default False; drop whole channels (the last axis) of a sample (the first)

    Returns
    -------
    y : ndarray like x; a dropped value is 0 even where x is NaN or infinite

    Raises
    ------
    TypeError : x is not float32 or float64, or p, seed or counter is of the wrong type.
    ValueError : p is not from 0 to 1, or seed or counter out of range.

    References
    ----------
    Srivastava et al. 2014, JMLR 15; Tompson et al. 2015, arXiv:1411.4280 (channels);
    Salmon et al. 2011, doi:10.1145/2063384.2063405 (Philox)

    Examples
    --------
    >>> import numpy as np
    >>> dropout(np.ones(8, np.float32), 0.5, seed=1)
    array([2., 2., 2., 2., 2., 2., 0., 2.], dtype=float32)
    """
    return _dropped(x, p, seed, counter, per_channel, "dropout", "x")


def dropout_backward(
    dy: Array,
    p: float,
    *,
    seed: SupportsIndex,
    counter: SupportsIndex = 0,
    per_channel: bool = False,
) -> np.ndarray:
    """Gradient of Σ dy·dropout(x): the same mask, recomputed, and the same scale.

        dx[i] = dy[i] / (1 - p) where word(seed, counter, i) ≥ 2³²·p, else 0

    Parameters
    ----------
    dy : ndarray like x
    p, seed, counter, per_channel : as in `dropout`

    Returns
    -------
    dx : ndarray like dy

    Raises
    ------
    TypeError, ValueError : as in `dropout`.

    Examples
    --------
    >>> import numpy as np
    >>> dropout_backward(np.ones(8, np.float32), 0.5, seed=1)
    array([2., 2., 2., 2., 2., 2., 0., 2.], dtype=float32)
    """
    return _dropped(dy, p, seed, counter, per_channel, "dropout_backward", "dy")


def _dropped(x, p, seed, counter, per_channel, where, name):
    x = array(x, f"{where}: {name}")
    p = probability(p, f"{where}: p")
    seed, counter = word(seed, f"{where}: seed"), word(counter, f"{where}: counter")
    _checks.at_least_one_axis(x, f"{where}: {name}")
    y = empty(x.shape, x.dtype.char)
    _core.dropout(y, x, p, seed, counter, bool(per_channel), get_num_threads())
    return y


def probability(value, name):
    """Return a float from 0 to 1."""
    value = _checks.number(value, name)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability from 0 to 1, got {value}")
    return value


def word(value, name):
    """Return an integer from 0 to 2**64 - 1."""
    value = _checks.integer(value, name)
    if not 0 <= value < 2**64:
        raise ValueError(f"{name} must be from 0 to 2**64 - 1, got {value}")
    return value
