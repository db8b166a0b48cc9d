"""Losses with their gradients."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._checks import array
from .._core import empty
from ..threads import get_num_threads

_REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


def softmax_cross_entropy(logits, target, *, axis=-1, reduction="mean"):
    """Cross-entropy of softmax(logits), and its gradient, without going through probabilities.

        loss_n = Σ_c q_nc (lse_n - z_nc),  lse_n = log Σ_c exp z_nc
        dloss_n/dz_nc = p_nc Σ_k q_nk - q_nc,  p = softmax(z)

    where q is the target: given, or 1 at the label and 0 elsewhere.

    Parameters
    ----------
    logits : ndarray with the classes on `axis`
    target : integers, the shape of logits without `axis`, each from 0 to C - 1; or soft targets q,
        the shape and dtype of logits, with any sum
    axis : int, the axis of the classes; another than the last costs a transposing copy each way
    reduction : "mean" over the rows (0 without rows), "sum" or "none"

    Returns
    -------
    loss : float, accumulated in double; with "none" an ndarray, one loss a row, of the dtype of
        logits
    dlogits : ndarray of the shape of logits, the gradient of the sum of what `loss` holds

    Raises
    ------
    TypeError : logits are not float32 or float64, labels not integers, dtypes of soft targets and
        logits differ, or axis is not an integer.
    ValueError : shapes do not go together, axis or reduction is unknown, or a label is out of
        range; the message names the label, its index and the range.

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> dlogits
    array([[-0.5,  0.5]])
    """
    logits = array(logits, "softmax_cross_entropy: logits")
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise ValueError(
            f"softmax_cross_entropy: reduction must be one of {tuple(_REDUCTIONS)}, "
            f"got {reduction!r}"
        )
    axis = _checks.class_axis(axis, logits.shape, "softmax_cross_entropy")
    rows = logits.shape[:axis] + logits.shape[axis + 1 :]
    target = _checks.as_ndarray(target, "softmax_cross_entropy: target")
    soft = target.dtype.kind == "f"
    if soft:
        target = _checks.array_like(target, "softmax_cross_entropy: target", logits, "logits")
        expected, axes = logits.shape, "(soft targets: that of logits)"
    else:
        labels = _checks.labels(target, "softmax_cross_entropy: target")
        expected, axes = rows, "(labels: that of logits without the axis of the classes)"
    _checks.shape(target, expected, "softmax_cross_entropy: target", axes)

    z = _checks.axis_to_last(logits, axis)
    dz = empty(z.shape, z.dtype.char)
    loss = empty((z.size // z.shape[-1] if reduction == "none" else 1,), "d")
    threads = get_num_threads()
    if soft:
        q = _checks.axis_to_last(target, axis)
        _core.softmax_cross_entropy_soft(loss, dz, z, q, _REDUCTIONS[reduction], threads)
    else:
        try:
            _core.softmax_cross_entropy(
                loss, dz, z, labels.reshape(-1), _REDUCTIONS[reduction], threads
            )
        except IndexError:
            _checks.bad_label(target, "softmax_cross_entropy: target", z.shape[-1])
    dlogits = _checks.axis_from_last(dz, axis)
    if reduction != "none":
        return loss.item(), dlogits
    losses = empty(rows, z.dtype.char)
    np.copyto(losses, loss.reshape(rows), casting="same_kind")
    return losses, dlogits
