"""Schedules: functions of the step t = 1, 2, ..., for any hyper-parameter of any optimizer.

Each function here returns a function f(t), to be passed in place of a number:
SGD(parameters, lr=cosine(0.1, 1000), momentum=one_cycle(0.85, 1000, start=0.95, final=0.95)). It
prints as the call that made it, and an optimizer that holds it can be copied and pickled. For a
schedule in epochs, multiply `every`, `steps` and the like by the steps of an epoch. f(1) is the
initial value, so f(t) is the value of PyTorch's scheduler of that name after t - 1 calls of its
step(); past the end of the schedule, f keeps its last value.
"""

from __future__ import annotations

import bisect
import itertools
import math
import numbers

from ._checks import is_number
from ._schedule import recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Literal

    from ._types import Option


@recorded
def constant(value: float) -> Callable[[int], float]:
    """Return the same value at every step.

        f(t) = value

    Parameters
    ----------
    value : number

    Raises
    ------
    TypeError, ValueError : value is not a number, or not finite.

    Examples
    --------
    >>> constant(0.1)(7)
    0.1
    """
    value = _number(value, "constant: expected value")
    return lambda t: value


@recorded
def step(initial: float, every: int, *, factor: float = 0.1) -> Callable[[int], float]:
    """Multiply by a factor every `every` steps.

        f(t) = initial · factor^⌊(t - 1)/every⌋

    Parameters
    ----------
    initial, factor : number
    every : int, at least 1

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    Examples
    --------
    >>> f = step(8.0, every=2, factor=0.5)
    >>> [f(t) for t in (1, 2, 3, 4, 5)]
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """
    initial = _number(initial, "step: expected initial")
    factor = _number(factor, "step: expected factor")
    every = _whole(every, "step: expected every")
    return lambda t: initial * factor ** ((t - 1) // every)


@recorded
def multi_step(
    initial: float, milestones: Sequence[int], *, factor: float = 0.1
) -> Callable[[int], float]:
    """Multiply by a factor after each of the milestones.

        f(t) = initial · factor^(number of milestones below t)

    Parameters
    ----------
    initial, factor : number
    milestones : increasing list of int, at least 1: the last steps before a change

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    Examples
    --------
    >>> f = multi_step(8.0, [2, 4], factor=0.5)
    >>> [f(t) for t in (1, 2, 3, 4, 5)]
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """
    initial = _number(initial, "multi_step: expected initial")
    factor = _number(factor, "multi_step: expected factor")
    milestones = _milestones(milestones, "multi_step")
    return lambda t: initial * factor ** bisect.bisect_left(milestones, t)


@recorded
def exponential(initial: float, factor: float) -> Callable[[int], float]:
    """Multiply by a factor at every step.

        f(t) = initial · factor^(t - 1)

    Parameters
    ----------
    initial, factor : number

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or not finite.

    Examples
    --------
    >>> f = exponential(8.0, 0.5)
    >>> [f(t) for t in (1, 2, 3)]
    [8.0, 4.0, 2.0]
    """
    initial = _number(initial, "exponential: expected initial")
    factor = _number(factor, "exponential: expected factor")
    return lambda t: initial * factor ** (t - 1)


@recorded
def polynomial(
    initial: float, steps: int, *, power: float = 1.0, final: float = 0.0
) -> Callable[[int], float]:
    """Decay to a final value along a polynomial: a straight line with power 1.

        f(t) = final + (initial - final) · (1 - s)^power,  s = min((t - 1)/steps, 1)

    Parameters
    ----------
    initial, final : number
    steps : int, at least 1: f(steps + 1) = final
    power : number above 0

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    Examples
    --------
    >>> f = polynomial(8.0, 4)
    >>> [f(t) for t in (1, 2, 3, 4, 5, 6)]
    [8.0, 6.0, 4.0, 2.0, 0.0, 0.0]
    """
    initial = _number(initial, "polynomial: expected initial")
    final = _number(final, "polynomial: expected final")
    steps = _whole(steps, "polynomial: expected steps")
    power = _positive(power, "polynomial: expected power")
    return lambda t: final + (initial - final) * (1 - min((t - 1) / steps, 1)) ** power


@recorded
def inverse_sqrt(initial: float, timescale: float = 1) -> Callable[[int], float]:
    """Decay with the inverse square root of the step.

        f(t) = initial · √(timescale/(timescale + t - 1))

    With timescale 1 this is initial/√t; warm_up(inverse_sqrt(peak, n), n) is the schedule of the
    Transformer.

    Parameters
    ----------
    initial : number
    timescale : number above 0

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762

    Examples
    --------
    >>> f = inverse_sqrt(8.0)
    >>> [f(t) for t in (1, 4, 16)]
    [8.0, 4.0, 2.0]
    """
    initial = _number(initial, "inverse_sqrt: expected initial")
    timescale = _positive(timescale, "inverse_sqrt: expected timescale")
    return lambda t: initial * math.sqrt(timescale / (timescale + t - 1))


@recorded
def cosine(
    initial: float, steps: int, *, final: float = 0.0, restarts: bool = False, growth: int = 1
) -> Callable[[int], float]:
    """Decay to a final value along half a cosine, once or with restarts.

        f(t) = final + (initial - final) · (1 + cos(π s))/2,  s = min((t - 1)/steps, 1)

    With restarts, s starts again at 0 after `steps` steps, and each cycle is `growth` times as long
    as the one before.

    Parameters
    ----------
    initial, final : number
    steps : int, at least 1
    restarts : bool, default False
    growth : int, at least 1

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    References
    ----------
    Loshchilov & Hutter 2017, arXiv:1608.03983

    Examples
    --------
    >>> f = cosine(8.0, 4)
    >>> [round(f(t), 6) for t in (1, 3, 5, 6)]
    [8.0, 4.0, 0.0, 0.0]
    >>> f = cosine(8.0, 4, restarts=True, growth=2)
    >>> [round(f(t), 6) for t in (1, 3, 5, 9, 13)]
    [8.0, 4.0, 8.0, 4.0, 8.0]
    """
    initial = _number(initial, "cosine: expected initial")
    final = _number(final, "cosine: expected final")
    steps = _whole(steps, "cosine: expected steps")
    growth = _whole(growth, "cosine: expected growth")

    def f(t):
        done, length = t - 1, steps
        while restarts and done >= length:
            done, length = done - length, length * growth
        return _between(initial, final, min(done / length, 1), "cosine")

    return f


@recorded
def warm_up(
    then: Option, steps: int, *, start: float = 0.0, shape: Literal["linear", "cosine"] = "linear"
) -> Callable[[int], float]:
    """Warm up to another schedule, which starts afterwards.

        f(t) = start + (then(1) - start) · s for t <= steps, afterwards then(t - steps)
        s = (t - 1)/steps, or (1 - cos(π (t - 1)/steps))/2 with shape "cosine"

    Parameters
    ----------
    then : a number or a function of t
    steps : int, at least 1
    start : number, default 0: f(1)
    shape : "linear" or "cosine"

    Raises
    ------
    TypeError, ValueError : an argument is not a number or out of range, or shape is unknown.

    References
    ----------
    Goyal et al. 2017, arXiv:1706.02677

    Examples
    --------
    >>> f = warm_up(step(8.0, every=2, factor=0.5), 4)
    >>> [f(t) for t in range(1, 8)]
    [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 4.0]
    """
    then = _function(then, "warm_up: expected then")
    steps = _whole(steps, "warm_up: expected steps")
    start = _number(start, "warm_up: expected start")
    _check_shape(shape, "warm_up")

    def f(t):
        if t > steps:
            return then(t - steps)
        return _between(start, then(1), (t - 1) / steps, shape)

    return f


@recorded
def one_cycle(
    peak: float,
    steps: int,
    *,
    start: float | None = None,
    final: float | None = None,
    warm_fraction: float = 0.3,
    shape: Literal["linear", "cosine"] = "cosine",
) -> Callable[[int], float]:
    """Rise to a peak, then fall far below the start.

    With n = warm_fraction·steps - 1, f goes from start to peak over the first n steps and from peak
    to final over the others, up to t = steps, along half a cosine or a straight line; then it stays
    at final. n need not be whole. For a momentum that moves against the learning rate, pass start
    and final above peak: one_cycle(0.85, steps, start=0.95, final=0.95).

    Parameters
    ----------
    peak : number
    steps : int, at least 2
    start : number, default peak/25
    final : number, default start/10,000
    warm_fraction : number from 0 to 1, with warm_fraction·steps at least 1
    shape : "cosine" or "linear"

    Raises
    ------
    TypeError, ValueError : an argument is not a number or out of range, or shape is unknown.

    References
    ----------
    Smith & Topin 2019, arXiv:1708.07120

    Examples
    --------
    >>> f = one_cycle(8.0, 11, start=2.0, final=0.0, warm_fraction=4 / 11, shape="linear")
    >>> [round(f(t), 6) for t in (1, 2, 3, 4, 5, 11, 12)]
    [2.0, 4.0, 6.0, 8.0, 6.857143, 0.0, 0.0]
    """
    peak = _number(peak, "one_cycle: expected peak")
    steps = _whole(steps, "one_cycle: expected steps", least=2)
    start = peak / 25 if start is None else _number(start, "one_cycle: expected start")
    final = start / 1e4 if final is None else _number(final, "one_cycle: expected final")
    rise = _number(warm_fraction, "one_cycle: expected warm_fraction") * steps - 1
    _check_shape(shape, "one_cycle")
    if not 0 <= rise < steps - 1:
        raise ValueError(
            f"one_cycle: expected warm_fraction to be below 1 and warm_fraction·steps at least 1, "
            f"got {warm_fraction} of {steps} steps"
        )

    def f(t):
        if t - 1 < rise:
            return _between(start, peak, (t - 1) / rise, shape)
        return _between(peak, final, min((t - 1 - rise) / (steps - 1 - rise), 1), shape)

    return f


@recorded
def sequential(schedules: Sequence[Option], milestones: Sequence[int]) -> Callable[[int], float]:
    """Run schedules one after the other, each from its own t = 1.

        f(t) = schedules[k](t - milestones[k-1]) for milestones[k-1] < t <= milestones[k]

    Parameters
    ----------
    schedules : list of numbers and functions of t
    milestones : increasing list of int: the last step of each schedule but the last

    Raises
    ------
    TypeError, ValueError : a schedule is not a number or function, or the lengths do not match.

    Examples
    --------
    >>> f = sequential([1.0, exponential(8.0, 0.5)], [2])
    >>> [f(t) for t in (1, 2, 3, 4, 5)]
    [1.0, 1.0, 8.0, 4.0, 2.0]
    """
    schedules = [
        _function(s, f"sequential: expected schedule {i}") for i, s in enumerate(schedules)
    ]
    milestones = _milestones(milestones, "sequential")
    if len(schedules) != len(milestones) + 1:
        raise ValueError(
            f"sequential: expected one schedule more than milestones, got {len(schedules)} "
            f"schedules and {len(milestones)} milestones"
        )
    begins = [0, *milestones]

    def f(t):
        k = bisect.bisect_left(milestones, t)
        return schedules[k](t - begins[k])

    return f


@recorded
def chained(*schedules: Option) -> Callable[[int], float]:
    """Multiply schedules with each other.

        f(t) = Π schedules[k](t)

    Parameters
    ----------
    schedules : numbers and functions of t, at least one; usually all but one are factors near 1

    Raises
    ------
    TypeError, ValueError : a schedule is not a number or function, or there is none.

    Examples
    --------
    >>> f = chained(exponential(8.0, 0.5), warm_up(1.0, 2, start=0.5))
    >>> [f(t) for t in (1, 2, 3, 4)]
    [4.0, 3.0, 2.0, 1.0]
    """
    if not schedules:
        raise ValueError("chained: expected at least one schedule, got none")
    schedules = [_function(s, f"chained: expected schedule {i}") for i, s in enumerate(schedules)]
    return lambda t: math.prod(schedule(t) for schedule in schedules)


class Plateau:
    """A value that falls when a metric has stopped improving.

    Call `update(metric)` after each evaluation. A metric improves if it is below
    best - threshold·|best| (mode "min") or above best + threshold·|best| ("max"). After more than
    `patience` updates in a row without improvement, the value becomes max(factor·value, least), and
    the next `cooldown` updates do not count. As a function of t it ignores t.

    Parameters
    ----------
    initial : number
    factor : number from 0 to 1, default 0.1
    patience : int, default 10
    mode : "min" or "max"
    threshold : number, default 1e-4
    cooldown : int, default 0
    least : number, default 0; at most initial

    Raises
    ------
    TypeError, ValueError : an argument is not a number, or out of range.

    Examples
    --------
    >>> f = Plateau(8.0, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     f.update(loss)
    >>> f(1)
    4.0
    """

    def __init__(
        self,
        initial: float,
        *,
        factor: float = 0.1,
        patience: int = 10,
        mode: Literal["min", "max"] = "min",
        threshold: float = 1e-4,
        cooldown: int = 0,
        least: float = 0.0,
    ) -> None:
        self._value = _number(initial, "Plateau: expected initial")
        self._factor = _number(factor, "Plateau: expected factor")
        self._patience = _whole(patience, "Plateau: expected patience", least=0)
        self._threshold = _number(threshold, "Plateau: expected threshold")
        self._cooldown = _whole(cooldown, "Plateau: expected cooldown", least=0)
        self._least = _number(least, "Plateau: expected least")
        if not 0 <= self._factor < 1:
            raise ValueError(f"Plateau: expected factor to be at least 0 and below 1, got {factor}")
        if self._least > self._value:
            raise ValueError(
                f"Plateau: expected least to be at most initial, {initial}, got {least}"
            )
        if self._threshold < 0:
            raise ValueError(f"Plateau: expected threshold to be at least 0, got {threshold}")
        if mode not in ("min", "max"):
            raise ValueError(f"Plateau: expected mode to be 'min' or 'max', got {mode!r}")
        self._sign = 1 if mode == "min" else -1
        self._best, self._waited, self._cooling = math.inf, 0, 0  # best: of the signed metrics

    def __repr__(self) -> str:
        mode = "min" if self._sign == 1 else "max"
        return (
            f"Plateau({self._value!r}, factor={self._factor!r}, patience={self._patience}, "
            f"mode={mode!r}, threshold={self._threshold!r}, cooldown={self._cooldown}, "
            f"least={self._least!r})"
        )

    def __call__(self, t: int) -> float:
        """Return the current value, for any t."""
        return self._value

    def update(self, metric: float) -> None:
        """Record a metric, and lower the value if it is time.

        Parameters
        ----------
        metric : float, finite

        Raises
        ------
        TypeError, ValueError : metric is not a number, or not finite.
        """
        metric = self._sign * _number(metric, "Plateau.update: expected metric")
        if math.isinf(self._best) or metric < self._best - self._threshold * abs(self._best):
            self._best, self._waited = metric, 0
        else:
            self._waited += 1
        if self._cooling > 0:
            self._cooling, self._waited = self._cooling - 1, 0
        if self._waited > self._patience:
            self._value = max(self._value * self._factor, self._least)
            self._cooling, self._waited = self._cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """Return its state: value, best, waited and cooling."""
        return {
            "value": self._value,
            "best": self._sign * self._best,
            "waited": self._waited,
            "cooling": self._cooling,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state as `state_dict` returns it; raise ValueError if names differ."""
        expected = self.state_dict().keys()
        if set(state) != set(expected):
            raise ValueError(f"Plateau: expected a state of {list(expected)}, got {list(state)}")
        self._value, self._best = float(state["value"]), self._sign * float(state["best"])
        self._waited, self._cooling = int(state["waited"]), int(state["cooling"])


def _between(start, end, part, shape):
    """The value at the fraction `part` of the way."""
    if shape == "cosine":
        return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
    return start + (end - start) * part


def _check_shape(shape, where):
    if shape not in ("linear", "cosine"):
        raise ValueError(f"{where}: expected shape to be 'linear' or 'cosine', got {shape!r}")


def _number(value, where):
    if not is_number(value):
        raise TypeError(f"{where} to be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{where} to be finite, got {value}")
    return float(value)


def _positive(value, where):
    number = _number(value, where)
    if number <= 0:
        raise ValueError(f"{where} to be above 0, got {value}")
    return number


def _whole(value, where, least=1):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{where} to be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{where} to be at least {least}, got {value}")
    return int(value)


def _milestones(milestones, where):
    if not hasattr(milestones, "__iter__"):
        raise TypeError(f"{where}: expected a list of milestones, got {milestones!r}")
    milestones = [_whole(m, f"{where}: expected milestones") for m in milestones]
    if any(a >= b for a, b in itertools.pairwise(milestones)):
        raise ValueError(f"{where}: expected increasing milestones, got {milestones}")
    return milestones


def _function(value, where):
    if callable(value):
        return value
    number = _number(value, where)
    return lambda t: number
