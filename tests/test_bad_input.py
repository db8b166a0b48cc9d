"""Bad input to an operator: the right exception, naming the argument, what it got and the cure."""

import math
import re

import numpy as np
import pytest

from convlet import ops


class Guarded:
    """An array of another library that this one may not read yet."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


class Exported:
    """One that gives its numbers out by DLPack alone, and not these."""

    def __dlpack__(self, **options):
        raise BufferError("on another device")

    def __dlpack_device__(self):
        return (1, 0)


def floats(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


X, W, B = floats(2, 6, 5, 3), floats(3, 3, 3, 4), floats(4)
DY = floats(2, 4, 3, 4)
GAMMA = floats(3)
LOGITS, LABELS = floats(4, 10), np.arange(4)


def conv(x=X, w=W, b=B, **options):
    return lambda: ops.conv2d(x, w, b, **options)


def norm(x=X, gamma=GAMMA, beta=GAMMA, **options):
    return lambda: ops.batch_norm(x, gamma, beta, **options)


def loss(logits=LOGITS, target=LABELS, **options):
    return lambda: ops.softmax_cross_entropy(logits, target, **options)


def pool(kernel_size=2, x=X, **options):
    return lambda: ops.max_pool2d(x, kernel_size, **options)


# What is called, the exception, and phrases that its message holds.
CASES = {
    # arrays
    "None": (conv(x=None), TypeError, ["conv2d: x", "None"]),
    "None as dy": (lambda: ops.relu_backward(None, X), TypeError, ["relu_backward: dy", "None"]),
    "masked": (conv(x=np.ma.masked_array(X)), TypeError, ["conv2d: x", "mask", "x.filled(0)"]),
    "list": (conv(w=[[1.0]]), TypeError, ["conv2d: w", "list", "np.asarray(w, np.float32)"]),
    "what its library does not give out": (
        conv(x=Guarded()),
        TypeError,
        ["conv2d: x", "Guarded", "call detach() first"],
    ),
    "what DLPack does not give out": (
        conv(x=Exported()),
        TypeError,
        ["conv2d: x", "Exported", "on another device"],
    ),
    "string": (conv(x="image"), TypeError, ["conv2d: x", "str"]),
    "bytes": (conv(x=b"image"), TypeError, ["conv2d: x", "uint8"]),
    "single number": (lambda: ops.relu(np.float32(1)), ValueError, ["relu: x", "single number"]),
    "single row": (lambda: ops.softmax(np.float32(1)), ValueError, ["softmax", "axis -1", "()"]),
    **{
        f"dtype {dtype}": (
            conv(x=np.zeros(X.shape, dtype)),
            TypeError,
            ["conv2d: x", str(np.dtype(dtype)), "float32 or float64", "x.astype(np.float32)"],
        )
        for dtype in ("f2", "i4", "u1", "?", "c8", "O", "U3", "M8[s]", np.longdouble)
    },
    "mixed dtypes": (
        conv(w=W.astype(np.float64)),
        TypeError,
        ["conv2d: w is float64", "x is float32", "w.astype(np.float32)"],
    ),
    "mixed dtypes of a bias": (conv(b=B.astype(np.float64)), TypeError, ["conv2d: b is float64"]),
    # shapes
    "three axes": (
        conv(x=floats(6, 5, 3)),
        ValueError,
        ["conv2d: x", "(N, H, W, C)", "(6, 5, 3)", "x[np.newaxis]"],
    ),
    "five axes": (conv(x=floats(1, 2, 6, 5, 3)), ValueError, ["4 axes", "(1, 2, 6, 5, 3)"]),
    "channels differ": (
        conv(x=floats(2, 6, 5, 7)),
        ValueError,
        ["(2, 6, 5, 7)", "(3, 3, 3, 4)", "7 channels", "expected 3"],
    ),
    "channels first": (
        conv(x=floats(2, 3, 6, 5)),
        ValueError,
        ["5 channels", "expected 3", "looks like (N,C,H,W): use x.transpose(0,2,3,1)"],
    ),
    "filters of another library": (
        conv(w=floats(4, 3, 5, 5)),
        ValueError,
        ["looks like (OC,C,KH,KW): use w.transpose(2,3,1,0)"],
    ),
    "no channels": (
        conv(x=floats(2, 6, 5, 0), w=floats(3, 3, 0, 4)),
        ValueError,
        ["only the batch"],
    ),
    "no rows": (conv(x=floats(2, 0, 5, 3)), ValueError, ["only the batch", "(2, 0, 5, 3)"]),
    "no filters": (conv(w=floats(3, 3, 3, 0)), ValueError, ["only the batch", "(3, 3, 3, 0)"]),
    "empty kernel": (conv(w=floats(0, 3, 3, 4)), ValueError, ["only the batch", "(0, 3, 3, 4)"]),
    "bias": (conv(b=floats(5)), ValueError, ["conv2d: b", "(4,)", "(5,)"]),
    "kernel larger than the padded input": (
        conv(w=floats(9, 3, 3, 4), padding=1),
        ValueError,
        ["spans 9 rows", "1 + 6 + 1"],
    ),
    "dilated kernel larger than the padded input": (
        conv(dilation=(1, 3)),
        ValueError,
        ["spans 7 columns", "dilation 3", "0 + 5 + 0"],
    ),
    "shape of dy": (
        lambda: ops.conv2d_backward(DY[:, :3], X, W),
        ValueError,
        ["conv2d_backward: dy", "(2, 4, 3, 4)", "(2, 3, 3, 4)"],
    ),
    "one answer for three gradients": (
        lambda: ops.conv2d_backward(DY, X, W, needs=True),
        TypeError,
        ["conv2d_backward: needs must be three bools", "dx, dw and db", "got True"],
    ),
    "two answers for three gradients": (
        lambda: ops.linear_backward(floats(2, 4), floats(2, 3), floats(3, 4), needs=(True, False)),
        TypeError,
        ["linear_backward: needs must be three bools", "got (True, False)"],
    ),
    "no answer for three gradients": (
        lambda: ops.conv_transpose2d_backward(floats(1, 2, 2, 4), X, W, needs=()),
        TypeError,
        ["conv_transpose2d_backward: needs", "got ()"],
    ),
    "three gradients of a sequence": (
        lambda: ops.conv1d_backward(floats(1, 3, 1), floats(1, 4, 1), floats(2, 1, 1), needs=None),
        TypeError,
        ["conv1d_backward: needs", "got None"],
    ),
    "features": (
        lambda: ops.linear(floats(2, 5), floats(7, 5)),
        ValueError,
        ["linear: x (2, 5) has 5 features", "expected 7", "use w.T"],
    ),
    "images in a linear layer": (
        lambda: ops.linear(X, floats(90, 10)),
        ValueError,
        ["expected 90", "x.reshape(len(x), -1)"],
    ),
    "features of nothing": (
        lambda: ops.linear(np.float32(1), floats(3, 4)),
        ValueError,
        ["linear: x must be (..., in)"],
    ),
    "weights of four axes": (
        lambda: ops.linear(floats(2, 3), W),
        ValueError,
        ["linear: w must be (in, out)", "(3, 3, 3, 4)"],
    ),
    "bias of a linear map": (
        lambda: ops.linear(floats(2, 3), floats(3, 4), floats(3)),
        ValueError,
        ["linear: b", "(4,)", "(3,)"],
    ),
    "shape of a linear map's dy": (
        lambda: ops.linear_backward(floats(2, 3), floats(2, 3), floats(3, 4)),
        ValueError,
        ["linear_backward: dy", "(2, 4)", "(2, 3)"],
    ),
    "shapes to add": (lambda: ops.add(X, X[:1]), ValueError, ["add: b", "(2, 6, 5, 3)"]),
    "channels of gamma": (norm(gamma=B), ValueError, ["batch_norm: gamma", "(3,)", "(4,)"]),
    "channels-first norm": (
        norm(x=floats(2, 3, 6, 5)),
        ValueError,
        ["batch_norm: gamma", "x.transpose(0,2,3,1)"],
    ),
    "residual": (norm(residual=X[:1]), ValueError, ["batch_norm: residual", "(1, 6, 5, 3)"]),
    "nothing to normalise": (norm(x=X[:0]), ValueError, ["at least one value per channel"]),
    "channels of a mean": (
        lambda: ops.batch_norm_inference(X, GAMMA, GAMMA, B, GAMMA),
        ValueError,
        ["batch_norm_inference: mean", "(3,)", "(4,)"],
    ),
    "activation of a norm": (norm(activation="tanh"), ValueError, ["None or 'relu'", "'tanh'"]),
    "rows of no values": (
        lambda: ops.layer_norm_backward(X[:, :, :0], X[:, :, :0], None, X[:, 0, 0, 0], GAMMA[:2]),
        ValueError,
        ["layer_norm_backward: x must have values", "(2, 6, 0, 3)"],
    ),
    "shape of a max pool's dy": (
        lambda: ops.max_pool2d_backward(DY, X, 2),
        ValueError,
        ["max_pool2d_backward: dy", "(2, 3, 2, 3)", "(2, 4, 3, 4)"],
    ),
    "shape of a global pool's dy": (
        lambda: ops.global_avg_pool2d_backward(floats(2, 4), X.shape),
        ValueError,
        ["global_avg_pool2d_backward: dy", "(2, 3)", "(2, 4)"],
    ),
    "shape of a pool's dy": (
        lambda: ops.avg_pool2d_backward(DY, X.shape, 2),
        ValueError,
        ["avg_pool2d_backward: dy", "(2, 3, 2, 3)", "(2, 4, 3, 4)"],
    ),
    # sizes
    "stride 0": (conv(stride=0), ValueError, ["conv2d: stride", "at least 1", "0"]),
    "stride below 0": (conv(stride=(1, -1)), ValueError, ["conv2d: stride", "-1"]),
    "stride of a float": (conv(stride=1.0), TypeError, ["conv2d: stride", "integer", "1.0"]),
    "stride of a bool": (conv(stride=True), TypeError, ["conv2d: stride", "True"]),
    "stride of a bool in a pair": (conv(stride=(1, True)), TypeError, ["conv2d: stride", "True"]),
    "stride of NumPy's bool": (conv(stride=np.True_), TypeError, ["conv2d: stride"]),
    "stride of a string": (conv(stride="1"), TypeError, ["conv2d: stride", "'1'"]),
    "three strides": (conv(stride=(1, 1, 1)), ValueError, ["conv2d: stride", "pair", "(1, 1, 1)"]),
    "huge stride": (conv(stride=2**40), ValueError, ["conv2d: stride", "at most 2**30"]),
    "dilation 0": (conv(dilation=0), ValueError, ["conv2d: dilation", "at least 1"]),
    "negative padding": (conv(padding=-1), ValueError, ["conv2d: padding", "at least 0", "-1"]),
    "negative padding at one end": (conv(padding=((0, -2), (0, 0))), ValueError, ["-2"]),
    "padding of a float": (conv(padding=0.5), TypeError, ["conv2d: padding", "0.5"]),
    "huge padding": (conv(padding=2**63), ValueError, ["conv2d: padding", "at most 2**30"]),
    "padding too large for memory": (conv(padding=2**29), MemoryError, ["address space"]),
    "unknown padding": (conv(padding="full"), ValueError, ["conv2d: padding", "'same'", "'full'"]),
    "groups 0": (conv(groups=0), ValueError, ["conv2d: groups", "at least 1"]),
    "groups that do not divide the filters": (
        conv(x=floats(1, 6, 5, 9), groups=3),
        ValueError,
        ["groups=3", "4 output channels"],
    ),
    "groups that do not fit the channels": (conv(groups=2), ValueError, ["groups=2", "expected 6"]),
    "kernel 0": (pool(0), ValueError, ["max_pool2d: kernel_size", "at least 1"]),
    "kernel of a float": (pool(2.0), TypeError, ["max_pool2d: kernel_size", "2.0"]),
    "pool padding beyond half": (pool(padding=2), ValueError, ["half", "1 for a kernel of 2", "2"]),
    "pool kernel too large": (pool(7), ValueError, ["spans 7 rows", "0 + 6 + 0"]),
    # options
    "unknown activation": (conv(activation="tanh"), ValueError, ["conv2d: activation", "'tanh'"]),
    "slope of NaN": (
        conv(activation=("leaky_relu", math.nan)),
        ValueError,
        ["conv2d: activation: slope", "nan"],
    ),
    "slope that is complex": (
        lambda: ops.leaky_relu(X, slope=np.complex64(1 + 2j)),
        TypeError,
        ["leaky_relu: slope", "1+2j"],
    ),
    "several slopes": (
        lambda: ops.leaky_relu(X, slope=np.array([0.1, 0.2])),
        TypeError,
        ["leaky_relu: slope", "array([0.1, 0.2])"],
    ),
    "several axes": (
        lambda: ops.softmax(X, axis=np.array([1, 2])),
        TypeError,
        ["softmax: axis", "array([1, 2])"],
    ),
    "stride of an array": (conv(stride=np.array([2, 2])), TypeError, ["stride", "array([2, 2])"]),
    "slope of text": (conv(activation=("leaky_relu", "x")), TypeError, ["slope", "'x'"]),
    "unknown algorithm": (
        conv(algorithm="fft"),
        ValueError,
        ["'fft'", "'auto', 'im2col', 'winograd', 'winograd2'"],
    ),
    "winograd": (
        conv(algorithm="winograd", stride=2),
        ValueError,
        ["'winograd'", "no path", "'im2col'"],
    ),
    "unknown direction": (
        lambda: ops.conv2d_algorithm(X.shape, W.shape, direction="sideways"),
        ValueError,
        ["'backward_data'", "'sideways'"],
    ),
    "array for a shape": (
        lambda: ops.conv2d_algorithm(X, W.shape),
        ValueError,
        ["x_shape must be (N, H, W, C), got an array: use its shape"],
    ),
    "dtype of an algorithm": (
        lambda: ops.conv2d_algorithm(X.shape, W.shape, dtype="float16"),
        TypeError,
        ["float16"],
    ),
    "negative eps": (norm(eps=-1e-5), ValueError, ["batch_norm: eps", "-1e-05"]),
    "eps that is not a number": (norm(eps=float("nan")), ValueError, ["batch_norm: eps", "nan"]),
    "eps of a string": (norm(eps="small"), TypeError, ["batch_norm: eps", "'small'"]),
    "activation without its mask": (
        lambda: ops.batch_norm_backward(X, X, GAMMA, GAMMA, GAMMA, activation="relu"),
        ValueError,
        ["needs beta or y"],
    ),
    "residual activation without y": (
        lambda: ops.batch_norm_backward(
            X, X, GAMMA, GAMMA, GAMMA, beta=GAMMA, activation="relu", residual=True
        ),
        ValueError,
        ["needs y"],
    ),
    "axis out of range": (loss(axis=2), ValueError, ["axis 2", "(4, 10)"]),
    "axis of a float": (loss(axis=1.0), TypeError, ["axis", "1.0"]),
    "no classes": (loss(LOGITS[:, :0]), ValueError, ["no classes", "(4, 0)"]),
    "unknown reduction": (loss(reduction="median"), ValueError, ["'none'", "'median'"]),
    # labels
    "label too large": (
        loss(target=np.array([0, 1, 10, 11])),
        ValueError,
        ["target has 10 at index 2", "0 to 9"],
    ),
    "negative label": (
        loss(target=np.array([0, -1, 2, 3], np.int8)),
        ValueError,
        ["target has -1 at index 1", "0 to 9"],
    ),
    "label beyond int64": (
        loss(target=np.array([0, 1, 2, 2**63 + 1], np.uint64)),
        ValueError,
        [f"target has {2**63 + 1} at index 3"],
    ),
    "label of a pixel": (
        loss(floats(2, 3, 3, 4), np.full((2, 3, 3), 4)),
        ValueError,
        ["target has 4 at index (0, 0, 0)", "0 to 3"],
    ),
    "labels of bools": (loss(target=LABELS > 1), TypeError, ["bool", "target.astype(np.int64)"]),
    "labels of names": (
        loss(target=np.array(["a", "b", "b", "a"])),
        TypeError,
        ["classes, target = np.unique(target, return_inverse=True)"],
    ),
    "labels for one logit": (
        loss(logits=LOGITS[:, :1], target=LABELS),
        ValueError,
        ["two classes take two logits"],
    ),
    "labels in a list": (loss(target=[0, 1, 2, 3]), TypeError, ["np.asarray(target, np.int64)"]),
    "labels of floats": (
        loss(target=floats(4)),
        TypeError,
        ["target has dtype float32", "the shape of labels", "target.astype(np.int64)"],
    ),
    "labels of the wrong shape": (loss(target=LABELS[:3]), ValueError, ["(4,)", "(3,)"]),
    "labels in a column": (
        loss(target=LABELS[:, None]),
        ValueError,
        ["(4, 1): use target[..., 0]"],
    ),
    "labels one-hot": (
        loss(target=np.eye(10, dtype=int)[LABELS]),
        ValueError,
        ["(4, 10)", "one-hot, use target.argmax(axis=1)"],
    ),
    "soft targets of the wrong shape": (
        loss(target=floats(4, 9)),
        ValueError,
        ["target", "(4, 10)", "(4, 9)"],
    ),
    "soft targets of another dtype": (
        loss(target=LOGITS.astype(np.float64)),
        TypeError,
        ["target is float64", "logits is float32"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error_names_what_is_wrong(name):
    """The exception is of the right type, and its message names argument, value and cure."""
    call, error, phrases = CASES[name]
    for _ in range(2):  # what is remembered by shape must not swallow the second one
        with pytest.raises(error, match="|".join(map(re.escape, phrases))) as caught:
            call()

        assert type(caught.value) is error
        for phrase in phrases:
            assert phrase in str(caught.value)


def test_equal_keys_of_another_type_are_still_refused():
    """1 == True == 1.0, so a remembered geometry must not let them in."""
    ops.conv2d(X, W, stride=1, padding=0, dilation=1, groups=1)
    ops.max_pool2d(X, 1, stride=1)
    ops.max_pool1d(X[0], 1, stride=1)
    ops.pad2d(X, 1)
    for bad in (True, 1.0):
        for option in ("stride", "padding", "dilation", "groups"):
            with pytest.raises(TypeError, match=option):
                ops.conv2d(X, W, **{option: bad})
        with pytest.raises(TypeError, match="kernel_size"):
            ops.max_pool2d(X, bad, stride=1)
        with pytest.raises(TypeError, match="kernel_size"):
            ops.max_pool1d(X[0], bad, stride=1)
        for option in ("stride", "padding", "dilation"):
            with pytest.raises(TypeError, match=option):
                ops.max_pool1d(X[0], 1, **{"stride": 1, option: bad})
        with pytest.raises(TypeError, match="padding"):
            ops.pad2d(X, bad)


def test_integers_of_numpy_are_sizes():
    """NumPy's integers do as sizes."""
    expected = ops.conv2d(X, W, stride=2, padding=1)

    y = ops.conv2d(X, W, stride=np.int64(2), padding=(np.uint8(1), np.int32(1)))

    np.testing.assert_array_equal(y, expected)


