"""The backward pass of a layer, as `vjp` returns it."""

from __future__ import annotations

import numbers

import numpy as np

from .._checks import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import Array, Gradient
    from .base import Layer


class Pullback:
    """Turn dy into dx, once, adding to the gradients of the parameters on the way."""

    __slots__ = ("_layer", "_like", "_pull")

    def __init__(
        self, layer: Layer, y: np.ndarray, pull: Callable[[np.ndarray], np.ndarray | None]
    ) -> None:
        self._layer, self._like, self._pull = layer, (y.shape, y.dtype), pull

    def __call__(self, dy: Array) -> Gradient:
        """Return dx, or None if it was not wanted.

        Raises
        ------
        RuntimeError : it has been called before.
        TypeError, ValueError : dy does not have the shape and dtype of y; nothing has been written.
        """
        shape, dtype = self._like
        if not (
            self._pull is not None
            and type(dy) is np.ndarray
            and dy.shape == shape
            and dy.dtype == dtype
            and dy.flags.carray
        ):
            dy = self._checked(dy)
        pull, self._pull = self._pull, None
        return pull(dy)

    def _checked(self, dy):
        where = f"pullback of {self._layer._label()}"
        if self._pull is None:
            raise RuntimeError(f"{where}: it has been called before; call vjp for another one")
        shape, dtype = self._like
        if isinstance(dy, numbers.Real):
            raise TypeError(
                f"{where}: expected dy of shape {shape}, as y has, got the number {dy}; a loss "
                f"returns it beside its value: loss, dy = loss_function(y, target)"
            )
        dy = array(dy, f"{where}: dy")
        if dy.shape != shape:
            raise ValueError(f"{where}: expected dy of shape {shape}, as y has, got {dy.shape}")
        if dy.dtype != dtype:
            raise TypeError(
                f"{where}: expected dy of {dtype}, as y is, got {dy.dtype}; "
                f"use dy.astype(np.{dtype})"
            )
        return dy
