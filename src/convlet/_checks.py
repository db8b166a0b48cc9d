"""Checks of arguments: what users pass becomes what the core takes, or a clear error.

`name` is what a message calls the argument, such as "conv2d: x". Arrays come out dense, aligned, in
native byte order and float32 or float64; one that is all this already is returned as it is.
"""

from __future__ import annotations

import math
import numbers
import operator

import numpy as np

from ._core import empty

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)

ACTIVATIONS = {None: 0, "relu": 1}
CONV_ACTIVATIONS = {None: 0, "relu": 1, "leaky_relu": 2, "relu6": 3}
REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}

_LARGEST_SIZE = 2**30


# ---------------------------------------------------------------- arrays


def array(value, name) -> np.ndarray:
    """Return an array that the core can take, copied only if its memory layout differs.

    Raises
    ------
    TypeError : not an array, a masked array, or neither float32 nor float64.
    """
    if type(value) is np.ndarray:
        dtype = value.dtype
        if (dtype is FLOAT32 or dtype is FLOAT64) and value.flags.carray:
            return value
    value = _floats(as_ndarray(value, name), name)
    return _dense(value, FLOAT32 if value.dtype.itemsize == 4 else FLOAT64)


def array_like(value, name, like, like_name) -> np.ndarray:
    """Return `array(value)`, which must have the dtype of `like`, itself such an array."""
    if type(value) is np.ndarray and value.dtype is like.dtype and value.flags.carray:
        return value
    value = array(value, name)
    if value.dtype is not like.dtype and value.dtype != like.dtype:
        mixed_dtypes(name, value.dtype, like_name, like.dtype)
    return value


def mixed_dtypes(name, dtype, like_name, like_dtype):
    """Raise the TypeError for two arrays of different dtypes."""
    raise TypeError(
        f"{name} is {dtype} and {like_name} is {like_dtype}; expected one dtype: use "
        f"{_short(name)}.astype(np.{like_dtype})"
    )


