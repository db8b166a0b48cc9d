"""Losses: f(prediction, target, ...) -> (loss, gradient of the loss with respect to prediction).

A custom loss is any function that returns the two; it need not be registered. The gradient has the
shape and dtype of the prediction, and is passed to the model's pullback:

    def poisson(log_rate, count):
        rate = np.exp(log_rate)
        return float(np.mean(rate - count * log_rate)), (rate - count) / rate.size

    y, pullback = model.vjp(x)
    loss, dy = poisson(y, count)
    pullback(dy)

`convlet.gradcheck.gradcheck` checks such a gradient against finite differences.

In the losses here, `reduction` is "mean" over the elements (0 if there are none), "sum", or "none".
"mean" and "sum" return a float accumulated in double, "none" an array of the shape of the
prediction. The gradient is that of the sum of what is returned.
"""

from __future__ import annotations

import numpy as np

from . import _checks, _core
from ._checks import array
from ._core import empty
from .ops import nll as nll
from .ops import softmax_cross_entropy as softmax_cross_entropy
from .threads import get_num_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._types import Array, Loss, Reduction


def mse(
    prediction: Array, target: Array, *, reduction: Reduction = "mean"
) -> tuple[Loss, np.ndarray]:
    """Squared error, and its gradient.

        loss_i = (x_i - y_i)²,  dloss_i/dx_i = 2 (x_i - y_i)

    Parameters
    ----------
    prediction, target : ndarrays of one shape and dtype, x and y; nothing is broadcast
    reduction : "mean", "sum" or "none"

    Returns
    -------
    loss : float, or with "none" an ndarray
    gradient : ndarray of the shape of prediction

    Raises
    ------
    TypeError : an array is not float32 or float64, or dtypes differ.
    ValueError : shapes differ, or reduction is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> mse(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    (0.5, array([1., 0.]))
    """
    return _element_loss(_core.mse, "mse", prediction, target, reduction)


def l1(
    prediction: Array, target: Array, *, reduction: Reduction = "mean"
) -> tuple[Loss, np.ndarray]:
    """Absolute error, and its gradient.

        loss_i = |x_i - y_i|,  dloss_i/dx_i = sign(x_i - y_i), which is 0 at 0

    Parameters, Returns and Raises are those of `mse`.

    Examples
    --------
    >>> import numpy as np
    >>> l1(np.array([1.0, 2.0]), np.array([0.0, 2.0]), reduction="sum")
    (1.0, array([1., 0.]))
    """
    return _element_loss(_core.l1, "l1", prediction, target, reduction)


def huber(
    prediction: Array, target: Array, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> tuple[Loss, np.ndarray]:
    """Huber loss, quadratic near the target and linear far from it, and its gradient.

        loss_i = r²/2 where |r| < δ, else δ (|r| - δ/2),  r = x_i - y_i

    Parameters
    ----------
    prediction, target, reduction : as in `mse`
    delta : float δ above 0

    Returns
    -------
    loss, gradient : as in `mse`

    Raises
    ------
    TypeError, ValueError : as in `mse`; delta is not a finite number above 0.

    References
    ----------
    Huber 1964, Annals of Mathematical Statistics 35, 73-101.

    Examples
    --------
    >>> import numpy as np
    >>> huber(np.array([0.5, -3.0]), np.zeros(2), reduction="none")
    (array([0.125, 2.5  ]), array([ 0.5, -1. ]))
    """
    value = _checks.not_negative(delta, "huber: delta")
    if value == 0:
        raise ValueError("huber: delta must be above 0, got 0: use l1 for its limit over delta")
    return _element_loss(_core.huber, "huber", prediction, target, reduction, value)


def smooth_l1(
    prediction: Array, target: Array, *, beta: float = 1.0, reduction: Reduction = "mean"
) -> tuple[Loss, np.ndarray]:
    """Huber loss with δ = β, divided by β, so that its slope far from 0 is 1, and its gradient.

        loss_i = r²/2β where |r| < β, else |r| - β/2,  r = x_i - y_i

    Parameters
    ----------
    prediction, target, reduction : as in `mse`
    beta : float β of at least 0; with 0 this is `l1`

    Returns
    -------
    loss, gradient : as in `mse`

    Raises
    ------
    TypeError, ValueError : as in `mse`; beta is not a finite number of at least 0.

    References
    ----------
    Girshick 2015, arXiv:1504.08083.

    Examples
    --------
    >>> import numpy as np
    >>> smooth_l1(np.array([0.5, -3.0]), np.zeros(2), beta=2.0, reduction="none")
    (array([0.0625, 2.    ]), array([ 0.25, -1.  ]))
    """
    beta = _checks.not_negative(beta, "smooth_l1: beta")
    return _element_loss(_core.smooth_l1, "smooth_l1", prediction, target, reduction, beta)


def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    *,
    pos_weight: Array | float | None = None,
    sample_weight: Array | float | None = None,
    reduction: Reduction = "mean",
) -> tuple[Loss, np.ndarray]:
    """Cross-entropy of independent binary targets, from logits, and its gradient.

        loss_i = a_i (w_i y_i log(1 + exp(-x_i)) + (1 - y_i) log(1 + exp x_i))
        dloss_i/dx_i = a_i ((1 - y_i) σ(x_i) - w_i y_i σ(-x_i)),  σ(t) = 1/(1 + exp(-t))

    Parameters
    ----------
    logits : ndarray x
    target : array y of the shape of logits: of its dtype, integers or bools; from 0 to 1
    pos_weight : number or array w, finite and at least 0, that broadcasts to logits, such as (C,)
        for one per channel; None for 1
    sample_weight : number or array a, likewise, such as (N, 1) for one per row of (N, C)
    reduction : "mean" over the elements, whatever their weights, as in PyTorch; "sum" or "none"

    Returns
    -------
    loss : float, accumulated in double; with "none" an ndarray of the shape of logits
    gradient : ndarray of the shape of logits

    Raises
    ------
    TypeError : logits are not float32 or float64, or target has another dtype than those above.
    ValueError : shapes do not match, reduction is unknown, a weight is negative or not finite, or a
        target is outside [0, 1]; the message names it and its index.

    Notes
    -----
    Confident predictions keep their relative accuracy: x = 40 and y = 1 give exp(-40), not 0.

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = binary_cross_entropy_with_logits(np.zeros(2), np.array([0, 1]))
    >>> gradient
    array([ 0.25, -0.25])
    """
    where = "binary_cross_entropy_with_logits"
    x = array(logits, f"{where}: logits")
    y = _answers(target, where, x)
    weights = [
        _broadcast_weights(value, f"{where}: {name}", x)
        for value, name in ((pos_weight, "pos_weight"), (sample_weight, "sample_weight"))
    ]
    return _call(_core.binary_cross_entropy, where, x, y, reduction, *weights)


