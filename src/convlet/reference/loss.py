"""Losses: (loss, gradient); "mean" and "sum" return a float, "none" an array.

The gradient is that of the sum of what is returned.
"""

import numpy as np

from .activation import log_softmax


def softmax_cross_entropy(
    logits,
    target,
    *,
    axis=-1,
    class_weight=None,
    sample_weight=None,
    ignore_index=None,
    label_smoothing=0.0,
    reduction="mean",
    empty="zero",
):
    """Cross-entropy of softmax(logits) and its gradient: (loss, dlogits).

        u_nc = w_c ((1 - s) q_nc + s/C)
        loss_n = -a_n Σ_c u_nc log p_nc,  p = softmax(z)
        dloss_n/dz_nc = a_n ((Σ_k u_nk) p_nc - u_nc)

    target holds class numbers (integers, the shape of the logits without axis; q is one-hot) or
    soft targets q (floats, the shape of the logits); w are the class weights, a the sample weights,
    s is the smoothing. "mean" divides by Σ a_n w_label over the rows not ignored, or by Σ a_n for
    soft targets; where that is 0 it is 0, NaN or an error, as `empty` says, and the gradient 0.
    Rows that are ignored, or whose loss has the factor 0, get zeros, whatever their logits. A class
    with u = 0 adds nothing, whatever its logit.
    """
    rows = _Rows(logits, axis, class_weight, sample_weight)
    if target.dtype.kind in "iu":
        t, counts = rows.labels(target, ignore_index)
        q = np.eye(rows.classes, dtype=rows.x.dtype)[t]
        divisor = (rows.a * rows.w[t])[counts].sum()
        own = rows.a if label_smoothing else rows.a * rows.w[t]
    elif target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ValueError(f"soft targets {target.shape} must have shape {logits.shape}")
        if ignore_index is not None:
            raise ValueError("ignore_index needs integer labels")
        q = np.moveaxis(target, axis, -1).reshape(rows.x.shape).astype(rows.x.dtype)
        divisor, own, counts = rows.a.sum(), rows.a, np.ones(len(rows.a), bool)
    else:
        raise TypeError(f"target must be integers or floats, got {target.dtype}")
    counts = counts & (own != 0)
    u = rows.w * ((1 - label_smoothing) * q + label_smoothing / rows.classes)
    u, a, log_p = u[counts], rows.a[counts], log_softmax(rows.x[counts])
    products = np.multiply(u, log_p, out=np.zeros_like(log_p), where=u != 0)
    losses, gradient = rows.zeros()
    losses[counts] = -a * products.sum(axis=-1)
    # p - 1 as expm1(log p): nothing cancels where u has one class
    slopes = np.exp(log_p) * (u.sum(axis=-1, keepdims=True) - u) + u * np.expm1(log_p)
    gradient[counts] = a[:, np.newaxis] * slopes
    return rows.reduce(losses, gradient, divisor, reduction, empty)


def nll(
    log_probabilities,
    target,
    *,
    axis=-1,
    class_weight=None,
    sample_weight=None,
    ignore_index=None,
    reduction="mean",
    empty="zero",
):
    """Negative log-likelihood of labels: loss_n = -a_n w_t x_nt for t = target_n, and its gradient.

    The options are those of `softmax_cross_entropy`.
    """
    rows = _Rows(log_probabilities, axis, class_weight, sample_weight)
    t, counts = rows.labels(target, ignore_index)
    own = rows.a * rows.w[t]
    divisor = own[counts].sum()
    counts = counts & (own != 0)
    losses, gradient = rows.zeros()
    losses[counts] = -own[counts] * rows.x[counts, t[counts]]
    gradient[counts, t[counts]] = -own[counts]
    return rows.reduce(losses, gradient, divisor, reduction, empty)


