"""Normalisation of each sample by itself: group norm, instance norm and layer norm."""

from __future__ import annotations

import math

import numpy as np

from .. import _checks, _core
from .._checks import array, array_like
from .._core import empty
from ..threads import get_num_threads
from .batch_norm import channels_last, like_x, per_channel, rounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsIndex

    from .._types import Array


def group_norm(
    x: Array, gamma: Array, beta: Array, *, groups: SupportsIndex, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each group of channels of each sample by its own statistics.

        mean[n, g] = Σ x / M,  var[n, g] = Σ (x - mean)² / M,  over the M values of sample n whose
        channel is in group g: C/groups neighbouring channels, all pixels
        y = γ (x - mean) / √(var + ε) + β

    Parameters
    ----------
    x : ndarray (N, ..., C)
    gamma, beta : ndarrays (C,), of the dtype of x, or None for 1 and 0
    groups : int, divides C
    eps : float, ε, at least 0

    Returns
    -------
    y : ndarray of the shape of x
    mean, var : ndarrays (N, groups), of the dtype of x; var is the biased variance

    Raises
    ------
    TypeError : an array is not float32 or float64, dtypes differ, or groups or eps is not a number.
    ValueError : shapes do not match, a sample has no values, groups do not divide C, or eps is out
        of range.

    Notes
    -----
    Moments are those of `batch_norm`, per channel of a sample, merged into groups in double: a mean
    of 1000 standard deviations costs no digits, and a constant group gives exactly β. Values that
    are not finite propagate within their group. Groups are those of PyTorch, where channels come
    first.

    References
    ----------
    Wu & He 2018, arXiv:1803.08494

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 3.0, 10.0, 10.0]])
    >>> y, mean, var = group_norm(x, None, None, groups=2, eps=0.0)
    >>> mean, var
    (array([[ 2., 10.]]), array([[1., 0.]]))
    """
    results = _core.group_norm(x, gamma, beta, groups, eps, get_num_threads)
    if results is not None:
        return results
    y, mean, var = group_norm_training(x, gamma, beta, groups, eps)
    return y, *_of_dtype(y, mean, var)


def group_norm_training(x, gamma, beta, groups, eps, where="group_norm"):
    """`group_norm`, with mean and var in float64."""
    x, channels = channels_last(x, f"{where}: x")
    groups = _checks.size(groups, f"{where}: groups")
    if channels[0] % groups:
        raise ValueError(f"{where}: groups must divide the {channels[0]} channels, got {groups}")
    if gamma is not None:
        gamma = per_channel(gamma, channels, f"{where}: gamma", x)
    if beta is not None:
        beta = per_channel(beta, channels, f"{where}: beta", x)
    return _normalise(x, gamma, beta, _matrices(x, where), groups, eps, where)


def group_norm_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of Σ dy·group_norm(x, γ, β)[0]; mean and var say how many groups there are.

        x̂ = (x - mean) / √(var + ε);  dβ = Σ dy;  dγ = Σ dy x̂  over all but channels
        dx = (γ dy - Σ γ dy / M - x̂ Σ γ dy x̂ / M) / √(var + ε),  sums over a sample's group

    Parameters
    ----------
    dy : ndarray of the shape of x
    x, gamma, eps : as in `group_norm`
    mean, var : ndarrays (N, groups), float32 or float64, what the forward pass returned

    Returns
    -------
    dx : ndarray of the shape of x
    dgamma, dbeta : ndarrays (C,), also where gamma is None

    Raises
    ------
    TypeError, ValueError : as in `group_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 3.0, 10.0, 10.0]])
    >>> y, mean, var = group_norm(x, None, None, groups=2)
    >>> group_norm_backward(np.ones((1, 4)), x, None, mean, var)[2]
    array([1., 1., 1., 1.])
    """
    groups = mean.shape[1] if type(mean) is np.ndarray and mean.ndim == 2 else None
    gradients = _core.group_norm_gradients(dy, x, gamma, mean, var, groups, eps, get_num_threads)
    if gradients is not None:
        return gradients
    return group_norm_gradients(dy, x, gamma, mean, var, eps, needs_dx=True)


def group_norm_gradients(
    dy, x, gamma, mean, var, eps, needs_dx, groups=None, where="group_norm_backward"
):
    """`group_norm_backward`, with dx None if it is not needed."""
    x, channels = channels_last(x, f"{where}: x")
    if gamma is not None:
        gamma = per_channel(gamma, channels, f"{where}: gamma", x)
    mean, var = (_checks.float64(a, f"{where}: {n}") for a, n in ((mean, "mean"), (var, "var")))
    if groups is None:
        groups = mean.shape[1] if mean.ndim == 2 else 0
        if groups < 1 or channels[0] % groups:
            raise ValueError(
                f"{where}: mean must have shape (N, groups) with groups that divide the "
                f"{channels[0]} channels of x, got {mean.shape}"
            )
    statistics = (x.shape[0], groups)
    _checks.shape(mean, statistics, f"{where}: mean", "(samples and groups)")
    _checks.shape(var, statistics, f"{where}: var", "(samples and groups)")
    return _gradients(dy, x, gamma, mean, var, _matrices(x, where), eps, needs_dx, where)


