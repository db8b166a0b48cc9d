"""Stochastic gradient descent."""

from __future__ import annotations

import numpy as np

from .. import _core
from .base import Optimizer, require_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._types import Option, Parameters


class SGD(Optimizer):
    """Gradient descent, with momentum and weight decay if wanted.

        g ← g + l2·w;  m ← g at first, then μ m + (1 - τ) g;  d = m, or g + μ m with nesterov
        w ← (1 - lr·weight_decay) w - lr·d

    Without momentum d = g. A momentum of 0 sets m = g, so a function of t may start at 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t
    momentum, dampening : number or function of t, default 0: μ and τ
    nesterov : bool, default False; needs a momentum and no dampening
    l2 : number or function of t, default 0: adds l2·w to the gradient (PyTorch's weight_decay)
    weight_decay : number or function of t, default 0: decoupled from the gradient

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Sutskever, Martens, Dahl & Hinton 2013 (momentum, Nesterov)

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.ones(2, np.float32))
    >>> w.grad[...] = [1, 2]
    >>> SGD([w], lr=0.5).step()
    >>> w.value
    array([0.5, 0. ], dtype=float32)
    """

    flags = ("nesterov",)

    def __init__(
        self,
        parameters: Parameters,
        lr: Option,
        *,
        momentum: Option = 0.0,
        dampening: Option = 0.0,
        nesterov: bool = False,
        l2: Option = 0.0,
        weight_decay: Option = 0.0,
    ) -> None:
        options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        super().__init__(parameters, lr=lr, **options, l2=l2, weight_decay=weight_decay)
        self._histories["started"] = np.zeros(len(self._parameters), bool)

    def _check(self, group):
        super()._check(group)
        require_bool(group["nesterov"], "SGD: expected nesterov")
        if group["nesterov"] and (_is_zero(group["momentum"]) or not _is_zero(group["dampening"])):
            raise ValueError(
                f"SGD: expected a momentum and no dampening with nesterov=True, got "
                f"momentum={group['momentum']} and dampening={group['dampening']}"
            )

    def _alike(self, i):
        return bool(self._histories["started"][i])

    @property
    def moments(self) -> tuple[str, ...]:
        """The momentum buffer, if a group has a momentum."""
        wanted = any(not _is_zero(group["momentum"]) for group in self._groups)
        return ("m",) if wanted else ()

    def _step(self, values, members, segments):
        momentum = values["momentum"]
        if momentum == 0:
            for w, g, m, _, _ in segments:
                if m is not None:
                    with np.errstate(all="ignore"):  # as the core, which has no warnings
                        m[...] = values["scale"] * g + values["l2"] * w
            segments = [(w, g, None, None, None) for w, g, _, _, _ in segments]
        started = self._histories["started"]
        _core.sgd_step(
            segments,
            values["lr"],
            momentum,
            values["dampening"],
            values["l2"],
            values["weight_decay"],
            values["nesterov"],
            not started[members[0]],
            values["scale"],
            values["clear"],
            values["threads"],
        )
        started[members] = True


def _is_zero(option):
    return not callable(option) and option == 0
