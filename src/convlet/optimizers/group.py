"""Parameter groups with options of their own."""

from __future__ import annotations

from .adamw import check_kinds
from .base import as_groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._types import Kind, Parameters
    from ..parameter import Parameter


def group(
    parameters: Parameters,
    by: Kind | tuple[Kind, ...] | Callable[[Parameter], bool],
    **options: Any,
) -> list[dict[str, Any]]:
    """Give the parameters that `by` selects options of their own.

    Pass the result to an optimizer in place of the list. Parameters that are not selected keep the
    options of their group, or those of the optimizer. Calls can be chained; if two of them give the
    same option, the later one wins.

    Parameters
    ----------
    parameters : list of Parameter, or of groups {"params": [...], ...}
    by : a kind ("weight", "bias", "norm"), a tuple of kinds, or a function that returns whether a
        Parameter is selected
    options : their options, such as lr=0.1; an optimizer refuses those it does not have

    Returns
    -------
    groups : list of dicts, those with the given options first. The state of an optimizer names
        parameters by their position in this order.

    Raises
    ------
    TypeError, ValueError : there are no parameters or no options, or a kind is unknown.

    Examples
    --------
    >>> import convlet as cl
    >>> model = cl.Sequential(cl.Linear(3, 4), cl.BatchNorm(4), cl.Linear(4, 2), rng=0)
    >>> groups = cl.optimizers.group(model.parameters(), by=("bias", "norm"), weight_decay=0)
    >>> groups = cl.optimizers.group(groups, by=lambda p: p.shape == (4, 2), lr=1e-2)
    >>> [(len(g["params"]), sorted(g.keys() - {"params"})) for g in groups]
    [(1, ['lr']), (4, ['weight_decay']), (1, [])]
    >>> optimizer = cl.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-4)
    """
    if not options:
        raise TypeError("group: expected options for the selected parameters, such as lr=0.1")
    if not callable(by):
        kinds = (by,) if isinstance(by, str) else by
        check_kinds(kinds, "group: expected by to be a function or kinds, and these")
        selected = {kind: kind in kinds for kind in ("weight", "bias", "norm")}

        def by(p):
            return selected[p.kind]

    first, rest = [], []
    for old in as_groups(parameters, None, "group"):
        chosen = [bool(by(p)) for p in old["params"]]
        inside = [p for p, yes in zip(old["params"], chosen, strict=True) if yes]
        outside = [p for p, yes in zip(old["params"], chosen, strict=True) if not yes]
        first += [old | {"params": inside} | options] if inside else []
        rest += [old | {"params": outside}] if outside else []
    return first + rest
