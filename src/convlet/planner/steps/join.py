"""The steps that join values, or see one in another shape: add, concat and Flatten."""

from __future__ import annotations

import itertools

import numpy as np

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
        add = _core.add_relu if self.relu else _core.add
        add(y, values[a], values[b], threads)

    def forward(self, run):
        self.infer(run.values, run.threads)

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
        ends = itertools.accumulate((shape[-1] for shape in self.input_shapes), initial=0)
        self.columns = [slice(begin, end) for begin, end in itertools.pairwise(ends)]

    def infer(self, values, threads):
        y = values[self.y] = empty(self.shape, self.code)
        np.concatenate([values[value] for value in self.inputs], axis=-1, out=y)

    def forward(self, run):
        self.infer(run.values, run.threads)

    def backward(self, run):
        dy = run.take(self.y)
        for (value, needed), columns in zip(self.wants(), self.columns, strict=True):
            if needed:
                dx = empty((*dy.shape[:-1], columns.stop - columns.start), self.code)
                dx[...] = dy[..., columns]
                run.give(value, dx, fresh=True)


class FlattenStep(Step):
    """Flatten: another view."""

    def infer(self, values, threads):
        values[self.y] = values[self.x].reshape(self.shape)

    def forward(self, run):
        run.values[self.y] = run.values[self.x].reshape(self.shape)

    def backward(self, run):
        run.give(self.x, run.take(self.y).reshape(self.x_shape), fresh=run.owned[self.y])
