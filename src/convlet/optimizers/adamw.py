"""AdamW."""

from __future__ import annotations

from ..parameter import KINDS
from .adam import AdamSteps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._types import Kind, Option, Parameters


class AdamW(AdamSteps):
    """Adam with weight decay decoupled from the gradient.

        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
        w ← (1 - lr·weight_decay) w - lr · m/(1 - Π β₁(i)) / (√(v/(1 - Π β₂(i))) + ε)

    Only parameters of `decay_kinds` decay: by default weights, but not biases or the scales and
    shifts of norms. (PyTorch's AdamW decays all: decay_kinds=("weight", "bias", "norm").)

    Parameters
    ----------
    parameters : list of Parameter, or of {"params": [...], "lr": ...}
    lr : number or function of t, default 1e-3
    betas : pair of numbers or functions of t, default (0.9, 0.999); each at least 0 and below 1
    eps : number or function of t, default 1e-8: ε
    amsgrad : bool, default False: divide by the largest v so far, as `Adam`
    weight_decay : number or function of t, default 0.01
    decay_kinds : tuple of "weight", "bias", "norm": the kinds of parameters that decay

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; an option is unknown or invalid.

    References
    ----------
    Loshchilov & Hutter 2019, arXiv:1711.05101

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w, b = Parameter(np.ones(2)), Parameter(np.ones(2), kind="bias")
    >>> AdamW([w, b], lr=0.5, weight_decay=0.2).step()
    >>> w.value, b.value
    (array([0.9, 0.9]), array([1., 1.]))
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: Option = 1e-3,
        *,
        betas: tuple[Option, Option] = (0.9, 0.999),
        eps: Option = 1e-8,
        amsgrad: bool = False,
        weight_decay: Option = 0.01,
        decay_kinds: Sequence[Kind] = ("weight",),
    ) -> None:
        options = {"amsgrad": amsgrad, "weight_decay": weight_decay, "decay_kinds": decay_kinds}
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, **options)

    def _check(self, group):
        super()._check(group)
        check_kinds(group["decay_kinds"], "AdamW: expected decay_kinds")


def check_kinds(kinds, where):
    """Raise unless `kinds` is a collection of kinds of parameters."""
    if not isinstance(kinds, (tuple, list, set, frozenset)):
        raise TypeError(f"{where} to be a tuple of kinds, such as ('weight',), got {kinds!r}")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"{where} to be among {KINDS}, got {unknown}")
