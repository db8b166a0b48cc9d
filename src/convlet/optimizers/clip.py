"""Gradient clipping, between the backward pass and the step."""

from __future__ import annotations

import math

from .. import _core
from ..threads import get_num_threads
from .base import parameter_list
from .gradient_norm import by_dtype, check_limit, finite_squares, root_of_sum, segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._types import Parameters


def clip_grad_value(parameters: Parameters, limit: float) -> None:
    """Clip every element of every gradient to [-limit, limit], in place.

        g ← min(max(g, -limit), limit)

    NaN stays NaN. Parameters that are not trainable are left alone.

    Parameters
    ----------
    parameters : list of Parameter or of groups
    limit : number, at least 0 and finite

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; limit is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(3, np.float32))
    >>> w.grad[...] = [-3, 0.5, 9]
    >>> clip_grad_value([w], 1)
    >>> w.grad
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    limit = check_limit(limit, "clip_grad_value: expected limit", finite=True)
    for _, segments in by_dtype(_trainable(parameters, "clip_grad_value")):
        _core.clip(segments, limit, get_num_threads())


def clip_grad_norm(
    parameters: Parameters, max_norm: float, *, per_parameter: bool = False
) -> float | Any:
    """Scale gradients down to a norm of at most `max_norm`, in place; return the norm before.

        norm = √(Σ g²);  where norm > max_norm:  g ← g · max_norm/norm

    The norm is that of the gradients of all trainable parameters together (the global norm), or
    with `per_parameter` of each alone.

    Parameters
    ----------
    parameters : list of Parameter or of groups
    max_norm : number, at least 0; with math.inf the norm is only measured
    per_parameter : bool, default False

    Returns
    -------
    norm : float; with per_parameter a list, one for each trainable parameter

    Raises
    ------
    FloatingPointError : a gradient holds NaN or infinity, or its squares overflow; the message
        names the parameter, and no gradient has been changed.
    TypeError, ValueError : there are no parameters, or one twice; max_norm is out of range.

    Notes
    -----
    Squares are summed in double, over blocks that depend on shapes alone, so the norm does not
    depend on the number of threads or the order of the list. Nothing is added to the norm (PyTorch
    divides by norm + 1e-6), so the clipped norm is max_norm up to rounding.

    References
    ----------
    Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [3, 4]
    >>> clip_grad_norm([w], 2.5)
    5.0
    >>> w.grad
    array([1.5, 2. ], dtype=float32)
    """
    max_norm = check_limit(max_norm, "clip_grad_norm: expected max_norm", finite=False)
    parameters = _trainable(parameters, "clip_grad_norm")
    found = finite_squares(parameters, "clip_grad_norm")
    if not per_parameter:
        norm = root_of_sum(found)
        if norm > max_norm:
            for _, segments in by_dtype(parameters):
                _core.scale(segments, max_norm / norm, get_num_threads())
        return norm
    norms = [math.sqrt(square) for square in found]
    for p, norm in zip(parameters, norms, strict=True):
        if norm > max_norm:
            _core.scale([segment(p)], max_norm / norm, get_num_threads())
    return norms


def _trainable(parameters, where):
    return [p for p in parameter_list(parameters, where) if p.trainable]
