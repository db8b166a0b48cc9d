"""Options that hold in a context: where they come from, how long, and what they forbid."""

import threading

import numpy as np
import pytest

import convlet as cl
from convlet import ops
from processes import run_python


def in_process(name, value):
    program = f"import convlet; print(convlet.get_options().{name})"
    return run_python(program, **{f"CONVLET_{name.upper()}": value})


@pytest.mark.parametrize("name", cl.get_options()._fields)
@pytest.mark.parametrize(("value", "expected"), [("", "True"), ("1", "True"), ("0", "False")])
def test_environment_sets_the_default(name, value, expected):
    """A variable of the environment is 0 or 1; without it the option is True."""
    assert in_process(name, value).stdout.strip() == expected


def test_environment_must_be_right():
    """Any other value is an error that names it."""
    assert "CONVLET_WINOGRAD must be 0 or 1, got 'no'" in in_process("winograd", "no").stderr


def test_options_nest_and_restore():
    """A block changes what it names and puts it back, and can be used again."""
    forbidden = cl.options(winograd=False)
    for _ in range(2):
        with forbidden, cl.options(winograd=True) as inner:
            assert inner.winograd is cl.get_options().winograd is True
        with forbidden:
            assert cl.get_options().winograd is False
        assert cl.get_options().winograd is True


def test_operators_take_options_and_algorithms():
    """Where minimal filtering is forbidden, or im2col asked for, bits are those of im2col."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, np.float32) for shape in ((2, 16, 16, 32), (3, 3, 32, 32)))

    def results(algorithm="auto"):
        y = ops.conv2d(x, w, padding=1, algorithm=algorithm)
        gradients = ops.conv2d_backward(x, x, w, padding=1, algorithm=algorithm)
        return [a.tobytes() for a in (y, *gradients)]

    expected = results("im2col")
    with cl.options(winograd=False):
        assert expected == results()
    assert all(a != b for a, b in zip(expected[:2], results()[:2], strict=True))


def test_options_restore_after_an_error():
    """A block that is left by an error puts back what held before."""
    with pytest.raises(KeyError), cl.options(winograd=False):
        raise KeyError

    assert cl.get_options().winograd is True


def test_other_threads_keep_their_options():
    """A block holds for its own thread."""
    seen = []
    with cl.options(winograd=False):
        thread = threading.Thread(target=lambda: seen.append(cl.get_options().winograd))
        thread.start()
        thread.join()

    assert seen == [True]


@pytest.mark.parametrize(
    ("message", "chosen"),
    [
        ("expected one of .* got 'speed'", {"speed": 1}),
        ("winograd must be a bool", {"winograd": 0}),
    ],
)
def test_options_refuse(message, chosen):
    """Unknown names and values that are no bools are refused."""
    with pytest.raises(TypeError, match=message):
        cl.options(**chosen)
