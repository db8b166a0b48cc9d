"""The summary of a model, layer by layer, as a table."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .layers import Layer

HEADINGS = ("layer", "", "output shape", "parameters", "multiply-adds", "bytes")


class Summary:
    """Shapes, parameters, multiply-adds and bytes of a model, layer by layer; prints as a table.

    Attributes
    ----------
    rows : list of dict with
        path : str, the path of the layer, as in `state_dict`
        layer : str, its repr
        output_shape : tuple
        parameters : int, the elements of its parameters; 0 where a layer occurs again
        multiply_adds : int, multiplications by weights of convolutions and linear layers in one
            forward pass
        bytes : int, of the output; 0 if it is a view of the input
    parameters, multiply_adds, bytes : int, the totals; each parameter counts once
    input_shape : tuple, of x

    Examples
    --------
    >>> from convlet import Linear
    >>> total = Linear(100, 10).summary((32, 100))
    >>> total.parameters, total.multiply_adds, total.bytes
    (1010, 32000, 1280)
    """

    rows: list[dict[str, Any]]
    parameters: int
    multiply_adds: int
    bytes: int

    def __init__(self, model: Layer, shape: tuple[int, ...]):
        self.input_shape, self.rows, counted = shape, [], set()
        itemsize = 4 if model.dtype is None else model.dtype.itemsize
        for path, layer, before, after in model._trace(shape):
            fresh = {id(p): p.size for p in layer._own() if id(p) not in counted}
            counted |= set(fresh)
            self.rows.append(
                {
                    "path": path,
                    "layer": layer._label(),
                    "output_shape": after,
                    "parameters": sum(fresh.values()),
                    "multiply_adds": layer._multiply_adds(before),
                    "bytes": 0 if layer._is_view else math.prod(after) * itemsize,
                }
            )
        for name in ("parameters", "multiply_adds", "bytes"):
            setattr(self, name, sum(row[name] for row in self.rows))

    def __repr__(self) -> str:
        cells = [HEADINGS, ("", "input", str(self.input_shape), "", "", "")]
        for row in self.rows:
            numbers = (f"{row[name]:,}" for name in ("parameters", "multiply_adds", "bytes"))
            cells.append((row["path"], row["layer"], str(row["output_shape"]), *numbers))
        totals = (f"{n:,}" for n in (self.parameters, self.multiply_adds, self.bytes))
        cells.append(("total", "", "", *totals))
        return table(cells, 3)


def table(lines, text):
    """Align lines of cells: the first `text` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths, text) for cells in lines)


def _line(cells, widths, text):
    padded = [
        cell.ljust(width) if column < text else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