def instance_norm(
    x: Array, gamma: Array = None, beta: Array = None, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each channel of each sample by its own statistics: `group_norm` of C groups.

        mean[n, c] = Σ x / M,  var[n, c] = Σ (x - mean)² / M,  over the M pixels of sample n
        y = γ (x - mean) / √(var + ε) + β

    Parameters
    ----------
    x : ndarray (N, ..., C)
    gamma, beta : ndarrays (C,), of the dtype of x, or None for 1 and 0
    eps : float, ε, at least 0

    Returns
    -------
    y : ndarray of the shape of x
    mean, var : ndarrays (N, C), of the dtype of x; var is the biased variance

    Raises
    ------
    TypeError, ValueError : as in `group_norm`.

    References
    ----------
    Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 5.0], [3.0, 5.0]]])
    >>> instance_norm(x, eps=0.25)[1]
    array([[2., 5.]])
    """
    x, channels = channels_last(x, "instance_norm: x")
    results = _core.group_norm(x, gamma, beta, channels[0], eps, get_num_threads)
    if results is not None:
        return results
    y, mean, var = group_norm_training(x, gamma, beta, channels[0], eps, "instance_norm")
    return y, *_of_dtype(y, mean, var)


def instance_norm_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of Σ dy·instance_norm(x, γ, β)[0]; see `group_norm_backward`.

    Parameters
    ----------
    dy : ndarray of the shape of x
    x, gamma, eps : as in `instance_norm`
    mean, var : ndarrays (N, C), float32 or float64, what the forward pass returned

    Returns
    -------
    dx : ndarray of the shape of x
    dgamma, dbeta : ndarrays (C,), also where gamma is None

    Raises
    ------
    TypeError, ValueError : as in `instance_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 5.0], [3.0, 5.0]]])
    >>> y, mean, var = instance_norm(x)
    >>> instance_norm_backward(np.ones((1, 2, 2)), x, None, mean, var)[2]
    array([2., 2.])
    """
    x, channels = channels_last(x, "instance_norm_backward: x")
    gradients = _core.group_norm_gradients(
        dy, x, gamma, mean, var, channels[0], eps, get_num_threads
    )
    if gradients is not None:
        return gradients
    return group_norm_gradients(
        dy, x, gamma, mean, var, eps, True, channels[0], "instance_norm_backward"
    )


def layer_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    *,
    normalized_shape: SupportsIndex | Sequence[SupportsIndex] | None = None,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise over the trailing axes, for each index of the leading ones.

        mean[n] = Σ x[n] / D,  var[n] = Σ (x[n] - mean[n])² / D,  over the D values of
        normalized_shape
        y = γ (x - mean) / √(var + ε) + β

    Parameters
    ----------
    x : ndarray (..., *normalized_shape)
    gamma, beta : ndarrays of normalized_shape, of the dtype of x, or None for 1 and 0
    normalized_shape : int or tuple: C normalises the channels of each pixel, (H, W, C) whole
        images. None is the shape of gamma, or of beta, or the last axis
    eps : float, ε, at least 0

    Returns
    -------
    y : ndarray of the shape of x
    mean, var : ndarrays of the leading axes of x, of the dtype of x; var is the biased variance

    Raises
    ------
    TypeError : an array is not float32 or float64, dtypes differ, or eps is not a number.
    ValueError : shapes do not match, or eps is out of range.

    References
    ----------
    Ba, Kiros & Hinton 2016, arXiv:1607.06450

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 3.0], [5.0, 5.0]])
    >>> layer_norm(x, None, np.array([7.0, 8.0]), eps=0.25)[1]
    array([2., 5.])
    """
    if normalized_shape is None:
        results = _core.layer_norm(x, gamma, beta, eps, get_num_threads)
        if results is not None:
            return results
    y, mean, var = layer_norm_training(x, gamma, beta, normalized_shape, eps)
    return y, *_of_dtype(y, mean, var)


def layer_norm_training(x, gamma, beta, normalized_shape, eps):
    """`layer_norm`, with mean and var in float64."""
    x = array(x, "layer_norm: x")
    if normalized_shape is None:
        gamma, beta = (
            None if a is None else _checks.as_ndarray(a, f"layer_norm: {name}")
            for a, name in ((gamma, "gamma"), (beta, "beta"))
        )
        given = [a.shape for a in (gamma, beta) if a is not None]
        normalized_shape = given[0] if given else x.shape[-1:]
    shape = trailing_shape(normalized_shape, "layer_norm: normalized_shape")
    leading = _leading(x, shape, "layer_norm")
    gamma = _trailing(gamma, shape, "layer_norm: gamma", x)
    beta = _trailing(beta, shape, "layer_norm: beta", x)
    matrices = (math.prod(leading), 1, math.prod(shape))
    y, mean, var = _normalise(x, gamma, beta, matrices, 1, eps, "layer_norm")
    return y, mean.reshape(leading), var.reshape(leading)


def layer_norm_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of Σ dy·layer_norm(x, γ, β)[0]; the axes that mean lacks are the normalised ones.

        x̂ = (x - mean) / √(var + ε);  dβ = Σ dy;  dγ = Σ dy x̂  over the leading axes
        dx = (γ dy - Σ γ dy / D - x̂ Σ γ dy x̂ / D) / √(var + ε),  sums over the trailing axes

    Parameters
    ----------
    dy : ndarray of the shape of x
    x, gamma, eps : as in `layer_norm`
    mean, var : ndarrays of the leading axes, float32 or float64, what the forward pass returned

    Returns
    -------
    dx : ndarray of the shape of x
    dgamma, dbeta : ndarrays of the trailing axes, also where gamma is None

    Raises
    ------
    TypeError, ValueError : as in `layer_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 3.0], [5.0, 5.0]])
    >>> y, mean, var = layer_norm(x, None, None)
    >>> layer_norm_backward(np.ones((2, 2)), x, None, mean, var)[2]
    array([2., 2.])
    """
    gradients = _core.layer_norm_gradients(dy, x, gamma, mean, var, eps, get_num_threads)
    if gradients is not None:
        return gradients
    return layer_norm_gradients(dy, x, gamma, mean, var, eps, needs_dx=True)


