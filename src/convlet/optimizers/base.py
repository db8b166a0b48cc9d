"""The base class of optimizers: groups, options as functions of the step, state, segments."""

from __future__ import annotations

import math
import operator

import numpy as np

from .._calls import explain_attribute, explain_init
from .._checks import is_number, state_arrays
from .._names import OPTIMIZER_NAMES
from ..parameter import Parameter, line_zeros
from ..threads import get_num_threads
from .gradient_norm import check_limit, finite_squares, root_of_sum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import ArrayLike

    from .._types import Parameters


class Optimizer:
    """Updates parameters by their gradients.

    `parameters` is a list of Parameter, or of groups: dicts with "params", such a list, and the
    options that differ in this group. An option that is a number may also be a function of the step
    t = 1, 2, ..., called once for each step. Options cannot be changed later: for a value that
    changes, pass a function.

    A subclass names the arrays that it keeps for every parameter in `moments`, those that the core
    takes as m, v and extra in `slots`, its options that are not numbers in `flags` and those that
    must be below 1 in `fractions`, and defines `_step(values, members, segments)`.
    """

    moments: tuple[str, ...] = ()
    slots = ("m", "v", None)
    flags = ()
    fractions = ("betas",)

    def __init__(self, parameters: Parameters, **options: Any) -> None:
        self._t = 0
        self._groups = [
            options | group for group in as_groups(parameters, set(options), type(self).__name__)
        ]
        self._parameters = [p for group in self._groups for p in group["params"]]
        self._group_of = [i for i, group in enumerate(self._groups) for _ in group["params"]]
        refuse_duplicates(self._parameters, type(self).__name__)
        for group in self._groups:
            self._check(group)
        self._constants = None
        if not any(_varies(option) for group in self._groups for option in group.values()):
            self._constants = [self._evaluate_group(group, 1, {}) for group in self._groups]
        ends = np.cumsum([p.size for p in self._parameters]).tolist()
        self._places = [
            slice(end - p.size, end) for p, end in zip(self._parameters, ends, strict=True)
        ]
        dtypes = {p.dtype for p in self._parameters}
        self._blocks = {
            name: {dtype: line_zeros(ends[-1:], dtype) for dtype in dtypes} for name in self.moments
        }
        self._histories = {}
        self._plan = self._planned_for = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        explain_init(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse attributes of other libraries, such as `lr`, that would have no effect here."""
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(
                f"{type(self).__name__}: {name} cannot be set; an option that changes is a "
                f"function of the step t, such as lr=lambda t: 0.1 if t < 1000 else 0.01"
            )
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # else a type checker would accept any attribute

        def __getattr__(self, name):
            return explain_attribute(self, name, OPTIMIZER_NAMES)

    def __repr__(self) -> str:
        groups = []
        for group in self._groups:
            options = ", ".join(f"{name}={o!r}" for name, o in group.items() if name != "params")
            groups.append(f"{len(group['params'])} parameters: {options}")
        return f"{type(self).__name__}({'; '.join(groups)})"

    def step(self, *, zero_grad: bool = False, max_norm: float | None = None) -> float | Any:
        """Update every trainable parameter, in place.

        A gradient that is not finite makes weights and moments that are not finite: no step is
        skipped silently.

        Parameters
        ----------
        zero_grad : bool, default False; also zero the gradients, as `zero_grad()` does, in the same
            pass over memory
        max_norm : number, at least 0, or None; if the norm of all gradients is larger, step as if
            `clip_grad_norm` had scaled them down, which saves a pass; the gradients do not change

        Returns
        -------
        norm : float, the norm of the gradients; None without max_norm

        Raises
        ------
        FloatingPointError : max_norm is given and a gradient is not finite; nothing has been
            written.
        ValueError : the function of an option returned a number that is out of range or not finite;
            the message names the option and t, and nothing has been written.
        """
        t, values = self._t + 1, self._constants
        if values is None:
            seen = {}
            values = [self._evaluate_group(group, t, seen) for group in self._groups]
        call = {"t": t, "threads": get_num_threads(), "clear": bool(zero_grad), "scale": 1.0}
        norm = None
        if max_norm is not None:
            where = f"{type(self).__name__}.step"
            max_norm = check_limit(max_norm, f"{where}: expected max_norm", finite=False)
            trainable = [p for p in self._parameters if p.trainable]
            norm = root_of_sum(finite_squares(trainable, where))
            if norm > max_norm:
                call["scale"] = max_norm / norm
        for group, members, segments in self._batches():
            self._step(values[group] | call, members, segments)
        self._t = t
        if zero_grad:
            for parameter in self._parameters:
                parameter.clear_grad(cleared=parameter.trainable)
        return norm

    def zero_grad(self) -> None:
        """Fill the gradient of every parameter with zeros."""
        for parameter in self._parameters:
            parameter.clear_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the optimizer's state.

        "step" is the number of steps taken, in an array without axes. The others are named after
        the position of their parameter in the list over all groups: "m.0", "v.0", and so on.
        """
        state = {"step": np.array(self._t, np.int64)}
        for i in range(len(self._parameters)):
            state |= {f"{name}.{i}": self._moment(name, i).copy() for name in self.moments}
        return state | {name: history.copy() for name, history in self._histories.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load a state as `state_dict` returns it.

        Raises
        ------
        TypeError : state is not a mapping, or one of its values is a masked array or not an array;
            nothing has been written.
        ValueError : names are missing or unexpected, shapes or dtypes differ, or "step" is not a
            whole number; the message lists all of them, and nothing has been written.
        """
        expected = self.state_dict()
        given = state_arrays(state, type(self).__name__)
        problems = [f"missing {name}" for name in expected if name not in given]
        problems += [f"unexpected {name}" for name in given if name not in expected]
        for name, value in expected.items():
            got = given.get(name, value)
            if got.shape != value.shape:
                problems.append(f"{name}: expected shape {value.shape}, got {got.shape}")
            if got.dtype.newbyteorder("=") != value.dtype:
                problems.append(f"{name}: expected {value.dtype}, got {got.dtype}")
        if not problems and given["step"] < 0:
            problems.append(f"step: expected at least 0, got {given['step']}")
        if problems:
            raise ValueError(
                f"{type(self).__name__}: the state is of another optimizer; nothing was loaded\n  "
                + "\n  ".join(problems)
            )
        self._t = int(given["step"])
        for i in range(len(self._parameters)):
            for name in self.moments:
                self._moment(name, i)[...] = given[f"{name}.{i}"]
        for name, history in self._histories.items():
            history[...] = given[name]
        self._plan = None

    # What a subclass may override.

    def _check(self, group):
        """Raise if an option of a group is not valid."""
        for name, option in group.items():
            self._evaluate(name, option, None, {})

    def _alike(self, i):
        """What parameters of one group must have in common to be stepped by one call."""

    # Options.

    def _evaluate_group(self, group, t, seen):
        return {name: self._evaluate(name, option, t, seen) for name, option in group.items()}

    def _evaluate(self, name, option, t, seen):
        """Return the value of an option at step t; with t None functions are not called."""
        where = type(self).__name__
        if name == "betas":
            if not isinstance(option, (tuple, list)) or len(option) != 2:
                raise TypeError(f"{where}: expected betas to be a pair, got {option!r}")
            entries = enumerate(option)
            return tuple(self._evaluate(f"{name}[{i}]", entry, t, seen) for i, entry in entries)
        if type(option) is float and 0 <= option < 1:
            return option  # valid for every option
        if name == "params" or name in self.flags:
            return option
        if callable(option):
            if t is None:
                return None
            if id(option) not in seen:
                seen[id(option)] = option(t)
            option, when = seen[id(option)], f" at t = {t}"
        else:
            when = ""
        if not is_number(option):
            raise TypeError(f"{where}: expected {name} to be a number{when}, got {option!r}")
        below = 1 if name.split("[")[0] in self.fractions else math.inf
        if not 0 <= option < below:
            raise ValueError(
                f"{where}: expected {name} to be at least 0 and "
                f"{'below 1' if below == 1 else 'finite'}{when}, got {option}"
            )
        return float(option)

    # Memory.

    def _moment(self, name, i):
        """The moment of parameter i."""
        p = self._parameters[i]
        return self._blocks[name][p.dtype][self._places[i]].reshape(p.shape)

    def _batches(self):
        """(group, positions, segments) of each call of the core, kept until an array moves."""
        arrays = [p.value if p.trainable else None for p in self._parameters]
        if self._plan is None or not all(map(operator.is_, arrays, self._planned_for)):
            together = {}
            members = [i for i, array in enumerate(arrays) if array is not None]
            for i in members:
                key = (self._group_of[i], self._parameters[i].dtype, self._alike(i))
                together.setdefault(key, []).append(i)
            self._plan = [(key[0], those, self._segments(those)) for key, those in together.items()]
            self._planned_for = arrays
        return self._plan

    def _segments(self, positions):
        """(w, g, m, v, extra) of parameters of one dtype, neighbours in memory joined into one."""
        runs = []
        for i in positions:
            p, beside = self._parameters[i], self._places[i]
            values, grads, first = p.place() or (p.value.reshape(-1), p.kept_grad().reshape(-1), 0)
            here = slice(first, first + p.size)
            last = runs[-1] if runs else None
            if last and last[0] is values and (last[2].stop, last[3].stop) == (first, beside.start):
                here, beside = slice(last[2].start, here.stop), slice(last[3].start, beside.stop)
                runs.pop()
            runs.append((values, grads, here, beside))
        dtype = self._parameters[positions[0]].dtype
        blocks = [
            self._blocks[name][dtype] if name in self._blocks else None for name in self.slots
        ]
        return [
            (
                values[here],
                grads[here],
                *(None if block is None else block[beside] for block in blocks),
            )
            for values, grads, here, beside in runs
        ]


def _varies(option):
    """Whether an option is a function of the step, or has one as an entry."""
    entries = option if isinstance(option, (tuple, list)) else (option,)
    return any(callable(entry) for entry in entries)


def parameter_list(parameters, where):
    """Return the parameters of a list or of groups: at least one, and none twice."""
    groups = as_groups(parameters, None, where)
    listed = [p for group in groups for p in group["params"]]
    refuse_duplicates(listed, where)
    return listed


def refuse_duplicates(parameters, where):
    """Raise ValueError if a parameter is in the list twice."""
    first = {}
    for i, p in enumerate(parameters):
        if first.setdefault(id(p), i) != i:
            raise ValueError(
                f"{where}: parameter {i} is also parameter {first[id(p)]}, {p!r}; list each once, "
                f"as model.parameters() does"
            )


def require_bool(option, where):
    """Raise TypeError if an option is neither True nor False."""
    if not isinstance(option, (bool, np.bool_)):
        raise TypeError(f"{where} to be True or False, got {option!r}")


def as_groups(parameters, options, where):
    """Return the groups of a list of parameters or of dicts, with their parameters checked.

    A group may have these options only; with `options` None, any.
    """
    if isinstance(parameters, Parameter) or not hasattr(parameters, "__iter__"):
        raise TypeError(
            f"{where}: expected a list of parameters or groups, got {type(parameters).__name__}; "
            f"pass model.parameters()"
        )
    entries = list(parameters)
    if not any(isinstance(entry, dict) for entry in entries):
        entries = [{"params": entries}]
    groups = []
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or "params" not in entry:
            raise TypeError(
                f"{where}: expected group {i} to be a dict with 'params', got {entry!r}"
            )
        unknown = sorted(entry.keys() - options - {"params"}) if options is not None else []
        if unknown:
            raise TypeError(
                f"{where}: group {i} has the unknown options {unknown}; expected {sorted(options)}"
            )
        groups.append(entry | {"params": list(entry["params"])})
    for p in (p for group in groups for p in group["params"]):
        if not isinstance(p, Parameter):
            raise TypeError(
                f"{where}: expected parameters, got {type(p).__name__}; pass model.parameters()"
            )
    if not any(group["params"] for group in groups):
        raise ValueError(f"{where}: expected at least one parameter, got none")
    return groups
