"""Losses over classes, softmax cross-entropy and negative log-likelihood, and their gradients."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._checks import array
from .._core import empty as new
from ..threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, SupportsIndex

    from .._types import Array, Loss, Reduction


_EMPTY = {"zero": 0, "nan": 1, "raise": 2}


def softmax_cross_entropy(
    logits: Array,
    target: Array,
    *,
    axis: SupportsIndex = -1,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: SupportsIndex | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    empty: Literal["zero", "nan", "raise"] = "zero",
) -> tuple[Loss, np.ndarray]:
    """Cross-entropy of softmax(logits), and its gradient, computed from logits directly.

        u_nc = w_c ((1 - s) q_nc + s/C)
        loss_n = a_n Σ_c u_nc (lse_n - z_nc),  lse_n = log Σ_c exp z_nc
        dloss_n/dz_nc = a_n (p_nc Σ_k u_nk - u_nc),  p = softmax(z)

    where q is the target: soft, or 1 at the label and 0 elsewhere; w are the class weights, a the
    sample weights, and s is the label smoothing.

    Parameters
    ----------
    logits : ndarray with the classes on `axis`
    target : integers, the shape of logits without `axis`, each from 0 to C - 1; or soft targets q,
        the shape and dtype of logits, with any sum
    axis : int, the axis of the classes; any but the last costs a transposing copy each way
    class_weight : array (C,), finite and at least 0; None for ones
    sample_weight : array of the shape of logits without `axis`, likewise. Rows of weight 0 are
        skipped: nothing is computed from them, and their gradient is exactly 0
    ignore_index : int, in or out of the range of classes: rows with this label are skipped, their
        sample weights included. With soft targets use sample_weight
    label_smoothing : float s from 0 to 1
    reduction : "mean", "sum" or "none". The mean divides by Σ a_n w_label over the rows not
        ignored, with soft targets by Σ a_n: PyTorch's, where PyTorch defines it
    empty : the mean if its divisor is 0: "zero", "nan", or "raise" a ValueError. With the first two
        the gradient is 0

    Returns
    -------
    loss : float, accumulated in double; with "none" an ndarray, one loss a row, of the dtype of
        logits, 0 for a skipped row
    dlogits : ndarray of the shape of logits, the gradient of the sum of what `loss` holds

    Raises
    ------
    TypeError : logits are not float32 or float64, labels not integers, dtypes of soft targets and
        logits differ, or axis, ignore_index or label_smoothing is not a number of its kind.
    ValueError : shapes do not match, an option is unknown or out of range, a weight is negative or
        not finite, or a label is out of range; the message names the label, its index and the
        range.

    Notes
    -----
    A class with u = 0 adds nothing to the loss, even if its logit is -inf. Without smoothing, rows
    with labels keep their relative accuracy, however confident: the loss of a row whose probability
    is 1 - 1e-10 is 1e-10, not 0.

    References
    ----------
    Label smoothing: Szegedy et al. 2015, arXiv:1512.00567.

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> dlogits
    array([[-0.5,  0.5]])
    >>> labels = np.array([1, 255])
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((2, 2)), labels, ignore_index=255)
    >>> dlogits
    array([[ 0.5, -0.5],
           [ 0. ,  0. ]])
    """
    where = "softmax_cross_entropy"
    logits = array(logits, f"{where}: logits")
    target = _checks.as_ndarray(target, f"{where}: target", "int64")
    smoothing = label_smoothing
    if smoothing != 0:
        smoothing = _checks.not_negative(smoothing, f"{where}: label_smoothing")
        if smoothing > 1:
            raise ValueError(f"{where}: label_smoothing must be from 0 to 1, got {label_smoothing}")
    rows = _Rows(where, logits, "logits", axis, class_weight, sample_weight, reduction, empty)
    if target.dtype.kind == "f":
        if target.shape == rows.shape != logits.shape:
            raise TypeError(
                f"{where}: target has dtype {target.dtype} and the shape of labels, expected "
                f"integers: use target.astype(np.int64)"
            )
        if ignore_index is not None:
            raise ValueError(
                f"{where}: ignore_index={ignore_index!r} goes with integer labels, and target is "
                f"{target.dtype}: give the rows to leave out a sample_weight of 0"
            )
        target = _checks.array_like(target, f"{where}: target", logits, "logits")
        axes = "(soft targets: that of logits)"
        _checks.shape(target, logits.shape, f"{where}: target", axes)
        q = _checks.axis_to_last(target, rows.axis)
        return rows.call(_core.softmax_cross_entropy_soft, q, smoothing)
    return rows.call_with_labels(_core.softmax_cross_entropy, target, ignore_index, smoothing)


def nll(
    log_probabilities: Array,
    target: Array,
    *,
    axis: SupportsIndex = -1,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: SupportsIndex | None = None,
    reduction: Reduction = "mean",
    empty: Literal["zero", "nan", "raise"] = "zero",
) -> tuple[Loss, np.ndarray]:
    """Negative log-likelihood of labels, from log-probabilities, and its gradient.

        loss_n = -a_n w_label x[n, label],  dloss_n/dx_nc = -a_n w_label [c = label]

    From logits, use `softmax_cross_entropy`, which is a log-softmax and this loss in one call.

    Parameters
    ----------
    log_probabilities : ndarray with the classes on `axis`; x, used as they are
    target : integers, the shape of log_probabilities without `axis`
    axis, class_weight, sample_weight, ignore_index, reduction, empty :
        as in `softmax_cross_entropy`; the mean divides by Σ a_n w_label

    Returns
    -------
    loss : float, accumulated in double; with "none" an ndarray, one loss a row
    gradient : ndarray of the shape of log_probabilities

    Raises
    ------
    TypeError, ValueError : as in `softmax_cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = nll(np.log([[0.25, 0.75]]), np.array([1]))
    >>> gradient
    array([[ 0., -1.]])
    """
    x = array(log_probabilities, "nll: log_probabilities")
    target = _checks.as_ndarray(target, "nll: target", "int64")
    rows = _Rows("nll", x, "log_probabilities", axis, class_weight, sample_weight, reduction, empty)
    return rows.call_with_labels(_core.nll, target, ignore_index)


class _Rows:
    """The rows of one call: checked, with the classes moved last, and moved back at the end."""

    def __init__(self, where, x, name, axis, class_weight, sample_weight, reduction, empty):
        self.where, self.name = where, name
        self.reduction = _checks.option(reduction, _checks.REDUCTIONS, f"{where}: reduction")
        self.empty = _checks.option(empty, _EMPTY, f"{where}: empty")
        self.axis = axis = _checks.class_axis(axis, x.shape, where)
        self.shape = x.shape[:axis] + x.shape[axis + 1 :]
        self.x = _checks.axis_to_last(x, axis)
        self.class_weight = self.sample_weight = None
        if class_weight is not None:
            self.class_weight = self._weights(
                class_weight, "class_weight", (x.shape[axis],), "(one a class)"
            )
        if sample_weight is not None:
            self.sample_weight = self._weights(
                sample_weight,
                "sample_weight",
                self.shape,
                f"(that of {name} without the axis of the classes)",
            ).reshape(-1)

    def _weights(self, value, name, shape, axes):
        value = _checks.weights(value, f"{self.where}: {name}", self.x.dtype)
        _checks.shape(value, shape, f"{self.where}: {name}", axes)
        return value

    def call_with_labels(self, function, target, ignore_index, *options):
        """Run a function of the core with integer labels."""
        name = f"{self.where}: target"
        labels = _checks.labels(target, name)
        axes = f"(labels: that of {self.name} without the axis of the classes)"
        cure = _checks.label_cure(target, self.shape, name, self.axis)
        _checks.shape(target, self.shape, name, axes, cure)
        ignored = _checks.ignored_label(ignore_index, target.dtype, f"{self.where}: ignore_index")
        try:
            return self.call(function, labels.reshape(-1), ignored, *options)
        except IndexError:
            _checks.bad_label(target, name, self.x.shape[-1], ignored)

    def call(self, function, target, *options):
        """Run a function of the core; its arguments past the weights are `options`."""
        x = self.x
        gradient = new(x.shape, x.dtype.char)
        count = x.size // x.shape[-1] if self.reduction == 0 else 1
        loss = new((count,), "d")
        try:
            function(
                loss,
                gradient,
                x,
                target,
                self.class_weight,
                self.sample_weight,
                *options,
                self.reduction,
                self.empty,
                get_num_threads(),
            )
        except FloatingPointError:
            for name in ("class_weight", "sample_weight"):
                _checks.bad_weight(getattr(self, name), f"{self.where}: {name}")
            raise ValueError(f"{self.where}: the weights of the rows add up to infinity") from None
        except ZeroDivisionError:
            rows = x.size // x.shape[-1]
            raise ValueError(
                f"{self.where}: the mean over {rows} rows has nothing to divide by, since none has "
                "a weight above 0 and is not ignored: use empty='zero' or empty='nan'"
            ) from None
        gradient = _checks.axis_from_last(gradient, self.axis)
        if self.reduction != 0:
            return loss.item(), gradient
        losses = new(self.shape, x.dtype.char)
        _checks.write_rounded(losses, loss.reshape(self.shape))
        return losses, gradient
