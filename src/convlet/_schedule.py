"""Schedules as objects: functions of the step that print, copy and pickle as the call they are."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec

    P = ParamSpec("P")


class Schedule:
    """A function of the step t that prints, and is pickled, as the call that made it."""

    __slots__ = ("_call", "_f")

    def __init__(self, f, make, args, options):
        # Tuples, because the caller may change a list later.
        args = tuple(tuple(a) if isinstance(a, list) else a for a in args)
        options = {k: tuple(a) if isinstance(a, list) else a for k, a in options.items()}
        self._f, self._call = f, (make, args, options)

    def __call__(self, t):
        return self._f(t)

    def __repr__(self):
        make, args, options = self._call
        shown = [repr(a) for a in args] + [f"{name}={a!r}" for name, a in options.items()]
        return f"{make.__name__}({', '.join(shown)})"

    def __reduce__(self):
        return _remake, self._call


def _remake(make, args, options):
    return make(*args, **options)


def recorded(make: Callable[P, Callable[[int], float]]) -> Callable[P, Callable[[int], float]]:
    """Turn the functions of t that `make` returns into a `Schedule` each."""

    @functools.wraps(make)
    def wrapper(*args, **options):
        return Schedule(make(*args, **options), wrapper, args, options)

    return wrapper
