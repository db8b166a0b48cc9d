"""Batch normalisation: training, inference and the gradients."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from .._types import Array


def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    *,
    eps: float = 1e-5,
    residual: Array | None = None,
    activation: Literal["relu"] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each channel by the statistics of this batch.

        mean = Σ x / M,  var = Σ (x - mean)² / M,  over the M values of a channel
        y = act(γ (x - mean) / √(var + ε) + β + residual)

    Parameters
    ----------
    x : ndarray (..., C), at least two axes and one value per channel
    gamma, beta : ndarrays (C,), of the dtype of x
    eps : float, ε, at least 0
    residual : ndarray of the shape and dtype of x, or None
    activation : None or "relu"

    Returns
    -------
    y : ndarray of the shape of x
    mean, var : ndarrays (C,), of the dtype of x; var is the biased variance

    Raises
    ------
    TypeError : an array is not float32 or float64, dtypes differ, or eps is not a number.
    ValueError : shapes do not match, x has no values, or eps or activation is out of range.

    Notes
    -----
    Moments are computed in one pass, shifted, and merged in double: a mean of 1000 standard
    deviations costs no digits, and a constant channel gives exactly β. Values that are not finite
    propagate.

    References
    ----------
    Ioffe & Szegedy 2015, arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mean, var = batch_norm(x, np.ones(1), np.zeros(1), eps=0.0)
    >>> y.ravel(), mean, var
    (array([-1.,  1.]), array([2.]), array([1.]))
    """
    results = _core.batch_norm(x, gamma, beta, residual, eps, activation, get_num_threads)
    if results is not None:
        return results
    y, mean, var = batch_norm_training(x, gamma, beta, eps, residual, activation)
    if y.dtype == _checks.FLOAT32:
        mean, var = rounded(mean, var)
    return y, mean, var


def batch_norm_training(x, gamma, beta, eps, residual, activation):
    """`batch_norm`, with mean and var in float64."""
    x, channels = channels_last(x, "batch_norm: x")
    gamma = per_channel(gamma, channels, "batch_norm: gamma", x)
    beta = per_channel(beta, channels, "batch_norm: beta", x)
    residual = like_x(residual, "batch_norm: residual", x)
    eps = _checks.not_negative(eps, "batch_norm: eps")
    activation = _checks.activation(activation, "batch_norm: activation")
    if x.size == 0:
        raise ValueError(
            f"batch_norm: x must have at least one value per channel, got shape {x.shape}"
        )
    y = empty(x.shape, x.dtype.char)
    mean, var = empty(channels, "d"), empty(channels, "d")
    _core.batch_norm_forward(
        y, mean, var, x, gamma, beta, residual, eps, activation, get_num_threads()
    )
    return y, mean, var


def batch_norm_inference(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    residual: Array | None = None,
    activation: Literal["relu"] | None = None,
) -> np.ndarray:
    """Normalise each channel by given statistics.

        y = act(γ (x - mean) / √(var + ε) + β + residual)

    Parameters
    ----------
    x, gamma, beta, eps, residual, activation : as in `batch_norm`; x may be empty
    mean, var : ndarrays (C,), float32 or float64

    Returns
    -------
    y : ndarray of the shape of x

    Raises
    ------
    TypeError, ValueError : as in `batch_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> x, mean, var = np.array([[1.0], [3.0]]), np.array([1.0]), np.array([4.0])
    >>> batch_norm_inference(x, np.ones(1), np.zeros(1), mean, var, eps=0.0).ravel()
    array([0., 1.])
    """
    y = _core.batch_norm_by_statistics(
        x, gamma, beta, mean, var, residual, eps, activation, get_num_threads
    )
    if y is not None:
        return y
    x, channels = channels_last(x, "batch_norm_inference: x")
    gamma = per_channel(gamma, channels, "batch_norm_inference: gamma", x)
    beta = per_channel(beta, channels, "batch_norm_inference: beta", x)
    mean = statistic(mean, channels, "batch_norm_inference: mean")
    var = statistic(var, channels, "batch_norm_inference: var")
    residual = like_x(residual, "batch_norm_inference: residual", x)
    eps = _checks.not_negative(eps, "batch_norm_inference: eps")
    activation = _checks.activation(activation, "batch_norm_inference: activation")
    y = empty(x.shape, x.dtype.char)
    _core.batch_norm_inference(
        y, x, gamma, beta, mean, var, residual, eps, activation, get_num_threads()
    )
    return y