class _Rows:
    """Predictions as (rows, classes), with the weights w of the classes and a of the rows."""

    def __init__(self, x, axis, class_weight, sample_weight):
        moved = np.moveaxis(x, axis, -1)
        self.axis, self.shape, self.classes = axis, moved.shape, moved.shape[-1]
        self.x = moved.reshape(-1, self.classes)
        self.w = self._weights(class_weight, (self.classes,))
        self.a = self._weights(sample_weight, self.shape[:-1])

    def _weights(self, value, shape):
        value = np.ones(shape) if value is None else np.asarray(value)
        if value.shape != shape:
            raise ValueError(f"weights {value.shape} must have the shape {shape}")
        if not np.all((value >= 0) & np.isfinite(value)):
            raise ValueError("weights must be finite and at least 0")
        return value.astype(self.x.dtype).reshape(-1)

    def labels(self, target, ignore_index):
        """The classes of the rows, and which rows count; an ignored one has class 0."""
        if target.dtype.kind not in "iu":
            raise TypeError(f"target must be integers, got {target.dtype}")
        if target.shape != self.shape[:-1]:
            raise ValueError(f"labels {target.shape} must have the shape {self.shape[:-1]}")
        counts = np.ones(target.shape, bool)
        if ignore_index is not None:
            counts = target != ignore_index
        wrong = np.argwhere(((target < 0) | (target >= self.classes)) & counts)
        if len(wrong):
            index = tuple(wrong[0].tolist())
            raise ValueError(
                f"label {target[index]} at {index} is outside 0 ... {self.classes - 1}"
            )
        return np.where(counts, target, 0).astype(np.intp).reshape(-1), counts.reshape(-1)

    def zeros(self):
        return np.zeros(len(self.x), self.x.dtype), np.zeros_like(self.x)

    def reduce(self, losses, gradient, divisor, reduction, empty):
        """Loss and gradient as the reduction says, in the shapes they came in."""
        if empty not in ("zero", "nan", "raise"):
            raise ValueError(f"empty must be 'zero', 'nan' or 'raise', got {empty!r}")
        loss = losses.reshape(self.shape[:-1])
        if _known(reduction) != "none":
            loss = float(losses.sum(dtype=np.float64))
        if reduction == "mean":
            if divisor == 0 and empty == "raise":
                raise ValueError("a mean over nothing")
            if divisor == 0:
                loss, gradient = (np.nan if empty == "nan" else 0.0), np.zeros_like(gradient)
            else:
                loss, gradient = loss / float(divisor), gradient / divisor
        return loss, np.moveaxis(gradient.reshape(self.shape), -1, self.axis)


def _known(reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


# --- losses over elements ---------------------------------------------------------------------


def mse(prediction, target, *, reduction="mean"):
    """Squared error r², r = prediction - target, and its gradient 2r."""
    r = prediction - target
    return _reduce(r * r, 2 * r, reduction)


def l1(prediction, target, *, reduction="mean"):
    """Absolute error |r|, r = prediction - target, and its gradient sign(r), 0 at 0."""
    r = prediction - target
    return _reduce(np.abs(r), np.sign(r), reduction)


def huber(prediction, target, *, delta=1.0, reduction="mean"):
    """r²/2 where |r| < δ, else δ (|r| - δ/2), and its gradient."""
    r = prediction - target
    inside = np.abs(r) < delta
    losses = np.where(inside, r * r / 2, delta * (np.abs(r) - delta / 2))
    return _reduce(losses, np.where(inside, r, delta * np.sign(r)), reduction)


def smooth_l1(prediction, target, *, beta=1.0, reduction="mean"):
    """The Huber loss over its δ = β, and its gradient; for β = 0 that is `l1`."""
    if beta == 0:
        return l1(prediction, target, reduction=reduction)
    loss, gradient = huber(prediction, target, delta=beta, reduction=reduction)
    return loss / beta, gradient / beta


def binary_cross_entropy_with_logits(
    logits, target, *, pos_weight=None, sample_weight=None, reduction="mean"
):
    """a (w y log(1 + exp(-x)) + (1 - y) log(1 + exp x)) for y from 0 to 1, and its gradient.

    The weights w = pos_weight and a = sample_weight broadcast to x. A term whose coefficient is 0
    adds nothing.
    """
    y = _answers(target, logits)
    a = 1 if sample_weight is None else sample_weight
    positive, negative = a * y * (1 if pos_weight is None else pos_weight), a * (1 - y)
    sigma, minus_sigma = _sigmoid(logits), _sigmoid(-logits)
    losses = _times(positive, _softplus(-logits)) + _times(negative, _softplus(logits))
    return _reduce(losses, negative * sigma - positive * minus_sigma, reduction)


def focal(logits, target, *, alpha=0.25, gamma=2.0, reduction="mean"):
    """α_y m^γ c and its gradient, with c the binary cross-entropy and p the sigmoid.

    m = y (1 - p) + (1 - y) p,  α_y = α y + (1 - α) (1 - y), or 1 for alpha None
    d/dx = α_y m^γ (p - y + γ (1 - 2y) p (1 - p)/m c)
    """
    y = _answers(target, logits)
    p, minus_p = _sigmoid(logits), _sigmoid(-logits)
    c = _times(y, _softplus(-logits)) + _times(1 - y, _softplus(logits))
    m = y * minus_p + (1 - y) * p
    factor = (1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)) * m**gamma
    ratio = np.divide(p * minus_p, m, out=np.zeros_like(m), where=m != 0)
    slope = (1 - y) * p - y * minus_p + gamma * _times(ratio * (1 - 2 * y), c)
    return _reduce(_times(factor, c), factor * slope, reduction)


def _answers(target, logits):
    y = target.astype(logits.dtype)
    if not np.all((y >= 0) & (y <= 1)):
        raise ValueError("targets must be from 0 to 1")
    return y


def _times(a, b):
    """a * b, and 0 where a is 0."""
    a = np.broadcast_to(a, b.shape)
    return np.multiply(a, b, out=np.zeros_like(b), where=a != 0)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1, e) / (1 + e)


def _reduce(losses, gradient, reduction):
    if _known(reduction) == "none":
        return losses, gradient
    count = max(losses.size, 1) if reduction == "mean" else 1
    return float(losses.sum(dtype=np.float64)) / count, gradient / count
