"""The steps of layers with weights: convolutions and Linear."""

from __future__ import annotations

from ... import _core
from ..._core import empty
from ...ops.conv import conv2d_choice, conv2d_geometry, require_path
from ...ops.conv_activation import activation_backward
from .base import Step, gradient_room, keep_gradient


class ConvStep(Step):
    """Conv2d, with ReLU or one like it where it follows.

    Conv1d as well: sequences are images of one row. In a folded model a sum may come between, but
    programs compute that.
    """

    def prepare(self, node):
        layer, bias = self.layer, self.layer.bias
        self.activation, self.relu = node.activation, node.activation == "relu"
        options, w_shape = layer._options(), layer.weight.shape
        if self.rows:
            w_shape = (1, *w_shape)
        self.geometry = conv2d_geometry(self.images, w_shape, activation=node.activation, **options)
        self.plain = conv2d_geometry(self.images, w_shape, **options)
        self.needs_dw = layer.weight.trainable
        self.needs_db = bias is not None and bias.trainable
        place = f"{self.where.place}, {layer!r}" if self.where.place else repr(layer)
        for direction in self.directions():
            require_path(
                direction,
                self.dtype,
                self.images,
                self.shape[-1],
                self.plain,
                layer.algorithm,
                place,
            )
        reads_x = (self.x,) if self.needs_dw or self.needs_db else ()
        self.masks = self.activation is not None and not node.masked_later
        self.reads = (*reads_x, self.y) if self.masks else reads_x

    def directions(self):
        """The passes that run."""
        wanted = {
            "forward": True,
            "backward_data": self.wanted and self.needs_dx,
            "backward_weights": self.wanted and self.needs_dw,
        }
        return list(filter(wanted.get, wanted))

    def algorithms(self):
        return {
            direction: conv2d_choice(
                direction, self.code, self.images, self.shape[-1], self.geometry
            )
            for direction in self.directions()
        }

    def of_filters(self, array):
        """What the core takes for filters, or their gradient; None stays."""
        return array[None] if self.rows and array is not None else array

    def infer(self, values, threads):
        weight, bias = self.layer._arrays()
        y = values[self.y] = empty(self.shape, self.code)
        _core.conv2d_forward(
            self.of_images(y),
            self.of_images(values[self.x]),
            self.of_filters(weight),
            bias,
            self.geometry,
            threads,
        )

    def backward(self, run):
        dy, threads, code = run.take(self.y), run.threads, self.code
        weight, bias = self.layer.weight, self.layer.bias
        if self.masks and self.relu:
            dy = run.masked(dy, self.y)
        elif self.masks:
            dy = activation_backward(dy, run.value(self.y), self.activation)
        # The weights first: then x goes before dx comes.
        if self.needs_dw or self.needs_db:
            dw = gradient_room(weight, code) if self.needs_dw else None
            db = gradient_room(bias, code) if self.needs_db else None
            _core.conv2d_backward_weights(
                self.of_filters(dw),
                db,
                self.of_images(dy),
                self.of_images(run.value(self.x)),
                self.plain,
                threads,
            )
            if self.needs_dw:
                keep_gradient(weight, dw)
            if self.needs_db:
                keep_gradient(bias, db)
            run.release(self.spent)
        if self.needs_dx:
            dx = empty(self.x_shape, code)
            _core.conv2d_backward_data(
                self.of_images(dx),
                self.of_images(dy),
                self.of_filters(weight.value),
                self.plain,
                threads,
            )
            run.give(self.x, dx, fresh=True)


class LinearStep(Step):
    """Linear."""

    def prepare(self, node):
        layer, bias = self.layer, self.layer.bias
        self.needs_dw = layer.weight.trainable
        self.needs_db = bias is not None and bias.trainable
        self.reads = (self.x,) if self.needs_dw or self.needs_db else ()

    def infer(self, values, threads):
        y = values[self.y] = empty(self.shape, self.code)
        _core.linear_forward(y, values[self.x], *self.layer._arrays(), threads)

    def backward(self, run):
        dy, code = run.take(self.y), self.code
        weight, bias = self.layer.weight, self.layer.bias
        if self.needs_dw or self.needs_db:
            dw = gradient_room(weight, code) if self.needs_dw else None
            db = gradient_room(bias, code) if self.needs_db else None
            _core.linear_backward_weights(dw, db, dy, run.value(self.x), run.threads)
            if self.needs_dw:
                keep_gradient(weight, dw)
            if self.needs_db:
                keep_gradient(bias, db)
            run.release(self.spent)
        if self.needs_dx:
            dx = empty(self.x_shape, code)
            _core.linear_backward_data(dx, dy, weight.value, run.threads)
            run.give(self.x, dx, fresh=True)
