"""What all steps have, and the step of any layer."""

from __future__ import annotations

from ..._core import empty
from ...layers.paths import locate


def as_images(shape):
    """Return the shape of sequences as that of images of one row, and any other as it is."""
    return (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape


def gradient_room(parameter, code):
    """An array for the gradient of a parameter: its own, where that is zero and nobody else's."""
    blank = parameter.blank_grad()
    return empty(parameter.shape, code) if blank is None else blank


def keep_gradient(parameter, gradient):
    """Add a gradient that lies elsewhere to the parameter's own."""
    if gradient is not parameter.kept_grad():
        parameter.accumulate(gradient)


class Step:
    """A step of a plan.

    Attributes
    ----------
    index : its place in the plan, and in `run.kept`
    inputs, y : numbers of values
    rows, images : whether x is of sequences, and its shape as images, then of one row
    needs : for each input, whether its gradient is wanted
    reads : values that `backward` reads
    wanted : whether `backward` is called
    remakable : whether `remake` can set y again in backward
    dead, spent : values that are not read after `forward` or `infer`, and after `backward`
    """

    reads = ()
    remakable = False

    def __init__(self, index, node, graph, dtype, needs, wanted):
        self.index, self.layer, self.where = index, node.layer, node.where
        self.second = node.second
        self.inputs, self.y, self.needs = node.inputs, node.y, needs
        self.x, self.needs_dx = node.inputs[0], needs[0]
        self.input_shapes = [graph.shapes[value] for value in node.inputs]
        self.x_shape, self.shape = self.input_shapes[0], graph.shapes[node.y]
        self.rows, self.images = len(self.x_shape) == 3, as_images(self.x_shape)
        self.dtype, self.code, self.parts = dtype, dtype.char, node.parts
        self.dead = self.spent = ()
        self.wanted = wanted
        self.prepare(node)

    def prepare(self, node):
        """Settle what the shapes decide."""

    def forward(self, run):
        """Compute the value, and keep nothing for `backward` but values."""
        self.infer(run.values, run.threads)

    def of_images(self, array):
        """What the core takes for an array of images, or of sequences."""
        return array[:, None] if self.rows else array

    def wants(self):
        """Pairs of an input and whether its gradient is wanted."""
        return zip(self.inputs, self.needs, strict=True)

    def multiply_adds(self):
        """Multiplications by a weight in `infer` or `forward`."""
        return self.layer._multiply_adds(self.x_shape)

    def algorithms(self):
        """The algorithms of a convolution, by direction: dicts as of `conv2d_choice`."""
        return {}


class LayerStep(Step):
    """Any layer, through its own two doors."""

    def infer(self, values, threads):
        values[self.y] = self.layer._apply(values[self.x])

    def forward(self, run):
        try:
            y, pull = self.layer._vjp(run.values[self.x], self.needs_dx, run.commits)
        except FloatingPointError as error:
            locate(error, self.where.place)
            raise
        run.values[self.y] = y
        if self.wanted:
            run.kept[self.index] = pull

    def backward(self, run):
        dx = run.kept[self.index](run.take(self.y))
        if self.needs_dx:
            run.give(self.x, dx)
