"""NAdam."""

from __future__ import annotations

import numpy as np

from .. import _core
from .base import Optimizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Option, Parameters


class NAdam(Optimizer):
    """Adam with Nesterov's look ahead, under a momentum that rises to β₁.

        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  μ(t) = β₁ (1 - ½·0.96^(t·momentum_decay))
        d = (1 - μ(t)) g/(1 - Π μ(i)) + μ(t+1) m/(1 - μ(t+1) Π μ(i))
        w ← w - lr · d / (√(v/(1 - Π β₂(i))) + ε)

    The products run over the steps 1 ... t that the parameter has taken, in double. Functions of t
    are evaluated at t for μ(t+1) too. Where the denominator is 0 the update is 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 2e-3
    betas : pair of numbers or functions of t, default (0.9, 0.999); each at least 0 and below 1
    eps : number or function of t, default 1e-8: ε
    momentum_decay : number or function of t, default 4e-3

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Dozat 2016, Incorporating Nesterov Momentum into Adam

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [0, -20]
    >>> NAdam([w], lr=0.5, betas=(0, 0.999)).step()
    >>> w.value
    array([1. , 1.5], dtype=float32)
    """

    moments = ("m", "v")

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 2e-3,
        *,
        betas: tuple[Option, Option] = (0.9, 0.999),
        eps: Option = 1e-8,
        momentum_decay: Option = 4e-3,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, momentum_decay=momentum_decay)
        self._histories["products"] = np.ones((len(self._parameters), 2))  # of μ and β₂
        self._histories["steps"] = np.zeros(len(self._parameters), np.int64)

    def _alike(self, i):
        return int(self._histories["steps"][i]), *self._histories["products"][i].tolist()

    def _step(self, values, members, segments):
        products, steps = self._histories["products"], self._histories["steps"]
        beta1, beta2 = values["betas"]
        t = int(steps[members[0]]) + 1
        mu, next_mu = (
            beta1 * (1 - 0.5 * 0.96 ** (when * values["momentum_decay"])) for when in (t, t + 1)
        )
        product_mu, product2 = (products[members[0]] * (mu, beta2)).tolist()
        _core.nadam_step(
            segments,
            values["lr"],
            beta1,
            beta2,
            mu,
            next_mu,
            1 - product_mu,
            1 - product_mu * next_mu,
            1 - product2,
            values["eps"],
            values["scale"],
            values["clear"],
            values["threads"],
        )
        products[members] = product_mu, product2
        steps[members] = t
