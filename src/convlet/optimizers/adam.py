"""Adam."""

from __future__ import annotations

import numpy as np

from .. import _core
from .base import Optimizer


class Adam(Optimizer):
    """Steps scaled by the running mean and mean square of the gradients.

        g ← g + l2·w;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
        w ← w - lr · m/(1 - Π β₁(i)) / (√(v/(1 - Π β₂(i))) + ε)

    The products run over the steps that the parameter has taken, in double, so that betas may vary.
    Where the denominator is 0 the update is 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, 1e-3
    betas : pair of numbers or functions of t, (0.9, 0.999); each at least 0 and below 1
    eps : number or function of t, 1e-8: ε
    l2 : number or function of t, 0: adds l2·w to the gradient (PyTorch's weight_decay)

    Raises
    ------
    TypeError, ValueError : a parameter twice or none at all, an option unknown or out of range.

    References
    ----------
    Kingma & Ba 2015, arXiv:1412.6980

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [1, -20]
    >>> Adam([w], lr=0.5).step()
    >>> w.value
    array([0.5, 1.5], dtype=float32)
    """

    moments = ("m", "v")

    def __init__(self, parameters, lr=1e-3, *, betas=(0.9, 0.999), eps=1e-8, l2=0.0, **unknown):
        if "weight_decay" in unknown:
            raise TypeError(
                "Adam has no weight_decay, which means two things: l2= adds l2·w to the gradient, "
                "as PyTorch's Adam does; AdamW is the one with decoupled decay"
            )
        if unknown:
            raise TypeError(f"Adam got the unknown options {sorted(unknown)}")
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, l2=l2)
        self._histories["beta_products"] = np.ones((len(self._parameters), 2))

    def _check(self, group):
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise TypeError(f"Adam: expected betas to be a pair, got {group['betas']!r}")
        super()._check(group)

    def _alike(self, i):
        return tuple(self._histories["beta_products"][i].tolist())

    def _step(self, values, members, segments):
        products = self._histories["beta_products"]
        beta1, beta2 = values["betas"]
        product1, product2 = (products[members[0]] * values["betas"]).tolist()
        _core.adam_step(
            segments,
            values["lr"],
            beta1,
            beta2,
            1 - product1,
            1 - product2,
            values["eps"],
            values["l2"],
            0.0,
            values["threads"],
        )
        products[members] = product1, product2
