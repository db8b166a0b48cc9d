"""RMSProp."""

from __future__ import annotations

from .. import _core
from .base import Optimizer, require_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Option, Parameters


class RMSProp(Optimizer):
    """Steps scaled by the root of the running mean of squared gradients.

        g ← g + l2·w;  v ← α v + (1 - α) g²;  u = g / (√v + ε)
        w ← w - lr·u, or with momentum m ← μ m + u;  w ← w - lr·m

    Centered, v is the running variance E[g²] - E[g]², by a recursion that cannot go below 0:
    d = g - mean;  v ← α v + α (1 - α) d²;  mean ← mean + (1 - α) d. Where the denominator is 0 the
    update is 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 1e-2
    alpha : number or function of t, default 0.99: α; at least 0 and below 1
    eps : number or function of t, default 1e-8: ε
    momentum : number or function of t, default 0: μ
    centered : bool, default False
    l2 : number or function of t, default 0: adds l2·w to the gradient (PyTorch's weight_decay)

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    Notes
    -----
    ε is outside the root, as in PyTorch. PyTorch keeps E[g²] and subtracts, which loses the
    variance of steady gradients in rounding; in exact arithmetic both are the same.

    References
    ----------
    Hinton 2012, Neural Networks for Machine Learning, lecture 6e; Graves 2013, arXiv:1308.0850
    (centered)

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [1, -20]
    >>> RMSProp([w], lr=0.25, alpha=0.75).step()
    >>> w.value
    array([0.5, 1.5], dtype=float32)
    """

    slots = ("m", "v", "mean")
    flags = ("centered",)
    fractions = ("alpha",)

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 1e-2,
        *,
        alpha: Option = 0.99,
        eps: Option = 1e-8,
        momentum: Option = 0.0,
        centered: bool = False,
        l2: Option = 0.0,
    ) -> None:
        options = {"alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered}
        super().__init__(parameters, lr=lr, **options, l2=l2)

    @property
    def moments(self) -> tuple[str, ...]:
        """The mean of squares; the momentum buffer and the mean if a group needs them."""
        pushed = any(
            callable(group["momentum"]) or group["momentum"] != 0 for group in self._groups
        )
        centered = any(group["centered"] for group in self._groups)
        return ("v", *["m"] * pushed, *["mean"] * centered)

    def _check(self, group):
        super()._check(group)
        require_bool(group["centered"], "RMSProp: expected centered")

    def _step(self, values, members, segments):
        names = ("lr", "alpha", "eps", "momentum", "l2", "centered", "scale", "clear", "threads")
        _core.rmsprop_step(segments, *(values[name] for name in names))
