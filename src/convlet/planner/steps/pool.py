"""The steps of pooling."""

from __future__ import annotations

import math

from ... import _core
from ..._core import empty
from ...ops.pool import MAX_WINNERS, pool2d_geometry
from .base import Step


class MaxPoolStep(Step):
    """MaxPool2d; backward keeps the winners of its windows, or x where a byte cannot name them."""

    def prepare(self, node):
        kernel = self.layer.kernel_size
        self.geometry = pool2d_geometry(self.x_shape, kernel, **self.layer._options())
        self.keeps_x = math.prod(kernel) > MAX_WINNERS
        self.masks = node.activation == "relu"
        self.reads = (self.x,) * self.keeps_x + (self.y,) * self.masks

    def infer(self, values, threads):
        y = values[self.y] = empty(self.shape, self.code)
        _core.max_pool2d_forward(y, values[self.x], self.geometry, threads)

    def forward(self, run):
        if self.keeps_x or not self.wanted:
            self.infer(run.values, run.threads)
            return
        y, winners = empty(self.shape, self.code), empty(self.shape, "B")
        _core.max_pool2d_forward_winners(y, winners, run.values[self.x], self.geometry, run.threads)
        run.values[self.y], run.kept[self.index] = y, winners

    def backward(self, run):
        dy = run.take(self.y)
        if self.masks:
            dy = run.masked(dy, self.y)
        dx = empty(self.x_shape, self.code)
        if self.keeps_x:
            _core.max_pool2d_backward(dx, dy, run.value(self.x), self.geometry, run.threads)
        else:
            winners = run.kept[self.index]
            _core.max_pool2d_backward_winners(dx, dy, winners, self.geometry, run.threads)
        run.release(self.spent)
        run.give(self.x, dx, fresh=True)


class AvgPoolStep(Step):
    """AvgPool2d and GlobalAvgPool2d."""

    def prepare(self, node):
        layer = self.layer
        self.images = self.shape
        if layer._kind == "avg_pool2d":
            self.geometry = pool2d_geometry(self.x_shape, layer.kernel_size, **layer._options())
        else:
            self.geometry = pool2d_geometry(self.x_shape, self.x_shape[1:3])
            self.images = (self.shape[0], 1, 1, self.shape[1])

    def infer(self, values, threads):
        y = empty(self.images, self.code)
        _core.avg_pool2d_forward(y, values[self.x], self.geometry, threads)
        values[self.y] = y.reshape(self.shape)

    def forward(self, run):
        self.infer(run.values, run.threads)

    def backward(self, run):
        dy, dx = run.take(self.y).reshape(self.images), empty(self.x_shape, self.code)
        _core.avg_pool2d_backward(dx, dy, self.geometry, run.threads)
        run.give(self.x, dx, fresh=True)