def batch_norm_backward(
    dy: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    beta: Array | None = None,
    y: Array | None = None,
    activation: Literal["relu"] | None = None,
    residual: bool = False,
    frozen: bool = False,
) -> tuple[np.ndarray, ...]:
    """Gradients of Σ dy·batch_norm(x, γ, β)[0].

        g = dy where the activation passes it, otherwise 0;  dresidual = g
        x̂ = (x - mean) / √(var + ε);  dβ = Σ g;  dγ = Σ g x̂
        dx = γ / √(var + ε) · (g - dβ/M - x̂ dγ/M)

    Parameters
    ----------
    dy : ndarray of the shape of x
    x, gamma, eps, activation : as in `batch_norm`
    mean, var : ndarrays (C,), float32 or float64, what the forward pass returned or was given
    beta, y : one of them if there is an activation: y as the forward pass returned it, or beta, to
        recompute the mask (faster; not possible with a residual)
    residual : bool, whether a residual was added and its gradient is wanted
    frozen : bool, whether mean and var were given (as in `batch_norm_inference`): then
        dx = γ / √(var + ε) · g

    Returns
    -------
    dx, dgamma, dbeta : ndarrays of the shapes of x, gamma and beta
    dresidual : ndarray of the shape of x, with residual=True only

    Raises
    ------
    TypeError, ValueError : as in `batch_norm`; an activation has neither beta nor y.

    Examples
    --------
    >>> import numpy as np
    >>> x, dy = np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]])
    >>> y, mean, var = batch_norm(x, np.ones(1), np.zeros(1), eps=0.0)
    >>> dx, dgamma, dbeta = batch_norm_backward(dy, x, np.ones(1), mean, var, eps=0.0)
    >>> dx.ravel(), dgamma, dbeta  # two values are -1 and 1 whatever they were
    (array([0., 0.]), array([1.]), array([3.]))
    """
    results = _core.batch_norm_gradients(
        dy, x, gamma, mean, var, eps, beta, y, activation, residual, frozen, get_num_threads
    )
    if results is not None:
        return results
    return batch_norm_gradients(
        dy, x, gamma, mean, var, eps, beta, y, activation, residual, frozen, needs_dx=True
    )


def batch_norm_gradients(
    dy, x, gamma, mean, var, eps, beta, y, activation, residual, frozen, needs_dx
):
    """`batch_norm_backward`, with dx None if it is not needed."""
    x, channels = channels_last(x, "batch_norm_backward: x")
    dy = like_x(dy, "batch_norm_backward: dy", x, required=True)
    gamma = per_channel(gamma, channels, "batch_norm_backward: gamma", x)
    if beta is not None:
        beta = per_channel(beta, channels, "batch_norm_backward: beta", x)
    y = like_x(y, "batch_norm_backward: y", x)
    mean = statistic(mean, channels, "batch_norm_backward: mean")
    var = statistic(var, channels, "batch_norm_backward: var")
    eps = _checks.not_negative(eps, "batch_norm_backward: eps")
    activation = _checks.activation(activation, "batch_norm_backward: activation")
    if activation and y is None and (residual or beta is None):
        needed = "y" if residual else "beta or y"
        raise ValueError(f"batch_norm_backward: the gradient through an activation needs {needed}")
    code = x.dtype.char
    dx = empty(x.shape, code) if needs_dx else None
    dgamma, dbeta = empty(channels, code), empty(channels, code)
    dresidual = empty(x.shape, code) if residual else None
    _core.batch_norm_backward(
        dx,
        dgamma,
        dbeta,
        dresidual,
        dy,
        x,
        y,
        gamma,
        beta,
        mean,
        var,
        eps,
        activation,
        bool(frozen),
        get_num_threads(),
    )
    return (dx, dgamma, dbeta, dresidual) if residual else (dx, dgamma, dbeta)


def channels_last(x, name):
    """Return x as an array, and the shape (C,)."""
    x = array(x, name)
    if x.ndim < 2 or x.shape[-1] < 1:
        raise ValueError(
            f"{name} must be (N, ..., C) with at least one channel, got shape {x.shape}"
        )
    return x, x.shape[-1:]


def per_channel(value, channels, name, x):
    """Return an array of the dtype of x and the shape (C,)."""
    value = array_like(value, name, x, "x")
    if value.shape != channels:
        hint = "(the channels of x, its last axis"
        if x.ndim == 4 and value.shape == x.shape[1:2]:
            hint += "; x looks like (N,C,H,W): use x.transpose(0,2,3,1)"
        _checks.shape(value, channels, name, f"{hint})")
    return value


def statistic(value, channels, name):
    """Return a mean or variance in float64, of the shape (C,)."""
    value = _checks.float64(value, name)
    if value.shape != channels:
        _checks.shape(value, channels, name, "(the channels of x, its last axis)")
    return value


def like_x(value, name, x, required=False):
    """Return an array of the dtype and shape of x; None if there is none and none is required."""
    if value is None and not required:
        return None
    value = array_like(value, name, x, "x")
    if value.shape != x.shape:
        _checks.shape(value, x.shape, name, "(that of x)")
    return value


def rounded(mean, var):
    """Return float64 statistics as float32; too large a value becomes infinite."""
    with np.errstate(over="ignore"):
        return mean.astype(np.float32), var.astype(np.float32)
