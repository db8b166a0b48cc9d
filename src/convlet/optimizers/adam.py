"""Adam."""

from __future__ import annotations

import numpy as np

from .. import _core
from .base import Optimizer, require_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Never

    from .._types import Option, Parameters


EPS_MODES = ("paper", "hat")


class AdamSteps(Optimizer):
    """The common part of Adam and AdamW: the moments, the products of the betas, the step."""

    slots = ("m", "v", "v_max")
    flags = ("eps_mode", "amsgrad", "decay_kinds")

    def __init__(self, parameters, **options):
        super().__init__(parameters, **options)
        self._histories["beta_products"] = np.ones((len(self._parameters), 2))

    @property
    def moments(self) -> tuple[str, ...]:
        """Mean and mean square of the gradients, and with AMSGrad the largest mean square."""
        largest = any(group["amsgrad"] for group in self._groups)
        return ("m", "v", "v_max") if largest else ("m", "v")

    def _check(self, group):
        super()._check(group)
        require_bool(group["amsgrad"], f"{type(self).__name__}: expected amsgrad")

    def _decays(self, i):
        kinds = self._groups[self._group_of[i]].get("decay_kinds", ())
        return self._parameters[i].kind in kinds

    def _alike(self, i):
        return (*self._histories["beta_products"][i].tolist(), self._decays(i))

    def _step(self, values, members, segments):
        products = self._histories["beta_products"]
        beta1, beta2 = values["betas"]
        product1, product2 = products[members[0]].tolist()
        product1, product2 = product1 * beta1, product2 * beta2
        _core.adam_step(
            segments,
            values["lr"],
            beta1,
            beta2,
            1 - product1,
            1 - product2,
            values["eps"],
            values.get("l2", 0.0),
            values["weight_decay"] if self._decays(members[0]) else 0.0,
            values.get("eps_mode") == "hat",
            values["amsgrad"],
            values["scale"],
            values["clear"],
            values["threads"],
        )
        products[slice(None) if len(members) == len(products) else members] = product1, product2


class Adam(AdamSteps):
    """Steps scaled by the running mean and mean square of the gradients.

        g ← g + l2·w;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
        w ← w - lr · m/(1 - Π β₁(i)) / (√(v/(1 - Π β₂(i))) + ε)

    The products run over the steps that the parameter has taken, in double, so that betas may vary.
    Where the denominator is 0 the update is 0.

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 1e-3
    betas : pair of numbers or functions of t, default (0.9, 0.999); each at least 0 and below 1
    eps : number or function of t, default 1e-8: ε
    eps_mode : "paper" or "hat": where ε goes. "paper" is Algorithm 1 of the paper and PyTorch: ε is
        added to the root of the corrected v, as above. "hat" is the paper's ε̂, TensorFlow and
        Keras (whose default is 1e-7): the denominator is (√v + ε)/√(1 - Π β₂(i)).
    amsgrad : bool, default False: divide by the largest v so far, v_max ← max(v_max, v), in place
        of v
    l2 : number or function of t, default 0: adds l2·w to the gradient (PyTorch's weight_decay)

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Kingma & Ba 2015, arXiv:1412.6980; Reddi, Kale & Kumar 2018 (AMSGrad)

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

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 1e-3,
        *,
        betas: tuple[Option, Option] = (0.9, 0.999),
        eps: Option = 1e-8,
        eps_mode: Literal["paper", "hat"] = "paper",
        amsgrad: bool = False,
        l2: Option = 0.0,
        **unknown: Never,
    ) -> None:
        if "weight_decay" in unknown:
            raise TypeError(
                "Adam has no weight_decay, which means two things: l2= adds l2·w to the gradient, "
                "as PyTorch's Adam does; AdamW is the one with decoupled decay"
            )
        if unknown:
            raise TypeError(
                f"Adam got the unknown options {sorted(unknown)}; expected lr, betas, eps, "
                f"eps_mode, amsgrad or l2"
            )
        options = {"eps_mode": eps_mode, "amsgrad": amsgrad, "l2": l2}
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, **options)

    def _check(self, group):
        super()._check(group)
        if group["eps_mode"] not in EPS_MODES:
            raise ValueError(
                f"Adam: expected eps_mode to be 'paper' (ε added to the corrected root, PyTorch) "
                f"or 'hat' (added before the correction, Keras), got {group['eps_mode']!r}"
            )
