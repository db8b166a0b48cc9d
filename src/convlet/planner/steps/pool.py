"""The steps of pooling."""

from __future__ import annotations

import math

from ... import _core
from ..._core import empty
from ...ops.pool import MAX_WINNERS, pool2d_geometry
from .base import Step, as_images


class MaxPoolStep(Step):
    """MaxPool2d; backward keeps the winners of its windows, or x where a byte cannot name them.

    MaxPool1d as well: sequences are images of one row.
    """

    def prepare(self, node):
        kernel = self.layer.kernel_size
        self.geometry = pool2d_geometry(self.images, kernel, **self.layer._options())
        self.keeps_x = math.prod(kernel) > MAX_WINNERS
        self.masks = node.activation == "relu"
        self.reads = (self.x,) * self.keeps_x + (self.y,) * self.masks

    def infer(self, values, threads):
        y = values[self.y] = empty(self.shape, self.code)
        arrays = map(self.of_images, (y, values[self.x]))
        _core.max_pool2d_forward(*arrays, self.geometry, threads)

    def forward(self, run):
        if self.keeps_x or not self.wanted:
            self.infer(run.values, run.threads)
            return
        y = run.values[self.y] = empty(self.shape, self.code)
        winners = run.kept[self.index] = empty(self.shape, "B")
        arrays = map(self.of_images, (y, winners, run.values[self.x]))
        _core.max_pool2d_forward_winners(*arrays, self.geometry, run.threads)

    def backward(self, run):
        dy = run.take(self.y)
        if self.masks:
            dy = run.masked(dy, self.y)
        dx = empty(self.x_shape, self.code)
        if self.keeps_x:
            arrays = map(self.of_images, (dx, dy, run.value(self.x)))
            _core.max_pool2d_backward(*arrays, self.geometry, run.threads)
        else:
            arrays = map(self.of_images, (dx, dy, run.kept[self.index]))
            _core.max_pool2d_backward_winners(*arrays, self.geometry, run.threads)
        run.release(self.spent)
        run.give(self.x, dx, fresh=True)


class AvgPoolStep(Step):
    """AvgPool2d, GlobalAvgPool2d and those of sequences."""

    def prepare(self, node):
        layer = self.layer
        if layer._kind == "avg_pool2d":
            self.geometry = pool2d_geometry(self.images, layer.kernel_size, **layer._options())
            self.pooled = as_images(self.shape)
        else:
            self.geometry = pool2d_geometry(self.images, self.images[1:3])
            self.pooled = (self.shape[0], 1, 1, self.shape[1])

    def infer(self, values, threads):
        y = empty(self.pooled, self.code)
        _core.avg_pool2d_forward(y, self.of_images(values[self.x]), self.geometry, threads)
        values[self.y] = y.reshape(self.shape)

    def backward(self, run):
        dy, dx = run.take(self.y).reshape(self.pooled), empty(self.x_shape, self.code)
        _core.avg_pool2d_backward(self.of_images(dx), dy, self.geometry, run.threads)
        run.give(self.x, dx, fresh=True)
