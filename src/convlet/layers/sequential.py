"""Layers one after the other."""

from __future__ import annotations

import textwrap
from typing import SupportsIndex, overload

from .base import Layer
from .paths import join, locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._types import Rng


class Sequential(Layer):
    """Apply layers in order; len, iteration, indexing and slicing work as on a tuple of layers.

    Parameters
    ----------
    *layers : Layer; a layer may occur twice, and its gradients then add up
    rng : numpy Generator or seed. Every layer inside that draws its parameters and has no generator
        yet, from its own `rng=` or that of a container inside this one, gets one spawned from this,
        in layer order. Parameters already drawn stay as they are.

    Raises
    ------
    TypeError : an argument is not a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import Conv2d, Flatten, Linear, ReLU
    >>> model = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(16, 10), rng=0)
    >>> model(np.zeros((2, 4, 4, 1), np.float32)).shape
    (2, 10)
    """

    _kind = "sequential"

    def __init__(self, *layers: Layer, rng: Rng = None) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"Sequential: expected a layer at position {i}, got {type(layer).__name__}; "
                    f"a list of layers is unpacked as Sequential(*layers)"
                )
        self._layers = layers
        self._spawn(rng)

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index):
        chosen = self._layers[index]
        return Sequential(*chosen) if isinstance(index, slice) else chosen

    def _children(self):
        return [(str(i), layer) for i, layer in enumerate(self._layers)]

    def _check(self, shape, dtype, training):
        for i, layer in enumerate(self._layers):
            try:
                shape = layer._check(shape, dtype, training)
            except (TypeError, ValueError) as error:
                locate(error, f"layer {i} of Sequential")
                raise
        return shape

    def _lower(self, graph, x, where):
        for i, layer in enumerate(self._layers):
            x = layer._lower(graph, x, where.inside(str(i), f"layer {i} of Sequential"))
        return x

    def _trace(self, shape, path=""):
        for name, layer in self._children():
            yield from layer._trace(shape, join(path, name))
            shape = layer.output_shape(shape)

    def _label(self):
        return "Sequential"

    def __repr__(self) -> str:
        lines = "".join(f"{layer!r},\n" for layer in self._layers)
        return f"Sequential(\n{textwrap.indent(lines, '    ')})" if lines else "Sequential()"
