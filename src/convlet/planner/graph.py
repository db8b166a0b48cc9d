"""A model as a graph: nodes in the order of computation, without containers."""

from __future__ import annotations

from typing import NamedTuple

from ..layers.paths import join
from ..ops.conv_activation import activation_title


class Where(NamedTuple):
    """Where a layer is: its path, as in `state_dict`, and its place, as in messages."""

    path: str = ""
    place: str = ""

    def inside(self, name, place):
        """Where a layer of the container here is."""
        return Where(
            join(self.path, name),
            f"{self.place}, {place}" if self.place else place,
        )


class Node(NamedTuple):
    """One kernel or one layer: computes value `y` from the values `inputs`."""

    kind: str | None  # a key of steps.STEPS, an activation's name, or None: the layer runs itself
    layer: object
    inputs: tuple  # numbers of values
    y: int
    where: Where
    activation: str | tuple | None = None  # as of `ops.conv2d`
    masked_later: bool = False  # the pool that reads y masks the gradient by its own output
    parts: tuple = ()  # names of the nodes joined into it, in the order of computation
    second: Node | None = None  # the batch norm that is the other summand
    pool: object = None  # the max pooling that follows in the same kernel

    def layers(self):
        """The layers whose parameters the kernel uses."""
        return (self.layer,) if self.second is None else (self.layer, self.second.layer)

    def takes_sum(self):
        """Whether no sum has been joined to it."""
        return len(self.inputs) == 1


class Graph:
    """Nodes in the order of computation, and the shape of every value; value 0 is x.

    Attributes
    ----------
    shapes : list of the shapes of values, by their numbers
    nodes : list of Node
    output : the number of the value that the model returns
    """

    def __init__(self, model, shape):
        self.shapes, self.nodes = [shape], []
        self.output = model._lower(self, 0, Where())

    def layer(self, layer, x, where):
        """Append a layer that has one input; return the number of its y."""
        shape = layer._output_shape(self.shapes[x])
        return self.join(layer._kind, layer, (x,), shape, where, type(layer).__name__)

    def join(self, kind, layer, inputs, shape, where, name):
        """Append a node of several inputs; return the number of its y."""
        self.shapes.append(shape)
        y = len(self.shapes) - 1
        activation = getattr(layer, "activation", None) if kind == "conv2d" else None
        parts = (name,) if activation is None else (name, activation_title(activation))
        self.nodes.append(Node(kind, layer, inputs, y, where, activation, parts=parts))
        return y
