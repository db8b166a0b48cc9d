"""Types in signatures: there for everything that users call, and of use in a program."""

import inspect
import types

import convlet as cl
import typed_program

MODULES = (cl, cl.data, cl.gradcheck, cl.init, cl.losses, cl.models, cl.ops, cl.optimizers)
MODULES += (cl.schedules, cl.states, cl.training)


def public():
    """Yield (name, function) of the functions, and the methods of the classes, of all modules."""
    for module in MODULES:
        for name, value in vars(module).items():
            where = getattr(value, "__module__", None) or ""
            if name.startswith("_") or not where.startswith("convlet.") or "._" in where:
                continue
            if inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value
            elif inspect.isclass(value):
                yield from methods(f"{module.__name__}.{name}", value)


def methods(name, kind):
    """Yield (name, function) of the methods that a class adds and users call."""
    for key, value in vars(kind).items():
        if isinstance(value, property):
            value = value.fget
        value = getattr(value, "__func__", value)
        called = key in ("__init__", "__call__") or not key.startswith("_")
        if called and isinstance(value, types.FunctionType):
            yield f"{name}.{key}", value


def untyped(function):
    """Name what has no type in a signature."""
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls"):
            yield parameter.name
    if signature.return_annotation is signature.empty and function.__name__ != "__init__":
        yield "what it returns"


def test_signatures_are_typed():
    """Every parameter and every result of every public function has a type."""
    found = dict(public())

    assert len(found) > 200
    assert {} == {name: missing for name, f in found.items() if (missing := [*untyped(f)])}


def test_typed_program_runs():
    """The program that mypy reads does what it says."""
    typed_program.main()