def as_ndarray(value, name, dtype="float32"):
    """Return a plain ndarray over anything with the buffer protocol, __array__ or __dlpack__.

    `dtype` is what the error message suggests converting to.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be ignored: fill it first, as by "
            f"{_short(name)}.filled(0)"
        )
    try:
        if hasattr(value, "__array__"):
            return np.asarray(value)
        if hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        cure = f"use np.asarray({_short(name)}, np.{dtype})"
        if hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
            cure = str(error)  # of the library it comes from, such as tensor.detach()
        raise TypeError(f"{name} must be an array, got {type(value).__name__}: {cure}") from error


def _floats(value, name):
    if value.dtype.kind != "f" or value.dtype.itemsize not in (4, 8):
        bytes_ = " / 255 for images of bytes" if value.dtype == np.uint8 else ""
        raise TypeError(
            f"{name} has dtype {value.dtype}, expected float32 or float64: use "
            f"{_short(name)}.astype(np.float32){bytes_}"
        )
    return value


def _dense(value, dtype):
    """Return `value` as dense, aligned and native memory of `dtype`."""
    if value.dtype == dtype and value.flags.c_contiguous and value.flags.aligned:
        return value
    copy = empty(value.shape, "q" if dtype is INT64 else dtype.char)
    np.copyto(copy, value, casting="unsafe")
    return copy


def floating(dtype, name) -> np.dtype:
    """Return a dtype, which must be float32 or float64."""
    try:
        known = None if dtype is None else np.dtype(dtype)  # to NumPy None is float64
    except TypeError:
        known = repr(dtype)
    if known is None or known not in (FLOAT32, FLOAT64):
        raise TypeError(f"{name} must be float32 or float64, got {known}")
    return known


def float64(value, name):
    """Return an array of float32 or float64 as float64."""
    return _dense(_floats(as_ndarray(value, name), name), FLOAT64)


def labels(value, name):
    """Return an array of any integer dtype as int64; what int64 cannot hold turns negative."""
    if value.dtype.kind not in "iu":
        short = _short(name)
        cure = f"{short}.astype(np.int64)"
        if value.dtype.kind in "OSU":
            cure = f"classes, {short} = np.unique({short}, return_inverse=True)"
        raise TypeError(f"{name} has dtype {value.dtype}, expected integer labels: use {cure}")
    return _dense(value, INT64)


def label_cure(value, expected, name, axis=-1):
    """How to turn labels with an axis of classes into those of a shape, as the end of a message."""
    if value.shape == (*expected, 1):
        return f": use {_short(name)}[..., 0]"
    if value.ndim == len(expected) + 1:
        return f": where it is one-hot, use {_short(name)}.argmax(axis={axis})"
    return ""


def ignored_label(value, dtype, name):
    """Return the label to ignore, converted as by `labels`; None if no label can equal it."""
    if value is None:
        return None
    value, limits = integer(value, name, "an integer or None"), np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        return None
    return int(np.array(value, dtype).astype(INT64))


def bad_label(value, name, classes, ignored=None):
    """Raise the ValueError for the first label outside [0, classes) that is not ignored."""
    out = (value < 0) | (value >= classes)
    cure = ""
    if ignored is not None:
        out &= labels(value, name) != ignored
    index, shown = _first(out, name)
    if value[index] in (-100, -1, 255):
        cure = f"; to leave such rows out use ignore_index={value[index]}"
    elif classes == 1:
        cure = "; two classes take two logits"
    raise ValueError(
        f"{name} has {value[index]} at index {shown}, expected labels from 0 to {classes - 1}{cure}"
    )


def bad_answer(value, name):
    """Raise the ValueError for the first number outside [0, 1]."""
    index, shown = _first(~((value >= 0) & (value <= 1)), name)
    raise ValueError(f"{name} has {value[index]} at index {shown}, expected numbers from 0 to 1")


def weights(value, name, dtype):
    """Return weights, real numbers of any kind, as a dense array of `dtype`."""
    value = as_ndarray(value, name)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {value.dtype}, expected real numbers")
    return converted(value, dtype)


def converted(value, dtype):
    """Return a dense array of `dtype`; numbers too large for it become infinite."""
    with np.errstate(over="ignore", under="ignore"):
        return _dense(value, dtype)


def write_rounded(out, value):
    """Write float64 numbers into an array of any dtype; those too large for it become infinite."""
    with np.errstate(over="ignore", under="ignore"):
        np.copyto(out, value, casting="same_kind")


def bad_weight(value, name):
    """Raise the ValueError for the first weight that is negative or not finite, if there is one."""
    wrong = None if value is None else ~((value >= 0) & np.isfinite(value))
    if wrong is not None and wrong.any():
        index, shown = _first(wrong, name)
        raise ValueError(
            f"{name} has {value[index]} at index {shown}, expected finite weights of at least 0"
        )


def state_arrays(state, where):
    """Return the arrays of a state by name; raise TypeError for anything but plain arrays."""
    if not hasattr(state, "keys"):
        raise TypeError(
            f"{where}: expected a state as state_dict() returns, or numpy.load of its file, got "
            f"{type(state).__name__}"
        )
    arrays = {}
    for name in state:
        value = state[name]
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(
                f"{where}: {name} is a masked array, and its mask would be ignored: fill it first, "
                f"as by .filled(0)"
            )
        try:
            arrays[name] = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{where}: {name} is no array: {error}") from error
    return arrays


def _first(wrong, name):
    """The first index where `wrong` is true, and how a message shows it."""
    found = np.argwhere(wrong)
    if not len(found):
        raise RuntimeError(f"{name} changed while they were read")
    index = tuple(found[0].tolist())
    return index, index[0] if len(index) == 1 else index


def wrong_rank(shape, count, name, axes):
    """Raise the ValueError for an array that does not have the `count` axes named by `axes`."""
    cure = ""
    if count == 4 and len(shape) == 3:
        short = _short(name)
        cure = (
            f": for a single image use {short}[np.newaxis], for images of one channel "
            f"{short}[..., np.newaxis]"
        )
    raise ValueError(f"{name} must be {axes}, {count} axes, got shape {shape}{cure}")


def images(x_shape, where):
    """Raise unless a shape is (N, H, W, C) and only N may be 0."""
    if len(x_shape) != 4:
        wrong_rank(x_shape, 4, f"{where}: x", "(N, H, W, C)")
    if min(x_shape[1:]) < 1:
        raise ValueError(f"{where}: only the batch may be empty, got x {x_shape} (N, H, W, C)")


def at_least_one_axis(value, name):
    """Raise for a single number."""
    if value.ndim < 1:
        raise ValueError(f"{name} must have at least one axis, got a single number")


def shape(value, expected, name, axes="", cure=""):
    """Raise unless an array has the expected shape; `axes` says what it stands for."""
    if value.shape != expected:
        raise ValueError(
            f"{name} must have shape {expected}{axes and ' ' + axes}, got {value.shape}{cure}"
        )


def output(out, expected, dtype, name, inputs):
    """Raise unless a result can be written to `out`."""
    if type(out) is not np.ndarray:
        raise TypeError(f"{name} must be an ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must have dtype {dtype}, got {out.dtype}")
    shape(out, expected, name)
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise ValueError(f"{name} must be C-contiguous, aligned and writeable")
    for value in inputs:
        if value is not None and np.may_share_memory(out, value):
            raise ValueError(f"{name} overlaps an input: give it memory of its own")


# ---------------------------------------------------------------- sizes


def integer(value, name, expected="an integer") -> int:
    """Return an integer of any type as an int; a float or bool is a TypeError."""
    try:
        if not isinstance(value, (bool, np.bool_)):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"{name} must be {expected}, got {value!r}")


def size(value, name, minimum=1) -> int:
    """Return an integer from `minimum` to 2**30; a float or bool is a TypeError."""
    if type(value) is not int:
        value = integer(value, name)
    if not minimum <= value <= _LARGEST_SIZE:
        bound = f"at least {minimum}" if value < minimum else "at most 2**30"
        raise ValueError(f"{name} must be {bound}, got {value}")
    return value


def pair(value, name, minimum=1) -> tuple[int, int]:
    """Return a pair of sizes, given as a pair or as one integer for both."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair, got {value!r}")
        return size(value[0], name, minimum), size(value[1], name, minimum)
    value = size(value, name, minimum)
    return value, value


