"""Custom layers: their `forward(x) -> (y, pullback)` is called and checked here."""

from __future__ import annotations

import numpy as np

from .. import _checks
from .._core import empty

_SHAPES_KEPT = 64


def measured_shape(layer, shape):
    """Return the shape of y that `forward` gives for ones of this shape, called once for each."""
    dtype = layer.dtype or _checks.FLOAT32
    known = layer.__dict__.setdefault("_shapes", {})
    measured = known.get((shape, dtype))
    if measured is None:
        with np.errstate(all="ignore"):
            y, _ = _call(layer, np.ones(shape, dtype))
        measured = y.shape
        if len(known) >= _SHAPES_KEPT:
            known.clear()
        known[shape, dtype] = measured
    return measured


def custom_forward(layer, x):
    """Return (y, pullback) of `forward`; y is of the shape announced and does not share memory."""
    y, pullback = _call(layer, x)
    expected = layer._output_shape(x.shape)
    if y.shape != expected:
        layer.__dict__.pop("_shapes", None)
        raise ValueError(
            f"{layer!r}: expected forward to give y of shape {expected} for x {x.shape}, got "
            f"{y.shape}; its shape may depend on that of x alone, and is what output_shape says "
            f"where the layer has one"
        )
    return _copy(y) if np.may_share_memory(y, x) else y, pullback


def custom_pullback(layer, x, pullback, input_grad):
    """Return the pullback with dx checked, or None in its place if it is not wanted."""
    shape, dtype = x.shape, x.dtype

    def pull(dy):
        dx = pullback(_read_only(dy))
        if not input_grad:
            return None
        dx = _checks.array(dx, f"{layer!r}: its pullback's dx")
        _same_dtype(layer, "its pullback to give dx", dx, dtype)
        if dx.shape != shape:
            raise ValueError(
                f"{layer!r}: expected its pullback to give dx of shape {shape}, as x has, got "
                f"{dx.shape}"
            )
        return dx if dx.flags.writeable else _copy(dx)

    return pull


def _call(layer, x):
    """Call forward on a read-only x and check what it returns, except for shapes."""
    if not hasattr(layer, "forward"):
        raise TypeError(
            f"{layer!r}: a layer of your own needs a method forward(x) that returns (y, pullback)"
        )
    result = layer.forward(_read_only(x))
    if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
        raise TypeError(
            f"{layer!r}: expected forward to return (y, pullback), got {type(result).__name__}"
        )
    y = _checks.array(result[0], f"{layer!r}: forward's y")
    _same_dtype(layer, "forward to give y", y, x.dtype)
    return y, result[1]


def _read_only(x):
    view = x.view()
    view.flags.writeable = False
    return view


def _copy(x):
    copy = empty(x.shape, x.dtype.char)
    copy[...] = x
    return copy


def _same_dtype(layer, what, value, expected):
    if value.dtype != expected:
        raise TypeError(
            f"{layer!r}: expected {what} of {expected}, as x is, got {value.dtype}; use constants "
            f"of that dtype, or .astype(x.dtype)"
        )
