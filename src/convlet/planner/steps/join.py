"""The steps that join values, or see one in another shape: add, concat and Flatten."""

from __future__ import annotations

from ... import _core
from ..._core import empty
from .base import Step


class JoinStep(Step):
    """What joins values; its layer holds those that make them, which have steps of their own."""

    def multiply_adds(self):
        return 0


class AddStep(JoinStep):
    """The sum of two values, with ReLU where it follows."""

    def prepare(self, node):
        self.relu = node.activation == "relu"
        self.reads = (self.y,) if self.relu else ()

    def infer(self, values, threads):
        a, b = self.inputs
        y = values[self.y] = empty(self.shape, self.code)
        add = _core.add_relu_into if self.relu else _core.add_into
        add(y, values[a], values[b], threads)

    def backward(self, run):
        dy = run.take(self.y)
        if self.relu:
            dy = run.masked(dy, self.y)
            run.release(self.spent)
        for value, needed in self.wants():
            if needed:
                run.give(value, dy)


class ConcatStep(JoinStep):
    """Values side by side on the last axis."""

    def prepare(self, node):
        self.channels = tuple(shape[-1] for shape in self.input_shapes)

    def infer(self, values, threads):
        y = values[self.y] = empty(self.shape, self.code)
        x = tuple(values[value] for value in self.inputs)
        _core.concat_forward(y, x, self.channels, threads)

    def backward(self, run):
        dx = tuple(
            empty(shape, self.code) if needed else None
            for shape, needed in zip(self.input_shapes, self.needs, strict=True)
        )
        _core.concat_backward(dx, self.channels, run.take(self.y), run.threads)
        for value, gradient in zip(self.inputs, dx, strict=True):
            if gradient is not None:
                run.give(value, gradient, fresh=True)


class FlattenStep(Step):
    """Flatten: another view."""

    def infer(self, values, threads):
        values[self.y] = values[self.x].reshape(self.shape)

    def backward(self, run):
        run.give(self.x, run.take(self.y).reshape(self.x_shape), fresh=run.owned[self.y])
