"""Arguments and attributes that are not there: errors that say what is."""

from __future__ import annotations

import functools
import inspect
import reprlib

from ._names import FOREIGN_OPTIONS, RENAMED_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Function = TypeVar("Function", bound=Callable[..., object])


def explained(function: Function) -> Function:
    """Return a function whose arguments, where they do not fit, are an error with the cure.

    Of a method `__init__` the error names the class of the object.
    """

    @functools.wraps(function)
    def call(*args, **options):
        try:
            return function(*args, **options)
        except TypeError as error:
            if error.__traceback__.tb_next is not None:  # raised inside
                raise
            message = _explanation(function, args, options)
        raise TypeError(message)

    return call


def explain_init(cls):
    """Make the `__init__` of a class of this package an explained one."""
    if "__init__" in vars(cls) and cls.__module__.startswith(f"{__package__}."):
        cls.__init__ = explained(cls.__init__)


def explain_attribute(thing, name, cures):
    """Raise the AttributeError of an attribute that is not there, with its cure, if there is one.

    For `__getattr__`, which is called too where a property fails: that raises its own error.
    """
    if hasattr(type(thing), name):
        return object.__getattribute__(thing, name)
    cure = f"; {cures[name]}" if name in cures else ""
    kind = type(thing).__name__
    raise AttributeError(f"{kind!r} object has no attribute {name!r}{cure}", name=name, obj=thing)


def _explanation(function, args, options):
    """What is wrong with a call that does not fit."""
    where, parameters = function.__name__, list(inspect.signature(function).parameters.values())
    if where == "__init__":
        where, args, parameters = type(args[0]).__name__, args[1:], parameters[1:]
    several = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    first = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in first + named]
    if unknown:
        return f"{where}: {_answer(unknown[0], several + first + named)}"
    if len(args) > len(first) and not several:
        pairs = zip(named, args[len(first) :], strict=False)
        written = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in pairs)
        return f"{where}: expected {', '.join(first) or 'nothing'} by position, got {len(args)}" + (
            f"; write options by name, such as {written}" if written else ""
        )
    required = [p.name for p in parameters if p.default is p.empty and p.name in first + named]
    missing = [name for name in required if name not in {*first[: len(args)], *options}]
    return f"{where}: expected {', '.join(required)}, got no {' and no '.join(missing)}"


def _answer(name, accepted):
    """What to write in place of an option that is not there."""
    if RENAMED_OPTIONS.get(name) in accepted:
        return f"expected {RENAMED_OPTIONS[name]}=, got {name}="
    expected = f"expected {', '.join(accepted) or 'no options'}, got {name}="
    return f"{expected}; {FOREIGN_OPTIONS[name]}" if name in FOREIGN_OPTIONS else expected
