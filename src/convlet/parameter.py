"""Parameters: the arrays that training changes, and how a model packs them in memory."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import threading

import numpy as np

from ._calls import explain_attribute
from ._checks import FLOAT32, FLOAT64, array
from ._names import PARAMETER_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from ._types import Array, Float, Kind, Shape


KINDS = ("weight", "bias", "norm")
FLOATS = (FLOAT32, FLOAT64)
_LINE, _HUGE_PAGE = 64, 1 << 21  # bytes

_lock = threading.RLock()  # one thread at a time draws, packs, or makes a first gradient


def _renew_lock():
    """In the child of a fork: a thread of the parent that held the lock will not release it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def line_zeros(shape: Shape, dtype: Float) -> np.ndarray:
    """Return zeros aligned to a cache line: vectors that straddle two slow an optimizer by 1/5.

    From 2 MiB on they lie on huge pages, where the system has them.
    """
    dtype = np.dtype(dtype)
    bytes_ = math.prod(shape) * dtype.itemsize
    if bytes_ < _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        memory = np.zeros(bytes_ + _LINE, np.uint8)
        first = _to_boundary(memory, _LINE)
    else:
        memory, first = _huge_pages(bytes_)
    return memory[first : first + bytes_].view(dtype).reshape(shape)


def _to_boundary(memory, boundary):
    return -memory.__array_interface__["data"][0] % boundary


