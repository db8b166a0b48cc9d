"""Arrays that lie in memory in many ways, and operators as functions of arrays."""

import ctypes

import numpy as np

from convlet import losses, ops


def strided(a):
    between = np.nan if a.dtype.kind == "f" else 0
    wider = np.full((*a.shape[:-1], 2 * a.shape[-1]), between, a.dtype)
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


def of_ctypes(a):
    """A dtype that names the order of its bytes, which is that of the machine."""
    kind = {"f": ctypes.c_float, "d": ctypes.c_double}.get(a.dtype.char, ctypes.c_int64)
    memory = np.ctypeslib.as_array((kind * a.size)()).reshape(a.shape)
    memory[...] = a
    return memory


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
    of_ctypes,
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
    "nll": (lambda x: ops.nll(x, np.array([0, 3, 1])), [draw(3, 4)]),
    "group_norm": (
        lambda x, g, b: ops.group_norm(x, g, b, groups=2),
        [draw(3, 5, 6), draw(6), draw(6)],
    ),
    "group_norm_backward": (
        ops.group_norm_backward,
        [draw(3, 5, 6), draw(3, 5, 6), draw(6), draw(3, 2), draw(3, 2) ** 2],
    ),
    "layer_norm": (ops.layer_norm, [draw(3, 5, 6), draw(6), draw(6)]),
    "layer_norm_backward": (
        ops.layer_norm_backward,
        [draw(3, 5, 6), draw(3, 5, 6), draw(6), draw(3, 5), draw(3, 5) ** 2],
    ),
    "conv_transpose2d": (
        lambda x, w, b: ops.conv_transpose2d(x, w, b, stride=2),
        [draw(2, 3, 2, 3), draw(3, 3, 7, 3), draw(7)],
    ),
    "conv_transpose2d_backward": (
        lambda dy, x, w: ops.conv_transpose2d_backward(dy, x, w, stride=2),
        [draw(2, 7, 5, 7), draw(2, 3, 2, 3), draw(3, 3, 7, 3)],
    ),
    "pad2d": (lambda x: ops.pad2d(x, 1, mode="reflect"), [draw(2, 3, 4, 3)]),
    "pad2d_backward": (
        lambda dy: ops.pad2d_backward(dy, (2, 3, 4, 3), 1, mode="reflect"),
        [draw(2, 5, 6, 3)],
    ),
    "upsample2d": (lambda x: ops.upsample2d(x, 2, mode="bilinear"), [draw(2, 3, 4, 3)]),
    "upsample2d_backward": (
        lambda dy: ops.upsample2d_backward(dy, (2, 3, 4, 3), 2, mode="bilinear"),
        [draw(2, 6, 8, 3)],
    ),
    "adaptive_avg_pool2d": (lambda x: ops.adaptive_avg_pool2d(x, (2, 3)), [draw(2, 5, 4, 3)]),
    "adaptive_avg_pool2d_backward": (
        lambda dy: ops.adaptive_avg_pool2d_backward(dy, (2, 5, 4, 3), (2, 3)),
        [draw(2, 2, 3, 3)],
    ),
    "dropout": (lambda x: ops.dropout(x, 0.5, seed=1), [draw(3, 40)]),
    "mse": (losses.mse, [draw(3, 4), draw(3, 4)]),
    "binary cross-entropy": (
        lambda x, y, p, s: losses.binary_cross_entropy_with_logits(
            x, y, pos_weight=p, sample_weight=s
        ),
        [draw(3, 4), draw(3, 4) ** 2 % 1, draw(3, 4) ** 2, draw(3, 4) ** 2],
    ),
    "focal": (losses.focal, [draw(3, 4), draw(3, 4) ** 2 % 1]),
}
