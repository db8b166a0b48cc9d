"""A body with a shortcut around it."""

from __future__ import annotations

import textwrap

from .base import Layer
from .paths import join, locate


class Residual(Layer):
    """y = body(x) + shortcut(x), or body(x) + x without a shortcut; no activation follows.

    Parameters
    ----------
    body : Layer
    shortcut : Layer or None

    Raises
    ------
    TypeError : body or shortcut is not a layer.
    ValueError : at a door, the outputs of the two differ in shape.

    References
    ----------
    He, Zhang, Ren & Sun 2016, arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np
    >>> from convlet import BatchNorm
    >>> Residual(BatchNorm(1, eps=1.0))(np.full((1, 1), 2.0, np.float32)).round(2)
    array([[3.41]], dtype=float32)
    """

    _kind = "residual"

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        for name, layer in (("body", body), ("shortcut", shortcut)):
            if not isinstance(layer, Layer) and (name == "body" or layer is not None):
                raise TypeError(
                    f"Residual: expected a layer as its {name}, got {type(layer).__name__}; "
                    f"several are one as Sequential(*layers)"
                )
        self.body, self.shortcut = body, shortcut

    def _children(self):
        paths = [("body", self.body), ("shortcut", self.shortcut)]
        return [(name, layer) for name, layer in paths if layer is not None]

    def _check(self, shape, dtype, training):
        outs = [shape]
        for name, layer in self._children():
            try:
                outs.append(layer._check(shape, dtype, training))
            except (TypeError, ValueError) as error:
                locate(error, f"{name} of Residual")
                raise
        out, around = outs[1], outs[-1] if self.shortcut is not None else shape
        if out != around:
            what = "x" if self.shortcut is None else "shortcut"
            raise ValueError(
                f"Residual: expected body and {what} to have the same shape, got {out} and "
                f"{around} from x {shape}; give it a shortcut, such as a 1x1 Conv2d, that ends in "
                f"the shape of the body"
            )
        return out

    def _lower(self, graph, x, where):
        ys = [
            layer._lower(graph, x, where.inside(name, f"{name} of Residual"))
            for name, layer in self._children()
        ]
        summands = (ys[0], x if self.shortcut is None else ys[1])
        return graph.join("add", self, summands, graph.shapes[ys[0]], where, "add")

    def _trace(self, shape, path=""):
        for name, layer in self._children():
            yield from layer._trace(shape, join(path, name))
        yield join(path, "add"), self, shape, self.output_shape(shape)

    def _label(self):
        return "Residual"

    def __repr__(self) -> str:
        lines = "".join(f"{layer!r},\n" for _, layer in self._children())
        return f"Residual(\n{textwrap.indent(lines, '    ')})"