def _huge_pages(bytes_):
    """Fresh memory and where in it a huge page begins: NumPy's may have got small pages before."""
    try:
        mapped = mmap.mmap(-1, bytes_ + _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"cannot allocate {bytes_} bytes") from error
    memory = np.frombuffer(mapped, np.uint8)
    first = _to_boundary(memory, _HUGE_PAGE)
    with contextlib.suppress(OSError):  # small pages serve
        mapped.madvise(mmap.MADV_HUGEPAGE, first, bytes_ // _HUGE_PAGE * _HUGE_PAGE)
    return memory, first


def _line_copy(source):
    target = line_zeros(source.shape, source.dtype)
    target[...] = source
    return target


class Parameter:
    """An array that training changes, and its gradient.

    Parameters
    ----------
    value : array, float32 or float64, any shape; copied
    kind : "weight", "bias" or "norm", for example to select the parameters that decay
    name : str, optional; used in messages

    Attributes
    ----------
    value, grad : ndarray; grad is initially 0. Assignment copies the numbers: shape and dtype must
        match, and the memory stays the same. Both may be written in place.
    trainable : bool, initially True; if False, the parameter gets no gradient and optimizers skip
        it
    shape, dtype, size : those of value

    Raises
    ------
    TypeError : value is neither float32 nor float64.
    ValueError : kind is none of the three; or an array of another shape is assigned.

    Notes
    -----
    A parameter owns its memory until a model packs it (see `pack`). That happens once, at the first
    `parameters()` or `vjp` of the outermost model; an array taken from `value` before is then
    detached. Copies made by copy.deepcopy and pickle own their memory.

    A pullback writes a gradient that is zero, and adds to it else. Of a parameter whose `grad` was
    read it always adds, since who has the array may have written to it.

    Examples
    --------
    >>> import numpy as np
    >>> scale = Parameter(np.ones(3, np.float32), kind="norm", name="scale")
    >>> scale.grad
    array([0., 0., 0.], dtype=float32)
    """

    # No __dict__, so that setting an attribute of other libraries, as requires_grad, is an error.
    __slots__ = (
        *("shape", "dtype", "kind", "name", "trainable"),
        *("_value", "_grad", "_draw", "_arena", "_blank", "_lent", "__weakref__"),
    )

    def __init__(self, value: Array, *, kind: Kind = "weight", name: str | None = None) -> None:
        value = array(value, "Parameter: value")
        self._begin(value.shape, value.dtype, kind, name)
        self._value = _line_copy(value)

    def _begin(self, shape, dtype, kind, name):
        if kind not in KINDS:
            raise ValueError(f"Parameter: expected a kind in {KINDS}, got {kind!r}")
        self.shape, self.dtype, self.kind, self.name = shape, dtype, kind, name
        self.trainable = True
        self._value = self._grad = self._draw = self._arena = None
        self._blank = True  # the gradient is zero, unless it was lent to somebody who wrote to it
        self._lent = False

    @classmethod
    def drawn(
        cls,
        draw: Callable[[Shape], np.ndarray],
        shape: Shape,
        *,
        kind: Kind = "weight",
        name: str | None = None,
    ) -> Self:
        """Make a float32 parameter with value draw(shape), which is called when first needed."""
        parameter = cls.__new__(cls)
        parameter._begin(shape, FLOATS[0], kind, name)
        parameter._draw = draw
        return parameter

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def value(self) -> np.ndarray:
        """The array."""
        if self._value is None:
            with _lock:
                if self._value is None:
                    self._value = _line_copy(np.asarray(self._draw(self.shape), self.dtype))
                    self._draw = None
        return self._value

    @value.setter
    def value(self, value: Array) -> None:
        self._copy_in(self.value, value, "value")

    @property
    def grad(self) -> np.ndarray:
        """The sum of the gradients since it was last zeroed."""
        self._lent = True
        return self.kept_grad()

    @grad.setter
    def grad(self, grad: Array) -> None:
        self._blank = False
        self._copy_in(self.kept_grad(), grad, "grad")

    if not TYPE_CHECKING:  # else a type checker would accept any attribute

        def __getattr__(self, name):
            return explain_attribute(self, name, PARAMETER_NAMES)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Return value itself, so that NumPy's functions accept a parameter as an array."""
        return np.array(self.value, dtype, copy=copy)

    def _copy_in(self, target, source, what):
        source = array(source, f"{self!r}: {what}")
        if source.shape != self.shape:
            cure = f"; fill it with one number by {what}[...] = number" if source.size == 1 else ""
            raise ValueError(
                f"{self!r}: expected a {what} of shape {self.shape}, got {source.shape}{cure}"
            )
        if source.dtype != self.dtype:
            raise TypeError(
                f"{self!r}: expected a {what} of {self.dtype}, got {source.dtype}; "
                f"convert it with .astype(np.{self.dtype})"
            )
        target[...] = source

    def accumulate(self, gradient: ArrayLike | None) -> None:
        """Add to the gradient, unless it is None or the parameter is frozen.

        Raises
        ------
        ValueError : gradient does not have the shape of the parameter; nothing has been added.
        """
        if gradient is not None and self.trainable:
            shape = np.shape(gradient)
            if shape != self.shape:
                raise ValueError(
                    f"{self!r}: expected a gradient of shape {self.shape}, got {shape}"
                )
            self._blank = False
            np.add(self.kept_grad(), gradient, out=self._grad)

    def kept_grad(self) -> np.ndarray:
        """Return the gradient to one who neither passes it on nor adds to it."""
        if self._grad is None:
            with _lock:
                if self._grad is None:
                    self._grad = line_zeros(self.shape, self.dtype)
        return self._grad

    def blank_grad(self) -> np.ndarray | None:
        """Return the gradient to be written, if it is zero and nobody else has it; else None.

        Large gradients are worth it: to add them reads and writes as much again.
        """
        if self._lent or not (self._blank and self.trainable):
            return None
        self._blank = False
        return self.kept_grad()

    def clear_grad(self, *, cleared: bool = False) -> None:
        """Fill the gradient with zeros, unless it has been `cleared` already."""
        if not cleared:
            self.kept_grad().fill(0)
        self._blank = True

    def drop_grad(self) -> None:
        """Free the gradient if the parameter owns it; the next access gives zeros."""
        if self._arena is None:
            self._grad, self._blank, self._lent = None, True, False

    def place(self) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return (block of values, block of gradients, first index) of a packed parameter."""
        return self._arena

    def cast(self, dtype: Float) -> None:
        """Change the dtype of value and gradient; the parameter owns its memory again."""
        value = self.value.astype(dtype)
        grad = None if self._grad is None else self._grad.astype(dtype)
        self._value, self._grad, self.dtype, self._arena = value, grad, np.dtype(dtype), None

    def __getstate__(self):
        grad = None if self._grad is None else self._grad.copy()
        return self.value.copy(), grad, self.kind, self.name, self.trainable

    def __setstate__(self, state):
        value, grad, kind, name, trainable = state
        self._begin(value.shape, value.dtype, kind, name)
        self._value, self._grad, self.trainable = value, grad, trainable
        self._blank = grad is None

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"Parameter({self.dtype}{list(self.shape)}, kind={self.kind!r}{name})"


def pack(parameters):
    """Move the values of parameters into one block of memory, and their gradients into another.

    They lie there in the order given, so that an optimizer steps neighbours in one sweep. A
    parameter that is packed already stays where it is; the others move now and never again. Each
    dtype has blocks of its own.
    """
    with _lock:
        for dtype in FLOATS:
            movers = [p for p in parameters if p.dtype == dtype and p.place() is None]
            total = sum(p.size for p in movers)
            values, grads = (line_zeros((total,), dtype) for _ in range(2))
            first = 0
            for p in movers:
                value = values[first : first + p.size].reshape(p.shape)
                grad = grads[first : first + p.size].reshape(p.shape)
                value[...] = p.value
                if p._grad is not None:
                    grad[...] = p._grad
                p._value, p._grad, p._arena = value, grad, (values, grads, first)
                first += p.size


def pack_values(parameters):
    """Move the values of parameters into one block of memory, for inference; drop their gradients.

    One block of many small arrays lies on huge pages; each array begins on a cache line.
    """
    for dtype in FLOATS:
        movers = [p for p in parameters if p.dtype == dtype]
        line = _LINE // dtype.itemsize
        sizes = [-(-p.size // line) * line for p in movers]
        values, first = line_zeros((sum(sizes),), dtype), 0
        for p, size in zip(movers, sizes, strict=True):
            value = values[first : first + p.size].reshape(p.shape)
            value[...] = p.value
            p._value, p._arena = value, None
            p.drop_grad()
            first += size
