"""AdaGrad."""

from __future__ import annotations

from .. import _core
from .base import Optimizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Option, Parameters


class AdaGrad(Optimizer):
    """Steps scaled by the root of the sum of all squared gradients.

        g ← g + l2·w;  v ← v + g²;  w ← w - lr/(1 + (t - 1)·lr_decay) · g / (√v + ε)

    Where the denominator is 0 the update is 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 1e-2
    eps : number or function of t, default 1e-10: ε
    initial_accumulator : number, default 0: where v starts
    lr_decay : number or function of t, default 0
    l2 : number or function of t, default 0: adds l2·w to the gradient (PyTorch's weight_decay)

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Duchi, Hazan & Singer 2011, JMLR 12

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [1, -20]
    >>> AdaGrad([w], lr=0.5).step()
    >>> w.value
    array([0.5, 1.5], dtype=float32)
    """

    moments = ("v",)

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 1e-2,
        *,
        eps: Option = 1e-10,
        initial_accumulator: float = 0.0,
        lr_decay: Option = 0.0,
        l2: Option = 0.0,
    ) -> None:
        options = {"initial_accumulator": initial_accumulator, "lr_decay": lr_decay, "l2": l2}
        super().__init__(parameters, lr=lr, eps=eps, **options)
        for i in range(len(self._parameters)):
            self._moment("v", i).fill(self._groups[self._group_of[i]]["initial_accumulator"])

    def _check(self, group):
        super()._check(group)
        if callable(group["initial_accumulator"]):
            raise TypeError("AdaGrad: expected initial_accumulator to be a number, got a function")

    def _step(self, values, members, segments):
        lr = values["lr"] / (1 + (values["t"] - 1) * values["lr_decay"])
        names = ("eps", "l2", "scale", "clear", "threads")
        _core.adagrad_step(segments, lr, *(values[name] for name in names))
