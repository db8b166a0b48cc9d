"""Losses."""

import numpy as np

from .activation import log_softmax


def softmax_cross_entropy(logits, target, *, axis=-1, reduction="mean"):
    """Cross-entropy of softmax(logits) and its gradient: (loss, dlogits).

        loss_n = -Σ_c q_nc log p_nc,  dloss_n/dz_nc = (Σ_k q_nk) p_nc - q_nc,  p = softmax(z)

    target holds class numbers (integers, the shape of the logits without axis; q is one-hot) or
    soft targets q (floats, the shape of the logits). "mean" divides the sum of loss_n by the number
    of rows, and is 0 without rows; "mean" and "sum" return a float, "none" the array loss_n. The
    gradient is that of the sum of what is returned. A class with q = 0 adds nothing, whatever its
    logit.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    log_p = log_softmax(logits, axis=axis)
    if target.dtype.kind in "iu":
        losses, dlogits = _cross_entropy_of_labels(log_p, target, axis)
    elif target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ValueError(f"soft targets {target.shape} must have shape {logits.shape}")
        q = target.astype(logits.dtype)
        products = np.multiply(q, log_p, out=np.zeros_like(log_p), where=q != 0)
        losses = -products.sum(axis=axis)
        dlogits = q.sum(axis=axis, keepdims=True) * np.exp(log_p) - q
    else:
        raise TypeError(f"target must be integers or floats, got {target.dtype}")
    if reduction == "none":
        return losses, dlogits
    count = max(losses.size, 1) if reduction == "mean" else 1
    return float(losses.sum(dtype=np.float64)) / count, dlogits / count


def _cross_entropy_of_labels(log_p, labels, axis):
    """Losses -log p_y and p - onehot(y), with p_y - 1 as expm1(log p_y)."""
    rows = tuple(np.delete(log_p.shape, axis).tolist())
    if labels.shape != rows:
        raise ValueError(f"labels {labels.shape} must have the shape {rows}")
    classes = log_p.shape[axis]
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if len(wrong):
        index = tuple(wrong[0].tolist())
        raise ValueError(f"label {labels[index]} at {index} is outside 0 ... {classes - 1}")
    at_label = np.expand_dims(labels.astype(np.intp), axis)
    log_p_label = np.take_along_axis(log_p, at_label, axis)
    dlogits = np.exp(log_p)
    np.put_along_axis(dlogits, at_label, np.expm1(log_p_label), axis)
    return -log_p_label.squeeze(axis), dlogits
