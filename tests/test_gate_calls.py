"""Wrong calls of the extension: whatever reaches it, it neither reads nor writes out of bounds."""

import array as standard_array
import math

import numpy as np
import pytest

from convlet import _core


def floats(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


X, W, B = floats(2, 6, 5, 3), floats(3, 3, 3, 4), floats(4)
LOGITS, LABELS = floats(4, 10), np.arange(4)
OUT = np.full((2, 4, 3, 4), np.nan, np.float32)
READ_ONLY = OUT.copy()
READ_ONLY.flags.writeable = False
GEOMETRY = (3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ((OUT, X, W, None, (3,) * 11), ValueError),
        ((OUT, X, W, None, (2, *GEOMETRY[1:])), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:10], 0, *GEOMETRY[11:])), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:11], 4, 0, 0.0)), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:11], 0, 7, 0.0)), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:12], 0, math.nan)), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:6], -1, *GEOMETRY[7:])), ValueError),
        ((OUT, X, W, None, (*GEOMETRY[:6], 2**62, 2**62, *GEOMETRY[8:])), ValueError),
        ((OUT, X, W, None, (2**70, *GEOMETRY[1:])), OverflowError),
        ((OUT[:1], X, W, None, GEOMETRY), ValueError),
        ((OUT, X[:1], W, None, GEOMETRY), ValueError),
        ((OUT, X[..., :2], W, None, GEOMETRY), ValueError),
        ((OUT, X, W[:2], None, GEOMETRY), ValueError),
        ((OUT, X, W, B[:3], GEOMETRY), ValueError),
        ((OUT, X, W, W, GEOMETRY), ValueError),
        ((READ_ONLY, X, W, None, GEOMETRY), ValueError),
        ((None, X, W, None, GEOMETRY), TypeError),
        ((OUT, None, W, None, GEOMETRY), TypeError),
        ((OUT, X.astype(np.float64), W, None, GEOMETRY), TypeError),
        ((OUT, X.astype(">f4"), W, None, GEOMETRY), TypeError),
        ((OUT, X.astype(np.int32), W, None, GEOMETRY), TypeError),
        ((OUT, X, W, None, list(GEOMETRY)), TypeError),
        ((OUT, standard_array.array("f", bytes(720)), W, None, GEOMETRY), ValueError),
    ],
)
def test_conv2d(arrays, error):
    """Arrays of another rank, dtype, layout or size than the geometry says are refused."""
    with pytest.raises(error):
        _core.conv2d_forward(*arrays, 1)


def test_misaligned():
    """An array off its alignment is refused."""
    memory = bytearray(4 * 8 + 1)
    misaligned = np.frombuffer(memory, np.float32, 8, offset=1)
    with pytest.raises((TypeError, ValueError)):
        _core.add_into(floats(8), misaligned, floats(8), 1)


@pytest.mark.parametrize("threads", [0, -1, 10**6])
def test_threads(threads):
    """A number of threads that makes no sense is refused."""
    with pytest.raises(ValueError, match="threads"):
        _core.add_into(floats(8), floats(8), floats(8), threads)


def test_labels_are_checked_in_number_and_value():
    """Labels, losses and weights of another number are refused, as are labels out of range."""

    def call(labels, *weights, reduction=2):
        dz, total = np.empty_like(LOGITS), np.empty(1)
        weights = (*weights, None, None)[:2]
        _core.softmax_cross_entropy(total, dz, LOGITS, labels, *weights, None, 0.0, reduction, 0, 1)

    with pytest.raises(ValueError, match="labels"):
        call(LABELS[:3].copy())
    with pytest.raises(IndexError):
        call(LABELS + 7)
    with pytest.raises(ValueError, match="loss"):
        call(LABELS, reduction=0)
    with pytest.raises(ValueError, match="class_weight"):
        call(LABELS, np.ones(LOGITS.shape[1] + 1, LOGITS.dtype))
    with pytest.raises(TypeError, match="sample_weight"):
        call(LABELS, None, LABELS)
    with pytest.raises(FloatingPointError):
        call(LABELS, None, np.full(len(LABELS), -1, LOGITS.dtype))


@pytest.mark.parametrize(
    ("parts", "channels"),
    [
        (((2, 3), (2, 5)), (3, 4)),
        (((2, 3), (2, 5)), (3, 5, 1)),
        (((2, 3), (3, 5)), (3, 5)),
        (((2, 3), (2, 1, 5)), (3, 5)),
        (((2, 3), (2, 4)), (3, 4)),
        (((2, 8), None), (8, 0)),
        (((2, 8), None), (9, -1)),
        (((2, 3), None), (3, 2**62)),
        ((None,), (8,)),
        ((), ()),
    ],
)
def test_concat(parts, channels):
    """Parts that do not fill the whole are refused; only a gradient may be missing."""
    whole = floats(2, 8)
    arrays = tuple(None if shape is None else np.zeros(shape, np.float32) for shape in parts)
    with pytest.raises(ValueError, match=r"part|a size|NULL"):
        _core.concat_forward(whole, arrays, channels, 1)
    if parts != (None,):
        with pytest.raises(ValueError, match=r"part|a size"):
            _core.concat_backward(arrays, channels, whole, 1)
    np.testing.assert_array_equal(floats(2, 8), whole)
    assert not any(array.any() for array in arrays if array is not None)


def test_segments():
    """Segments whose parts differ, are missing or are of two dtypes are refused."""
    w, short = floats(8), floats(7)
    for segment in [(w, short, None, w), (w, w, None, None), (None, w, None, w), (w, w)]:
        with pytest.raises((TypeError, ValueError)):
            _core.adagrad_step([segment], 0.1, 1e-10, 0.0, 1.0, False, 1)
    with pytest.raises(TypeError):
        _core.adagrad_step(
            [(w, w, None, w), (*[floats(8, dtype=np.float64)] * 2, None, w)], 0.1, 0, 0, 1, 0, 1
        )

    np.testing.assert_array_equal(w, floats(8))


def test_an_array_is_held_only_during_the_call():
    """An array of the standard library does not grow while its buffer is held."""
    x = standard_array.array("f", [1.0] * 8)
    for bad in (False, True):
        if bad:
            with pytest.raises(ValueError, match="shape"):
                _core.add_into(floats(7), x, x, 1)
        else:
            _core.add_into(floats(8), x, x, 1)
    x.append(1.0)

    assert len(x) == 9
