"""Addition of arrays, element by element."""

from __future__ import annotations

from .. import _checks, _core
from .._checks import array, array_like
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np

    from .._types import Array


def add(a: Array, b: Array) -> np.ndarray:
    """Add two arrays of one shape: y = a + b. The gradient of either is dy.

    Parameters
    ----------
    a : ndarray
    b : ndarray of the shape and dtype of a

    Returns
    -------
    y : ndarray of that shape

    Raises
    ------
    TypeError : an array is not float32 or float64, or dtypes differ.
    ValueError : shapes differ; nothing is broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> add(np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    array([4., 7.])
    """
    y = _core.add(a, b, get_num_threads)
    if y is None:
        a = array(a, "add: a")
        b = array_like(b, "add: b", a, "a")
        _checks.shape(b, a.shape, "add: b", "(that of a)")
        _checks.at_least_one_axis(a, "add: a")
        y = _core.add(a, b, get_num_threads)
    return y