def padding_form(value, name):
    """Return ((top, bottom), (left, right)), or "valid", "same" or "same_lower"."""
    if isinstance(value, str):
        if value not in ("valid", "same", "same_lower"):
            raise ValueError(
                f"{name} must be an integer, a pair, ((top, bottom), (left, right)), 'valid', "
                f"'same' or 'same_lower', got {value!r}"
            )
        return value
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must have one entry for each of two axes, got {value!r}")
        return pair(value[0], name, 0), pair(value[1], name, 0)
    value = size(value, name, 0)
    return (value, value), (value, value)


def axis_padding(padding, axis, n, kernel, stride, dilation):
    """Return the zeros before and after n values of axis 0 or 1, from a padding_form.

    "same" gives ceil(n / stride) outputs with an odd zero after the values, "same_lower" before.
    """
    if padding == "valid":
        return 0, 0
    if isinstance(padding, str):
        outputs = -(-n // stride)
        total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        return (small, large) if padding == "same" else (large, small)
    return padding[axis]


def any_shape(value, name):
    """Return the shape of an array as a tuple."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of sizes, got {_shown(value)}")
    return tuple(size(v, f"{name}[{i}]", 0) for i, v in enumerate(value))


def positive_shape(value, name, axes, count=4):
    """Return a shape of `count` sizes, of which only the first may be 0."""
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise ValueError(f"{name} must be {axes}, got {_shown(value)}")
    for v in value:
        if type(v) is not int or not 1 <= v <= _LARGEST_SIZE:
            return (size(value[0], name, 0), *(size(v, name) for v in value[1:]))
    return tuple(value)


def class_axis(axis, shape, where):
    """Return the axis of the classes, counted from the front."""
    index = integer(axis, f"{where}: axis")
    if not -len(shape) <= index < len(shape):
        raise ValueError(f"{where}: axis {index} is out of range for an array of shape {shape}")
    index %= len(shape)
    if shape[index] < 1:
        raise ValueError(f"{where}: axis {axis} has no classes, got shape {shape}")
    return index


def axis_to_last(value, axis):
    """Return a dense array with `axis` moved to the end, copied unless it is there already."""
    if axis == value.ndim - 1:
        return value
    return _dense(np.moveaxis(value, axis, -1), value.dtype)


def axis_from_last(value, axis):
    """Return a dense array with the last axis moved to `axis`."""
    if axis == value.ndim - 1:
        return value
    return _dense(np.moveaxis(value, -1, axis), value.dtype)


def activation(value, name):
    """Return the core's number of an activation."""
    if value is None or (isinstance(value, str) and value in ACTIVATIONS):
        return ACTIVATIONS[value]
    raise ValueError(f"{name} must be None or 'relu', got {value!r}")


def conv_activation(value, name):
    """Return the core's number of the activation after a convolution, and its slope."""
    slope = 0.01
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "leaky_relu":
        value, slope = value[0], not_negative(value[1], f"{name}: slope")
    if value is None or (isinstance(value, str) and value in CONV_ACTIVATIONS):
        return CONV_ACTIVATIONS[value], slope
    raise ValueError(
        f"{name} must be None, 'relu', 'relu6', 'leaky_relu' or ('leaky_relu', slope), got "
        f"{value!r}"
    )


def is_number(value) -> bool:
    """Whether a value is a real number; a bool is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def number(value, name) -> float:
    """Return any number as a float."""
    if type(value) is float:
        return value
    if type(value) is not int and not is_number(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def option(value, table, name):
    """Return the entry of a table for one of its names."""
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{name} must be one of {tuple(table)}, got {value!r}")
    return table[value]


def needs(value, where):
    """Return which of dx, dw and db are wanted."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise TypeError(f"{where}: needs must be three bools, for dx, dw and db, got {value!r}")
    return value


def not_negative(value, name) -> float:
    """Return a finite float of at least 0."""
    result = number(value, name)
    if not 0 <= result < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return result


def _shown(value):
    """What a message shows in place of the shape that a value is not."""
    return "an array: use its shape" if isinstance(value, np.ndarray) else repr(value)


def _short(name):
    """The variable in "conv2d: x"."""
    return name.rsplit(" ", 1)[-1]
