"""Convolution of sequences, as images of one row."""

from __future__ import annotations

from .. import _checks
from .._checks import array, array_like
from .conv import conv2d, conv2d_backward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    import numpy as np

    from .._types import Activation, Algorithm, Array, Gradient, SequencePadding


_X_AXES = "(N, L, C)"
_W_AXES = "(K, C/groups, OC)"


def conv1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: SupportsIndex = 1,
    padding: SequencePadding = 0,
    dilation: SupportsIndex = 1,
    groups: SupportsIndex = 1,
    activation: Activation = None,
    algorithm: Algorithm = "auto",
) -> np.ndarray:
    """Cross-correlate a batch of sequences with a bank of filters.

        y[n,i,o] = act(b[o] + Σ_{u,c} x[n, i·stride-begin+u·dilation, c] · w[u,c,o])

    Parameters
    ----------
    x : ndarray (N, L, C)
    w : ndarray (K, C/groups, OC), of the dtype of x
    b : ndarray (OC,), or None
    stride, dilation : int
    padding : int, (begin, end), "valid", "same" or "same_lower"
    groups, activation, algorithm : as in `conv2d`

    Returns
    -------
    y : ndarray (N, OL, OC), OL = floor((L + begin + end - dilation·(K - 1) - 1) / stride) + 1

    Raises
    ------
    TypeError, ValueError : as in `conv2d`, which is called with sequences as images of one row.

    Examples
    --------
    >>> import numpy as np
    >>> conv1d(np.arange(5.0).reshape(1, 5, 1), np.ones((3, 1, 1)), padding="same").ravel()
    array([1., 3., 6., 9., 7.])
    """
    x, w = _sequences(x, w, "conv1d")
    y = conv2d(
        x[:, None],
        w[None],
        b,
        activation=activation,
        algorithm=algorithm,
        **_rows(stride, padding, dilation, groups, "conv1d"),
    )
    return y.reshape(y.shape[0], *y.shape[2:])


def conv1d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: SupportsIndex = 1,
    padding: SequencePadding = 0,
    dilation: SupportsIndex = 1,
    groups: SupportsIndex = 1,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: Algorithm = "auto",
) -> tuple[Gradient, Gradient, Gradient]:
    """Gradients of Σ dy·conv1d(x, w, b).

        dx[n,p,c] = Σ dy[n,i,o] · w[u,c,o]  over all i·stride-begin+u·dilation = p
        dw[u,c,o] = Σ_{n,i} dy[n,i,o] · x[n, i·stride-begin+u·dilation, c]
        db[o]     = Σ_{n,i} dy[n,i,o]

    Parameters
    ----------
    dy : ndarray (N, OL, OC), the gradient before any activation
    x, w, stride, padding, dilation, groups, algorithm : as in `conv1d`
    needs : three bools, which of dx, dw and db to compute

    Returns
    -------
    dx, dw, db : ndarrays like x, w and (OC,), None where not needed

    Raises
    ------
    TypeError, ValueError : as in `conv1d`; dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1))
    >>> [g.ravel() for g in conv1d_backward(np.ones((1, 3, 1)), x, w)]
    [array([1., 2., 2., 1.]), array([3., 6.]), array([3.])]
    """
    where = "conv1d_backward"
    x, w = _sequences(x, w, where)
    dy = array_like(dy, f"{where}: dy", x, "x")
    if dy.ndim != 3:
        _checks.wrong_rank(dy.shape, 3, f"{where}: dy", "(N, OL, OC)")
    dx, dw, db = conv2d_backward(
        dy[:, None],
        x[:, None],
        w[None],
        needs=_checks.needs(needs, where),
        algorithm=algorithm,
        **_rows(stride, padding, dilation, groups, where),
    )
    dx = None if dx is None else dx.reshape(x.shape)
    return dx, None if dw is None else dw.reshape(w.shape), db


def _sequences(x, w, where):
    x = array(x, f"{where}: x")
    w = array_like(w, f"{where}: w", x, "x")
    if x.ndim != 3:
        _checks.wrong_rank(x.shape, 3, f"{where}: x", _X_AXES)
    if w.ndim != 3:
        _checks.wrong_rank(w.shape, 3, f"{where}: w", _W_AXES)
    return x, w


def _rows(stride, padding, dilation, groups, where):
    """The options of conv2d for images of one row."""
    return {
        "stride": (1, _checks.size(stride, f"{where}: stride")),
        "padding": sequence_padding(padding, f"{where}: padding"),
        "dilation": (1, _checks.size(dilation, f"{where}: dilation")),
        "groups": groups,
    }


def sequence_padding(value, name):
    """Return the padding of a sequence as that of an image of one row."""
    if isinstance(value, str):
        return _checks.padding_form(value, name)
    return (0, 0), _checks.pair(value, name, 0)
