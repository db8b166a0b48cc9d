"""How an array lies in memory does not change a bit of any result, and inputs are never written."""

import array as standard_array

import numpy as np
import pytest

import convlet as cl
from convlet import ops


def strided(a):
    wider = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
    wider[..., ::2] = a
    return wider[..., ::2]


def negative_strides(a):
    return np.ascontiguousarray(np.flip(a))[(slice(None, None, -1),) * a.ndim]


def byte_swapped(a):
    return a.astype(a.dtype.newbyteorder())


def misaligned(a):
    memory = bytearray(a.nbytes + 1)
    moved = np.frombuffer(memory, a.dtype, a.size, offset=1).reshape(a.shape)
    moved[...] = a
    return moved


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def fortran(a):
    return np.asfortranarray(a)


def metadata(a):
    """A dtype that equals float32 without being the object."""
    return a.astype(np.dtype(a.dtype, metadata={"unit": "px"}))


def matrix_like(a):
    class Subclass(np.ndarray):
        pass

    return a.view(Subclass)


class OnlyArray:
    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return self.a


class OnlyDLPack:
    def __init__(self, a):
        self.a = a

    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def buffer(a):
    return memoryview(np.ascontiguousarray(a))


LAYOUTS = [
    strided,
    negative_strides,
    byte_swapped,
    misaligned,
    read_only,
    fortran,
    metadata,
    matrix_like,
    OnlyArray,
    OnlyDLPack,
    buffer,
]

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape)


# Operators as functions of the arrays that are laid out differently.
ACTIVATIONS = (
    *("leaky_relu", "relu6", "sigmoid", "tanh", "elu", "gelu", "silu", "hard_swish"),
    "softplus",
)
OPERATORS = {
    "conv2d": (
        lambda x, w, b: ops.conv2d(x, w, b, padding=1, stride=2),
        [draw(2, 5, 4, 3), draw(3, 3, 3, 7), draw(7)],
    ),
    "conv2d_backward": (
        lambda dy, x, w: ops.conv2d_backward(dy, x, w, padding=1),
        [draw(2, 5, 4, 7), draw(2, 5, 4, 3), draw(3, 3, 3, 7)],
    ),
    "linear": (ops.linear, [draw(4, 5), draw(5, 3), draw(3)]),
    "linear_backward": (ops.linear_backward, [draw(4, 3), draw(4, 5), draw(5, 3)]),
    "batch_norm": (
        lambda x, g, b, r: ops.batch_norm(x, g, b, residual=r, activation="relu"),
        [draw(4, 3, 2, 5), draw(5), draw(5), draw(4, 3, 2, 5)],
    ),
    "batch_norm_inference": (
        ops.batch_norm_inference,
        [draw(4, 3, 2, 5), draw(5), draw(5), draw(5), draw(5) ** 2],
    ),
    "batch_norm_backward": (
        ops.batch_norm_backward,
        [draw(4, 3, 2, 5), draw(4, 3, 2, 5), draw(5), draw(5), draw(5) ** 2],
    ),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2), [draw(2, 6, 4, 3)]),
    "max_pool2d_backward": (
        lambda dy, x: ops.max_pool2d_backward(dy, x, 2),
        [draw(2, 3, 2, 3), draw(2, 6, 4, 3)],
    ),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), [draw(2, 6, 4, 3)]),
    "avg_pool2d_backward": (
        lambda dy: ops.avg_pool2d_backward(dy, (2, 6, 4, 3), 2),
        [draw(2, 3, 2, 3)],
    ),
    "global_avg_pool2d": (ops.global_avg_pool2d, [draw(2, 6, 4, 3)]),
    "add": (ops.add, [draw(3, 4), draw(3, 4)]),
    "relu": (ops.relu, [draw(3, 4)]),
    "relu_backward": (ops.relu_backward, [draw(3, 4), draw(3, 4)]),
    **{name: (getattr(ops, name), [draw(3, 7)]) for name in ACTIVATIONS},
    **{
        f"{name}_backward": (getattr(ops, f"{name}_backward"), [draw(3, 7), draw(3, 7)])
        for name in ACTIVATIONS
    },
    "softmax": (ops.softmax, [draw(3, 4)]),
    "softmax over the first axis": (lambda x: ops.softmax(x, axis=0), [draw(3, 4)]),
    "log_softmax": (ops.log_softmax, [draw(3, 4)]),
    "softmax_backward": (ops.softmax_backward, [draw(3, 4), draw(3, 4)]),
    "log_softmax_backward": (ops.log_softmax_backward, [draw(3, 4), draw(3, 4)]),
    "softmax_cross_entropy": (
        lambda x: ops.softmax_cross_entropy(x, np.array([0, 3, 1])),
        [draw(3, 4)],
    ),
    "soft targets": (ops.softmax_cross_entropy, [draw(3, 4), draw(3, 4) ** 2]),
}


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


@pytest.mark.parametrize("layout", [strided, negative_strides, byte_swapped, misaligned, read_only])
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
