"""Calls that do not fit: the errors name what is expected, what came, and what to write."""

import copy
import inspect
import pickle
import re
import traceback

import numpy as np
import pytest

import convlet as cl
from convlet import training
from convlet._names import (
    FOLDED_NAMES,
    FOREIGN_OPTIONS,
    OPTIMIZER_NAMES,
    PARAMETER_NAMES,
    RENAMED_OPTIONS,
)

X, Y = np.zeros((4, 3), np.float32), np.zeros(4, np.int64)


def fit(*arguments, **options):
    model = cl.Linear(3, 2, rng=0)
    return training.fit(model, cl.SGD(model.parameters(), 0.1), *arguments, **options)


# What is called, and the message.
CASES = {
    "bias": (lambda: cl.Conv2d(3, 8, 3, bias=False), "Conv2d: expected use_bias=, got bias="),
    "filters": (lambda: cl.Conv2d(filters=8), "Conv2d: expected out_channels=, got filters="),
    "epsilon": (lambda: cl.BatchNorm(4, epsilon=1e-3), "BatchNorm: expected eps=, got epsilon="),
    "dim": (lambda: cl.Softmax(dim=1), "Softmax: expected axis=, got dim="),
    "stride by position": (
        lambda: cl.MaxPool2d(2, 2),
        "MaxPool2d: expected kernel_size by position, got 2; write options by name, such as "
        "stride=2",
    ),
    "stride and padding by position": (
        lambda: cl.Conv2d(3, 8, 3, 1, (1, 1)),
        "Conv2d: expected in_channels, out_channels, kernel_size by position, got 5; write options "
        "by name, such as stride=1, padding=(1, 1)",
    ),
    "in place": (
        lambda: cl.ReLU(inplace=True),
        "ReLU: expected no options, got inplace=; leave it out: no layer writes to its x",
    ),
    "in place by position": (
        lambda: cl.SiLU(True),
        "SiLU: expected nothing by position, got 1",
    ),
    "in place beside others": (
        lambda: cl.Dropout(0.5, inplace=True),
        "Dropout: expected p, per_channel, rng, got inplace=; leave it out: no layer writes to its "
        "x",
    ),
    "axis of Concat": (
        lambda: cl.Concat(cl.ReLU(), axis=-1),
        "Concat: expected branches, got axis=",
    ),
    "one size": (
        lambda: cl.Linear(10),
        "Linear: expected in_features, out_features, got no out_features",
    ),
    "no size": (
        lambda: cl.Conv2d(kernel_size=3),
        "Conv2d: expected in_channels, out_channels, kernel_size, got no in_channels and no "
        "out_channels",
    ),
    "momentum by position": (
        lambda: cl.SGD(cl.Linear(3, 2).parameters(), 0.1, 0.9),
        "SGD: expected parameters, lr by position, got 3; write options by name, such as "
        "momentum=0.9",
    ),
    "learning_rate": (
        lambda: cl.SGD(cl.Linear(3, 2).parameters(), learning_rate=0.1),
        "SGD: expected lr=, got learning_rate=",
    ),
    "validation_data": (
        lambda: fit(X, Y, epochs=1, batch_size=2, validation_data=(X, Y)),
        "fit: expected test=, got validation_data=",
    ),
    "fit by position": (
        lambda: fit(X, Y, 1, 2),
        "fit: expected model, optimizer, x, y by position, got 6; write options by name, such as "
        "epochs=1, batch_size=2",
    ),
    "no batch_size": (
        lambda: fit(X, Y, epochs=1),
        "fit: expected model, optimizer, x, y, epochs, batch_size, got no batch_size",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_says_what_to_write(name):
    """It is a TypeError of the caller's line, not of a function inside."""
    call, message = CASES[name]
    with pytest.raises(TypeError) as caught:
        call()

    assert message == str(caught.value)
    assert caught.value.__cause__ is None
    assert "During handling" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", FOREIGN_OPTIONS)
def test_options_that_nothing_takes(name):
    """Each has its cure, after what the layer takes."""
    with pytest.raises(TypeError) as caught:
        cl.Linear(3, 2, **{name: None})

    expected = f"Linear: expected in_features, out_features, use_bias, rng, got {name}="
    assert f"{expected}; {FOREIGN_OPTIONS[name]}" == str(caught.value)


def test_renamed_options_are_options():
    """Every name that a message recommends is one of a layer, an optimizer or fit."""
    found = set(inspect.signature(training.fit).parameters)
    for kind in vars(cl).values():
        if inspect.isclass(kind):
            found |= set(inspect.signature(kind).parameters)

    assert found >= set(RENAMED_OPTIONS.values())


def test_errors_inside_are_left_alone():
    """What a constructor itself finds wrong, or a function that it calls, keeps its message."""
    with pytest.raises(TypeError, match=r"^Conv2d: stride must be an integer, got 1.5"):
        cl.Conv2d(3, 8, 3, stride=1.5)
    with pytest.raises(TypeError, match=r"^inside$"):
        fit(X, Y, epochs=1, batch_size=2, progress=lambda reached: raise_type_error())


def raise_type_error():
    raise TypeError("inside")


def test_classes_of_users_are_left_alone():
    """Their constructors are their own, and so are the errors of Python."""

    class Own(cl.ReLU):
        def __init__(self, size):
            super().__init__()
            self.size = size

    assert 3 == Own(3).size
    assert "explained" not in repr(Own.__init__)
    assert not hasattr(Own.__init__, "__wrapped__")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        Own()


def test_signatures_and_copies_are_as_before():
    """help() shows the arguments, and layers are copied and pickled."""
    parameters = list(inspect.signature(cl.MaxPool2d).parameters)

    assert ["kernel_size", "stride", "padding", "dilation", "ceil_mode"] == parameters
    assert not inspect.signature(cl.ReLU).parameters
    assert training.fit.__doc__.startswith("Train a classifier")
    layer = cl.Conv2d(3, 4, 3, rng=0)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(layer) == repr(other)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: cl.Adam(cl.Linear(3, 2).parameters()), OPTIMIZER_NAMES),
        (lambda: cl.Linear(3, 2).weight, PARAMETER_NAMES),
        (lambda: cl.Linear(3, 2).fold(), FOLDED_NAMES),
    ],
)
def test_attributes_of_other_libraries(make, names):
    """They are an AttributeError that says what is in their place."""
    thing = make()
    kind = type(thing).__name__
    for name, cure in names.items():
        message = f"^'{kind}' object has no attribute '{name}'; {re.escape(cure)}$"
        with pytest.raises(AttributeError, match=message):
            getattr(thing, name)
        assert not hasattr(thing, name)
    with pytest.raises(AttributeError, match=f"^'{kind}' object has no attribute 'nothing'$"):
        thing.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("name", "known"),
    [("Conv2D", "Conv2d"), ("Adagrad", "AdaGrad"), ("Hardswish", "HardSwish"), ("Relu", "ReLU")],
)
def test_names_in_other_case(name, known):
    """A name that differs in case alone is an error that names the right one."""
    with pytest.raises(AttributeError, match=f"'{name}'; use convlet.{known}$"):
        getattr(cl, name)


@pytest.mark.parametrize("door", ["__call__", "vjp"])
def test_images_of_bytes(door):
    """The cure divides them, as training needs it."""
    model = cl.Sequential(cl.Conv2d(3, 4, 3))
    with pytest.raises(TypeError, match=r"uint8.*use x.astype\(np.float32\) / 255 for images"):
        getattr(model, door)(np.zeros((1, 5, 5, 3), np.uint8))