OUT = np.full((2, 4, 3, 4), np.nan, np.float32)
READ_ONLY = OUT.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "error", "phrase"),
    [
        (OUT.tolist(), TypeError, "ndarray"),
        (OUT.astype(np.float64), TypeError, "float32"),
        (OUT[:1], ValueError, "(2, 4, 3, 4)"),
        (np.empty((4, 3, 4, 2), np.float32).transpose(3, 0, 1, 2), ValueError, "C-contiguous"),
        (READ_ONLY, ValueError, "writeable"),
    ],
)
def test_out_that_cannot_hold_the_result(out, error, phrase):
    """An `out` of another dtype, shape or layout is refused."""
    with pytest.raises(error, match=re.escape(phrase)):
        ops.conv2d(X, W, out=out)


@pytest.mark.parametrize("offset", [0, 1, 40])
def test_out_that_overlaps_an_input(offset):
    """An `out` over x or w is refused, and nothing is written."""
    memory = np.ones(400, np.float32)
    x = memory[:180].reshape(2, 6, 5, 3)
    w = memory[180:288].reshape(3, 3, 3, 4)
    out = memory[offset : offset + 96].reshape(2, 4, 3, 4)
    with pytest.raises(ValueError, match="overlaps an input"):
        ops.conv2d(x, w, out=out)

    assert np.all(memory == 1)


def test_out_that_overlaps_a_strided_input():
    """An `out` over an x that has to be copied first is refused all the same."""
    memory = np.ones((2, 6, 5, 6), np.float32)
    out = memory.reshape(-1)[:96].reshape(2, 4, 3, 4)
    with pytest.raises(ValueError, match="overlaps an input"):
        ops.conv2d(memory[..., ::2], W, out=out)

    assert np.all(memory == 1)


def test_labels_out_of_range_leave_the_logits_alone():
    """The logits are what they were when a label is refused."""
    logits = LOGITS.copy()
    with pytest.raises(ValueError, match="index 0"):
        ops.softmax_cross_entropy(logits, np.full(4, 99))

    np.testing.assert_array_equal(logits, LOGITS)
