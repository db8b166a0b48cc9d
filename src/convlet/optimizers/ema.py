"""Exponential moving averages of weights."""

from __future__ import annotations

import contextlib

import numpy as np

from .. import _core
from .._checks import is_number, state_arrays
from ..threads import get_num_threads
from .base import parameter_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    from .._types import Option, Parameters


class EMA:
    """Exponential moving averages of parameters, for evaluation.

        average ← average + (1 - decay)·(w - average)

    The averages start at the values of the parameters. Call `update()` after each step.

    Parameters
    ----------
    parameters : list of Parameter or of groups
    decay : number from 0 to 1, or a function of t = 1, 2, ..., the number of the update, such as
        lambda t: min(0.999, t / (t + 9)), which forgets the start sooner

    Raises
    ------
    TypeError, ValueError : there are no parameters, or one twice; decay is out of range.

    Notes
    -----
    Only parameters are averaged. The running statistics of a batch norm belong to the model and are
    averages already; to get those of the averaged weights, pass training data through the training
    door, or to `Layer.recalibrate`, inside `averaged()`.

    References
    ----------
    Polyak & Juditsky 1992, SIAM J. Control Optim. 30

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Parameter
    >>> w = Parameter(np.zeros(2, np.float32))
    >>> ema = EMA([w], decay=0.75)
    >>> w.value[...] = 4
    >>> ema.update()
    >>> with ema.averaged():
    ...     w.value
    array([1., 1.], dtype=float32)
    >>> w.value
    array([4., 4.], dtype=float32)
    """

    def __init__(self, parameters: Parameters, decay: Option) -> None:
        self._parameters = parameter_list(parameters, "EMA")
        self._decay = decay
        self._t = 0
        self._inside = False
        if not callable(decay):
            self._evaluate(0)
        self._averages = [p.value.copy() for p in self._parameters]

    def update(self) -> None:
        """Move the averages towards the current values.

        Raises
        ------
        RuntimeError : inside `averaged()`, where the values are the averages.
        ValueError : the function of t returned a decay out of range; nothing has been written.
        """
        if self._inside:
            raise RuntimeError("EMA: update() inside averaged() would average the averages")
        decay = self._evaluate(self._t + 1)
        segments = {}
        for p, average in zip(self._parameters, self._averages, strict=True):
            pair = average.reshape(-1), p.value.reshape(-1), None, None, None
            segments.setdefault(p.dtype, []).append(pair)
        for table in segments.values():
            _core.blend(table, 1 - decay, get_num_threads())
        self._t += 1

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Replace the values by the averages in a `with` block, and restore them at its end.

        Changes of the values inside the block are lost.

        Raises
        ------
        RuntimeError : such a block is active already.
        """
        if self._inside:
            raise RuntimeError("EMA: the averages are in place already")
        kept = [p.value.copy() for p in self._parameters]
        self._inside = True
        try:
            self._assign(self._averages)
            yield
        finally:
            self._assign(kept)
            self._inside = False

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the averages, "average.0" and so on, and "step", the updates made."""
        averages = {f"average.{i}": a.copy() for i, a in enumerate(self._averages)}
        return {"step": np.array(self._t, np.int64)} | averages

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load a state as `state_dict` returns it.

        Raises
        ------
        TypeError : state is not a mapping, or one of its values is a masked array or not an array;
            nothing has been written.
        ValueError : names are missing or unexpected, shapes or dtypes differ, or "step" is not a
            whole number; the message lists all of them, and nothing has been written.
        """
        names = [f"average.{i}" for i in range(len(self._averages))]
        given = state_arrays(state, "EMA")
        problems = [f"missing {name}" for name in ["step", *names] if name not in given]
        problems += [f"unexpected {name}" for name in given if name not in {"step", *names}]
        for name, average in zip(names, self._averages, strict=True):
            found = given.get(name, average)
            if found.shape != average.shape or found.dtype.newbyteorder("=") != average.dtype:
                problems.append(
                    f"{name}: expected {average.dtype} of shape {average.shape}, "
                    f"got {found.dtype} of shape {found.shape}"
                )
        step = given.get("step", np.asarray(0))
        if step.shape != () or step.dtype.kind not in "iu" or step < 0:
            problems.append(f"step: expected a whole number, at least 0, got {step}")
        if problems:
            raise ValueError(
                "EMA: the state is of other parameters; nothing was loaded\n  "
                + "\n  ".join(problems)
            )
        self._t = int(step)
        for name, average in zip(names, self._averages, strict=True):
            average[...] = given[name]

    def _evaluate(self, t):
        decay = self._decay(t) if callable(self._decay) else self._decay
        when = f" at t = {t}" if callable(self._decay) else ""
        if not is_number(decay):
            raise TypeError(f"EMA: expected decay to be a number{when}, got {decay!r}")
        if not 0 <= decay <= 1:
            raise ValueError(f"EMA: expected decay to be from 0 to 1{when}, got {decay}")
        return float(decay)

    def _assign(self, arrays):
        for p, array in zip(self._parameters, arrays, strict=True):
            p.value[...] = array
