"""The gate of the binding: what an array must be is checked before anything is written.

The calls are those that the package itself makes of each function, with one array changed.
"""

import sys

import numpy as np
import pytest

import convlet as cl
from convlet import _core, losses, optimizers
from layouts import OPERATORS, byte_swapped, draw, misaligned, read_only, strided

OTHER = {"float32": "f8", "float64": "f4", "int64": "i4", "uint8": "i1"}


def other_type(a):
    return np.zeros_like(a, OTHER[a.dtype.name])


def longer_first_axis(a):
    return np.concatenate([a, a[:1]])


def longer_last_axis(a):
    return np.concatenate([a, a[..., :1]], axis=-1)


# What leaves a call in order: statistics may be of either type, and some sizes are free.
MAKES_Y = ("conv2d", "linear", "batch_norm_by_statistics", "group_norm", "layer_norm")
STATISTICS = (
    "batch_norm_by_statistics",
    *(f"{k}_norm_gradients" for k in ("batch", "group", "layer")),
)
ALLOWED = {
    ("conv2d", (1,), longer_first_axis),
    *((name, (0,), longer_first_axis) for name in MAKES_Y),
    *((name, (i,), other_type) for name in STATISTICS for i in (3, 4)),
    *(
        (f"pad_shortcut_{way}", (i,), longer_last_axis)
        for way in ("forward", "backward")
        for i in (0, 1)
    ),
}


def train(model, x):
    y, pullback = model.vjp(x)
    pullback(np.ones_like(y))
    return model(x)


def use_everything():
    """Call every operator with arrays that are taken as they are and others, and train models."""
    for function, arrays in OPERATORS.values():
        for layout in (np.array, misaligned):
            function(*(layout(a.astype(np.float32)) for a in arrays))
    for loss in (losses.l1, losses.huber, losses.smooth_l1):
        loss(draw(3, 4), draw(3, 4))
    cl.softmax_cross_entropy(
        draw(3, 4), np.array([0, 2, 1]), class_weight=np.ones(4), sample_weight=np.ones(3)
    )
    body = cl.Sequential(cl.Conv2d(4, 4, 3, padding=1), cl.BatchNorm(4))
    shortcut = cl.Sequential(cl.Conv2d(4, 4, 1), cl.BatchNorm(4))
    model = cl.Sequential(
        *(cl.Conv2d(3, 4, 3, padding=1), cl.BatchNorm(4), cl.ReLU(), cl.MaxPool2d(2)),
        *(cl.Residual(body, shortcut), cl.ReLU(), cl.Residual(cl.Conv2d(4, 4, 1)), cl.ReLU()),
        *(cl.Concat(cl.Conv2d(4, 3, 1), cl.Conv2d(4, 2, 1)), cl.MaxPool2d(2), cl.Flatten()),
        cl.Linear(5, 3),
        rng=0,
    )
    train(model, draw(6, 4, 4, 3).astype(np.float32))
    model.freeze()
    train(model, draw(6, 4, 4, 3).astype(np.float32))
    train(cl.models.resnet20(shortcut="pad", rng=0), draw(2, 8, 8, 3).astype(np.float32))
    parameter = cl.Parameter(draw(3, 4))
    parameter.grad = draw(3, 4)
    for optimizer in (
        cl.SGD([parameter], 0.1, momentum=0.9),
        cl.Adam([parameter], amsgrad=True),
        cl.AdaGrad([parameter]),
        cl.RMSProp([parameter], momentum=0.9, centered=True),
        cl.NAdam([parameter]),
        cl.Lion([parameter]),
    ):
        optimizer.step()
    optimizers.EMA([parameter], decay=0.5).update()


def calls_of(use):
    """What functions of the binding are called with: a call of each, and each set of arrays."""
    calls = {}
    functions = {
        name: function
        for name, function in vars(_core).items()
        if callable(function) and not isinstance(function, type) and name != "empty"
    }

    def recorder(name, function):
        def call(*arguments):
            key = name, tuple(arrays_in(arguments))
            calls.setdefault(key, (function, copied(arguments)))
            return function(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module in [m for name, m in sys.modules.items() if name.startswith("convlet")]:
            for name, function in functions.items():
                if vars(module).get(name) is function:
                    patch.setattr(module, name, recorder(name, function))
        use()
    return {key: call for key, call in calls.items() if key[1]}


def arrays_in(value, place=()):
    """Where there are arrays in nested arguments."""
    if isinstance(value, np.ndarray):
        yield place
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from arrays_in(part, (*place, i))


def at(value, place):
    for i in place:
        value = value[i]
    return value


def copied(value, change=None, place=None, here=()):
    """Arguments with copies of all arrays, and the one at a place changed."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        return change(value) if here == place else value
    if isinstance(value, (tuple, list)):
        return type(value)(copied(v, change, place, (*here, i)) for i, v in enumerate(value))
    return value


def writes(function, arguments, place):
    """Whether a call writes the array at a place: zeros there, or ones, do not stay."""
    for start in (np.zeros_like, np.ones_like):
        given = copied(arguments, start, place)
        before = at(given, place).tobytes()
        is_refused(function, given)
        if at(given, place).tobytes() != before:
            return True
    return False


def is_refused(function, arguments, returns=None):
    """Whether a call raises an error or, where it returns arrays otherwise, None."""
    try:
        return function(*arguments) is None and returns is not None
    except (TypeError, ValueError, ZeroDivisionError):
        return True


def is_plain(a, as_this):
    """Whether an array is like another after all, as with strides of one element."""
    return (
        (a.dtype, a.shape) == (as_this.dtype, as_this.shape)
        and a.flags.c_contiguous
        and a.flags.aligned
        and a.flags.writeable
    )


CALLS = calls_of(use_everything)
CHANGES = (
    *(other_type, longer_first_axis, longer_last_axis),
    *(strided, misaligned, byte_swapped, read_only),
)


@pytest.mark.parametrize("key", CALLS, ids=lambda key: f"{key[0]}-{len(key[1])}")
def test_what_an_array_must_be(key):
    """Another type, shape or layout, or a read-only output, is refused with nothing written."""
    name, places = key
    function, arguments = CALLS[key]
    result = function(*copied(arguments))
    for place in places:
        written = writes(function, arguments, place)
        for change in CHANGES:
            given = copied(arguments, change, place)
            before = copied(given)
            if (name, place, change) in ALLOWED or is_plain(at(given, place), at(arguments, place)):
                continue
            if len(places) == 1 and change in CHANGES[:3]:  # it has none to be like
                continue
            if change is read_only and not written:
                assert not is_refused(function, given, result)
                continue
            assert is_refused(function, given, result), (place, change)
            for array in places:
                np.testing.assert_array_equal(at(before, array), at(given, array))