def focal(
    logits: Array,
    target: Array,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
) -> tuple[Loss, np.ndarray]:
    """Focal loss: binary cross-entropy from logits that down-weights easy examples.

        loss_i = α_i m_i^γ c_i,  c_i = binary_cross_entropy_with_logits
        m_i = y_i (1 - p_i) + (1 - y_i) p_i,  p_i = 1/(1 + exp(-x_i))
        α_i = α y_i + (1 - α) (1 - y_i), or 1 where α is None
        dloss_i/dx_i = α_i m_i^γ (p_i - y_i + γ (1 - 2 y_i) p_i (1 - p_i)/m_i · c_i)

    Parameters
    ----------
    logits, target, reduction : as in `binary_cross_entropy_with_logits`; object detectors divide
        the sum by the number of positive anchors
    alpha : float from 0 to 1, the weight of y = 1; None weighs both alike
    gamma : float of at least 0; with 0, and alpha None, this is binary cross-entropy

    Returns
    -------
    loss, gradient : as in `binary_cross_entropy_with_logits`

    Raises
    ------
    TypeError, ValueError : as in `binary_cross_entropy_with_logits`; alpha or gamma is out of
        range.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = focal(np.zeros(1), np.array([1]), alpha=None)
    >>> round(loss, 6), round(float(np.log(2)) / 4, 6)
    (0.173287, 0.173287)
    """
    x = array(logits, "focal: logits")
    y = _answers(target, "focal", x)
    gamma = _checks.not_negative(gamma, "focal: gamma")
    positive = negative = 1.0
    if alpha is not None:
        positive = _checks.not_negative(alpha, "focal: alpha")
        if positive > 1:
            raise ValueError(f"focal: alpha must be from 0 to 1, or None, got {alpha}")
        negative = 1 - positive
    return _call(_core.focal, "focal", x, y, reduction, gamma, positive, negative)


def _element_loss(function, where, prediction, target, reduction, *options):
    x = array(prediction, f"{where}: prediction")
    y = _checks.array_like(target, f"{where}: target", x, "prediction")
    _checks.shape(y, x.shape, f"{where}: target", "(that of prediction)")
    return _call(function, where, x, y, reduction, *options)


def _answers(target, where, x):
    """The binary targets of logits x, in their dtype."""
    name = f"{where}: target"
    y = _checks.as_ndarray(target, name)
    if y.dtype.kind in "biu":
        y = _checks.converted(y, x.dtype)
    y = _checks.array_like(y, name, x, "logits")
    _checks.shape(y, x.shape, name, "(that of logits)")
    return y


def _broadcast_weights(value, name, x):
    if value is None:
        return None
    if not any(hasattr(value, name) for name in ("__len__", "__array__", "__dlpack__")):
        value = np.asarray(_checks.not_negative(value, name))
    value = _checks.weights(value, name, x.dtype)
    try:
        return _checks.converted(np.broadcast_to(value, x.shape), x.dtype)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to the shape {x.shape} of logits, got {value.shape}"
        ) from None


def _call(function, where, x, y, reduction, *options):
    """Run a function of the core; its arguments between arrays and reduction are `options`."""
    number = _checks.option(reduction, _checks.REDUCTIONS, f"{where}: reduction")
    gradient = empty(x.shape, x.dtype.char)
    loss = empty((x.size if number == 0 else 1,), "d")
    arrays = (gradient, x, y) if x.ndim else (gradient.reshape(1), x.reshape(1), y.reshape(1))
    options = [v.reshape(1) if isinstance(v, np.ndarray) and not v.ndim else v for v in options]
    try:
        function(loss, *arrays, *options, number, get_num_threads())
    except IndexError:
        _checks.bad_answer(y, f"{where}: target")
    except FloatingPointError:
        for value, name in zip(options, ("pos_weight", "sample_weight"), strict=True):
            _checks.bad_weight(value, f"{where}: {name}")
    if number != 0:
        return loss.item(), gradient
    losses = empty(x.shape, x.dtype.char)
    np.copyto(losses, loss.reshape(x.shape), casting="same_kind")
    return losses, gradient