def layer_norm_gradients(dy, x, gamma, mean, var, eps, needs_dx):
    """`layer_norm_backward`, with dx None if it is not needed."""
    where = "layer_norm_backward"
    x = array(x, f"{where}: x")
    mean, var = (_checks.float64(a, f"{where}: {n}") for a, n in ((mean, "mean"), (var, "var")))
    shape = x.shape[mean.ndim :]
    leading = _leading(x, shape, where)
    _checks.shape(mean, leading, f"{where}: mean", "(the leading axes of x)")
    _checks.shape(var, leading, f"{where}: var", "(the leading axes of x)")
    gamma = _trailing(gamma, shape, f"{where}: gamma", x)
    matrices = (math.prod(leading), 1, math.prod(shape))
    statistics = (matrices[0], 1)
    dx, dgamma, dbeta = _gradients(
        dy,
        x,
        gamma,
        mean.reshape(statistics),
        var.reshape(statistics),
        matrices,
        eps,
        needs_dx,
        where,
    )
    return dx, dgamma.reshape(shape), dbeta.reshape(shape)


def trailing_shape(value, name):
    """Return a shape of at least one axis, all of them 1 or more, from an int or a tuple."""
    if not isinstance(value, (tuple, list)):
        value = (value,)
    if not value:
        raise ValueError(f"{name} must have at least one axis, got {value!r}")
    return tuple(_checks.size(n, name) for n in value)


def _trailing(value, shape, name, x):
    """Return an array of the dtype of x and the shape of its normalised axes, flat; or None."""
    if value is None:
        return None
    value = array_like(value, name, x, "x")
    _checks.shape(value, shape, name, "(the axes of x that are normalised)")
    return value if value.ndim == 1 else value.reshape(-1)


def _leading(x, shape, where):
    """Return the shape of the axes of x before the normalised ones."""
    if not shape or x.ndim < len(shape) or x.shape[x.ndim - len(shape) :] != shape:
        raise ValueError(
            f"{where}: x must end in the axes {shape} that are normalised, got shape {x.shape}"
        )
    if 0 in shape:
        raise ValueError(f"{where}: x must have values to normalise, got shape {x.shape}")
    return x.shape[: x.ndim - len(shape)]


def _matrices(x, where):
    """Return the shape of x as (samples, pixels, channels)."""
    pixels = math.prod(x.shape[1:-1])
    if pixels == 0:
        raise ValueError(f"{where}: x must have at least one value per sample, got shape {x.shape}")
    return x.shape[0], pixels, x.shape[-1]


def _normalise(x, gamma, beta, matrices, groups, eps, where):
    eps = _checks.not_negative(eps, f"{where}: eps")
    y = empty(x.shape, x.dtype.char)
    mean, var = empty((matrices[0], groups), "d"), empty((matrices[0], groups), "d")
    _core.group_norm_forward(
        y.reshape(matrices), mean, var, x.reshape(matrices), gamma, beta, eps, get_num_threads()
    )
    return y, mean, var


def _gradients(dy, x, gamma, mean, var, matrices, eps, needs_dx, where):
    dy = like_x(dy, f"{where}: dy", x, required=True)
    eps = _checks.not_negative(eps, f"{where}: eps")
    code, channels = x.dtype.char, matrices[-1:]
    dx = empty(x.shape, code) if needs_dx else None
    dgamma, dbeta = empty(channels, code), empty(channels, code)
    _core.group_norm_backward(
        None if dx is None else dx.reshape(matrices),
        dgamma,
        dbeta,
        dy.reshape(matrices),
        x.reshape(matrices),
        gamma,
        mean,
        var,
        eps,
        get_num_threads(),
    )
    return dx, dgamma, dbeta


def _of_dtype(y, mean, var):
    """The statistics in the dtype of y."""
    return rounded(mean, var) if y.dtype == _checks.FLOAT32 else (mean, var)
