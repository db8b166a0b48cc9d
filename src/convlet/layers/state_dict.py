"""The state of a model: the arrays it consists of, and loading others in their place."""

from __future__ import annotations

from .._checks import state_arrays
from .paths import join


def state_places(model):
    """Return (layer, name, value) of every array of the state, by its key."""
    return {
        join(path, name): (layer, name, value)
        for path, layer in model._walk()
        for name, value in layer._state().items()
    }


def load_state(model, state):
    """Load a state, or raise and write nothing if it is not one of this model."""
    places = state_places(model)
    given = state_arrays(state, model._label())
    problems = [f"missing {key}" for key in places if key not in given]
    problems += [f"unexpected {key}" for key in given if key not in places]
    for key, (layer, name, value) in places.items():
        got = given.get(key, value)
        problems += [f"{key}: {objection}" for objection in layer._objections(name, got)]
        if got.shape != value.shape:
            problems.append(f"{key}: expected shape {value.shape}, got {got.shape}")
        if got.dtype.newbyteorder("=") != value.dtype:
            problems.append(f"{key}: expected {value.dtype}, got {got.dtype}")
    if problems:
        if _is_of_pytorch(given, places):
            problems.append("a state of PyTorch goes through convlet.states.from_pytorch first")
        raise ValueError(
            f"{model._label()}: the state is of another model; nothing was loaded\n  "
            + "\n  ".join(problems)
        )
    for key, (layer, name, _) in places.items():
        layer._load(name, given[key])


def _is_of_pytorch(given, places):
    """Return whether arrays have names, or weights shapes, that PyTorch gives them."""
    if any(key.endswith("num_batches_tracked") for key in given):
        return True
    weights = {key: value.shape for key, (_, _, value) in places.items() if value.ndim > 1}
    return any(  # theirs are (OC, C, KH, KW) and (out, in)
        key in given and given[key].shape == shape[:-3:-1] + shape[:-2] != shape
        for key, shape in weights.items()
    )


def count_objections(value):
    """Reasons not to load an array as a count, apart from its shape and dtype."""
    negative = value.dtype.kind == "i" and value.min(initial=0) < 0
    return [f"expected at least 0, got {value}"] if negative else []
