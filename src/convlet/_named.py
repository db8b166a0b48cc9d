"""Functions of the step that know how they were made."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec

    P = ParamSpec("P")


class Named:
    """A function of the step t that prints as the call that made it, and is pickled as that."""

    __slots__ = ("_call", "_f")

    def __init__(self, f, make, args, options):
        # what a caller may change later is kept as it is now
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
        return _make, self._call


def _make(make, args, options):
    return make(*args, **options)


def named(make: Callable[P, Callable[[int], float]]) -> Callable[P, Callable[[int], float]]:
    """Let a function of a module return functions that are `Named`."""

    @functools.wraps(make)
    def wrapper(*args, **options):
        return Named(make(*args, **options), wrapper, args, options)

    return wrapper
