"""How an array lies in memory does not change a bit of any result, and inputs are never written."""

import array as standard_array

import numpy as np
import pytest

import convlet as cl
from convlet import ops
from layouts import (
    LAYOUTS,
    OPERATORS,
    byte_swapped,
    draw,
    misaligned,
    negative_strides,
    of_ctypes,
    read_only,
    strided,
)


def arrays_of(result):
    return [np.asarray(a) for a in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPERATORS)
def test_layout_does_not_change_a_bit(name, layout, dtype):
    """Results and inputs are the same whatever the memory of the inputs looks like."""
    function, arrays = OPERATORS[name]
    arrays = [a.astype(dtype) for a in arrays]
    expected = arrays_of(function(*(a.copy() for a in arrays)))
    given = [layout(a) for a in arrays]

    results = arrays_of(function(*given))

    for result, wanted in zip(results, expected, strict=True):
        assert type(result) is np.ndarray
        assert result.tobytes() == wanted.tobytes()
        assert result.flags.c_contiguous
        assert result.flags.writeable
        assert result.dtype.isnative
    for a, original in zip(given, arrays, strict=True):
        survived = getattr(a, "a", a)
        np.testing.assert_array_equal(np.asarray(survived), original)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pullbacks_take_any_layout(layout):
    """A gradient that a pullback is given may be laid out in any way."""
    model = cl.Conv2d(3, 4, 3, rng=0).astype("float64")
    x, dy = draw(2, 5, 4, 3), draw(2, 3, 2, 4)
    expected = model.vjp(x)[1](dy.copy())

    np.testing.assert_array_equal(expected, model.vjp(x)[1](layout(dy)))


@pytest.mark.parametrize(
    "layout", [strided, negative_strides, byte_swapped, misaligned, read_only, of_ctypes]
)
def test_labels_in_any_layout(layout):
    """Labels may be laid out in any way."""
    logits, labels = draw(5, 4), np.array([3, 0, 1, 2, 3])
    expected = ops.softmax_cross_entropy(logits, labels)

    given = np.repeat(labels, 2)[::2] if layout is strided else layout(labels)
    loss, dlogits = ops.softmax_cross_entropy(logits, given)

    assert loss == expected[0]
    np.testing.assert_array_equal(dlogits, expected[1])


def test_stride_zero():
    """One image standing for a batch, as np.broadcast_to makes it."""
    image, w = draw(1, 5, 4, 3), draw(3, 3, 3, 2)

    y = ops.conv2d(np.broadcast_to(image, (4, 5, 4, 3)), w)

    np.testing.assert_array_equal(y, ops.conv2d(np.repeat(image, 4, axis=0), w))


def test_arrays_of_the_standard_library():
    """An array.array is an array."""
    x = standard_array.array("f", [-1.0, 2.0])

    np.testing.assert_array_equal(ops.relu(x), [0, 2])


def test_results_share_no_memory_with_inputs():
    """A result is never a view of an input."""
    x = draw(2, 3)
    for y in (ops.relu(x), ops.add(x, x), ops.softmax(x)):
        assert not np.shares_memory(x, y)
