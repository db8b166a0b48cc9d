"""Concat, which joins branches, and Lambda, which makes a layer of two functions."""

from __future__ import annotations

import textwrap

from .base import Layer
from .paths import join, locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from .._types import Shape


class Concat(Layer):
    """Apply several layers to the same x and concatenate their outputs along the channels.

        y[..., o_i : o_{i+1}] = branch_i(x),  o_i = Σ_{k<i} channels of branch_k(x)

    Parameters
    ----------
    *branches : Layer, at least one; `Sequential()` is the identity. A layer may occur twice; its
        gradients then add up.

    Raises
    ------
    TypeError : an argument is not a layer.
    ValueError : there are no branches; or, at a door, outputs differ in an axis before the last.

    References
    ----------
    Szegedy et al. 2015, arXiv:1409.4842 (inception); Huang et al. 2017, arXiv:1608.06993 (dense)

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Conv2d, Sequential
    >>> x = np.zeros((2, 5, 5, 3), np.float32)
    >>> Concat(Conv2d(3, 4, 1), Conv2d(3, 8, 3, padding=1), Sequential())(x).shape
    (2, 5, 5, 15)
    """

    _kind = "concat"

    def __init__(self, *branches: Layer) -> None:
        if not branches:
            raise ValueError("Concat: expected at least one branch, got none")
        for i, layer in enumerate(branches):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"Concat: expected a layer as branch {i}, got {type(layer).__name__}; "
                    f"several are one as Sequential(*layers)"
                )
        self.branches = branches

    def _children(self):
        return [(str(i), layer) for i, layer in enumerate(self.branches)]

    def _check(self, shape, dtype, training):
        outs = []
        for i, layer in enumerate(self.branches):
            try:
                outs.append(layer._check(shape, dtype, training))
            except (TypeError, ValueError) as error:
                locate(error, f"branch {i} of Concat")
                raise
        for i, out in enumerate(outs):
            if len(out) < 2 or out[:-1] != outs[0][:-1]:
                raise ValueError(
                    f"Concat: expected branches to differ in the last of two or more axes alone, "
                    f"got {outs[0]} from branch 0 and {out} from branch {i} for x {shape}; use "
                    f"strides and padding that give images of one size"
                )
        return (*outs[0][:-1], sum(out[-1] for out in outs))

    def _lower(self, graph, x, where):
        ys = tuple(
            layer._lower(graph, x, where.inside(str(i), f"branch {i} of Concat"))
            for i, layer in enumerate(self.branches)
        )
        shapes = [graph.shapes[y] for y in ys]
        shape = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
        return graph.join("concat", self, ys, shape, where, "concat")

    def _trace(self, shape, path=""):
        for name, layer in self._children():
            yield from layer._trace(shape, join(path, name))
        yield join(path, "concat"), self, shape, self.output_shape(shape)

    def _label(self):
        return "Concat"

    def __repr__(self) -> str:
        lines = "".join(f"{layer!r},\n" for layer in self.branches)
        return f"Concat(\n{textwrap.indent(lines, '    ')})"


class Lambda(Layer):
    """A layer without parameters from two functions: y = forward(x), dx = pullback(dy, x).

    Parameters
    ----------
    forward : callable, x -> y: a function of x alone, the same at both doors; x is read-only
    pullback : callable, (dy, x) -> dx, of the shape of x: the gradient of Σ dy·forward(x)
    output_shape : callable, optional: shape of x -> shape of y, or a ValueError that says what is
        wrong. Without it, forward is called on ones, once for each new shape of x.

    Raises
    ------
    TypeError : an argument is not callable. At a door, y or dx is not an array of the dtype of x.
    ValueError : y does not have the shape announced, or dx that of x.

    Notes
    -----
    It can be pickled if its functions can: those of a module can, a lambda cannot. For a layer with
    parameters write a class: see `Layer`. `convlet.gradcheck.gradcheck` checks either against
    finite differences.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Lambda(np.sin, lambda dy, x: dy * np.cos(x))
    >>> y, pullback = layer.vjp(np.zeros((1, 2), np.float32))
    >>> pullback(np.ones((1, 2), np.float32))
    array([[1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        forward: Callable[[np.ndarray], np.ndarray],
        pullback: Callable[[np.ndarray, np.ndarray], np.ndarray],
        *,
        output_shape: Callable[[Shape], Shape] | None = None,
    ) -> None:
        for name, function in (("forward", forward), ("pullback", pullback)):
            if not callable(function):
                raise TypeError(f"Lambda: {name} must be callable, got {function!r}")
        if output_shape is not None and not callable(output_shape):
            raise TypeError(f"Lambda: output_shape must be None or callable, got {output_shape!r}")
        self._forward, self._pullback, self._announced = forward, pullback, output_shape

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Return (y, pullback), as a custom layer does."""
        return self._forward(x), lambda dy: self._pullback(dy, x)

    def _output_shape(self, shape):
        if self._announced is not None:
            return tuple(self._announced(shape))
        return super()._output_shape(shape)

    def __repr__(self) -> str:
        functions = [self._forward, self._pullback]
        names = [getattr(function, "__name__", repr(function)) for function in functions]
        if self._announced is not None:
            announced = getattr(self._announced, "__name__", repr(self._announced))
            names.append(f"output_shape={announced}")
        return f"Lambda({', '.join(names)})"
