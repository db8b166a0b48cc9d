"""Lion."""

from __future__ import annotations

from .. import _core
from .base import Optimizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Option, Parameters


class Lion(Optimizer):
    """Steps of one size, along the sign of the momentum.

        w ← (1 - lr·weight_decay) w - lr·sign(β₁ m + (1 - β₁) g);  m ← β₂ m + (1 - β₂) g

    The sign of 0 is 0. Decay is decoupled from the gradient and takes in every parameter.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 1e-4
    betas : pair of numbers or functions of t, default (0.9, 0.99); each at least 0 and below 1
    weight_decay : number or function of t, default 0

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Chen et al. 2023, arXiv:2302.06675

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(3, np.float32))
    >>> w.grad[...] = [1, 0, -20]
    >>> Lion([w], lr=0.5).step()
    >>> w.value
    array([0.5, 1. , 1.5], dtype=float32)
    """

    moments = ("m",)

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 1e-4,
        *,
        betas: tuple[Option, Option] = (0.9, 0.99),
        weight_decay: Option = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)

    def _step(self, values, members, segments):
        _core.lion_step(
            segments,
            values["lr"],
            *values["betas"],
            values["weight_decay"],
            values["scale"],
            values["clear"],
            values["threads"],
        )
