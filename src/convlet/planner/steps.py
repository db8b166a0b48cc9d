"""Steps: what a plan runs, one kernel each way, on values that have been checked.

A step has three methods. `infer(values, threads)` sets its value from others. `forward(run)` does
so for training, and keeps in `run.kept` what its pullback needs beyond values; `backward(run)`
takes the gradient of its value and gives those of its inputs that are wanted, adding to the
gradients of parameters. What shapes decide is settled when a step is made; everything else, such
as a weight or an epsilon, is read from the layer when it is used.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from .. import _core
from .._checks import ACTIVATIONS
from .._core import empty
from ..layers.paths import locate
from ..layers.recalibrate import BatchMoments
from ..ops.conv import conv2d_choice, conv2d_geometry, require_path
from ..ops.conv_activation import activation_backward
from ..ops.pool import MAX_WINNERS, pool2d_geometry


class Step:
    """What all steps have.

    Attributes
    ----------
    index : its place in the plan, and in `run.kept`
    inputs, y : numbers of values
    needs : for each input, whether its gradient is wanted
    reads : values that `backward` reads
    wanted : whether `backward` is called
    remakable : whether `remake` can set y again in backward
    dead, spent : values that nobody reads after `forward`, or `infer`, and after `backward`
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
        self.dtype, self.code, self.parts = dtype, dtype.char, node.parts
        self.dead = self.spent = ()
        self.wanted = wanted
        self.prepare(node)

    def prepare(self, node):
        """Settle what the shapes decide."""

    def wants(self):
        """Pairs of an input and whether its gradient is wanted."""
        return zip(self.inputs, self.needs, strict=True)

    def multiply_adds(self):
        """Multiplications of a weight with a value in `infer` or `forward`."""
        return self.layer._multiply_adds(self.x_shape) if len(self.inputs) == 1 else 0

    def algorithms(self):
        """What a convolution takes, by direction: dicts as of `conv2d_choice`."""
        return {}


def batch_moments(norm, where, statistics, count):
    """The statistics of a batch to be committed to a batch norm; raise unless they are finite."""
    try:
        return BatchMoments(norm, statistics, count)
    except FloatingPointError as error:
        locate(error, where.place)
        raise


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


class ConvStep(Step):
    """Conv2d, with ReLU or one like it where it follows; for inference, with a sum before that.

    Conv1d as well: sequences are images of one row.
    """

    def prepare(self, node):
        layer, bias = self.layer, self.layer.bias
        self.activation, self.relu = node.activation, node.activation == "relu"
        self.residual = node.inputs[1] if len(node.inputs) == 2 else None
        options, w_shape = layer._options(), layer.weight.shape
        self.rows = len(self.x_shape) == 3
        self.images = self.x_shape
        if self.rows:
            self.images, w_shape = (self.x_shape[0], 1, *self.x_shape[1:]), (1, *w_shape)
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

    def of_images(self, array):
        """What the core takes for an array of images, or of sequences."""
        return array[:, None] if self.rows else array

    def of_filters(self, array):
        """What the core takes for filters, or their gradient; None stays."""
        return array[None] if self.rows and array is not None else array

    def infer(self, values, threads):
        weight, bias = self.of_filters(self.layer.weight.value), self.layer.bias
        bias = None if bias is None else bias.value
        y = values[self.y] = empty(self.shape, self.code)
        geometry = self.geometry if self.residual is None else self.plain
        _core.conv2d_forward(
            self.of_images(y), self.of_images(values[self.x]), weight, bias, geometry, threads
        )
        if self.residual is not None:
            add = _core.add if self.activation is None else _core.add_relu
            add(y, y, values[self.residual], threads)

    def forward(self, run):
        self.infer(run.values, run.threads)

    def backward(self, run):
        dy, threads, code = run.take(self.y), run.threads, self.code
        weight, bias = self.layer.weight, self.layer.bias
        if self.masks and self.relu:
            dy = run.masked(dy, self.y)
        elif self.masks:
            dy = activation_backward(dy, run.value(self.y), self.activation)
        # The weights first: then x goes before dx comes.
        if self.needs_dw or self.needs_db:
            dw = empty(weight.shape, code) if self.needs_dw else None
            db = empty(bias.shape, code) if self.needs_db else None
            _core.conv2d_backward_weights(
                self.of_filters(dw),
                db,
                self.of_images(dy),
                self.of_images(run.value(self.x)),
                self.plain,
                threads,
            )
            weight.accumulate(dw)
            if self.needs_db:
                bias.accumulate(db)
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


class NormStep(Step):
    """BatchNorm, with a sum and ReLU where they follow.

    Without a sum the mask of ReLU is recomputed from x, and y too where a later step asks for it,
    to the bit: so it need not be kept.
    """

    def prepare(self, node):
        layer = self.layer
        self.residual = node.inputs[1] if len(node.inputs) == 2 else None
        self.remakable = self.residual is None
        self.activation = ACTIVATIONS[node.activation]
        self.channels = layer.channels
        self.count = math.prod(self.x_shape) // layer.channels
        self.given = layer._takes_running(training=False)
        self.frozen = layer._takes_running(training=True)
        self.masked = self.activation and self.residual is not None
        self.reads = (self.x, self.y) if self.masked else (self.x,)

    def infer(self, values, threads):
        if self.given:
            mean, var = self.layer._running()
            self.apply(values, mean, var, threads)
        else:
            self.measure(values, threads)

    def forward(self, run):
        if self.frozen:
            mean, var = self.layer._running()
            self.apply(run.values, mean, var, run.threads)
        else:
            mean, var = statistics = self.measure(run.values, run.threads)
            run.commits.append(batch_moments(self.layer, self.where, statistics, self.count))
        run.kept[self.index] = mean, var

    def measure(self, values, threads):
        """Set y by the statistics of x, and return mean and variance as one array."""
        gamma, beta = self.layer._scale_and_shift()
        residual = None if self.residual is None else values[self.residual]
        mean, var = statistics = np.empty((2, self.channels))
        y = values[self.y] = empty(self.shape, self.code)
        _core.batch_norm_forward(
            y,
            mean,
            var,
            values[self.x],
            gamma,
            beta,
            residual,
            self.layer.eps,
            self.activation,
            threads,
        )
        return statistics

    def apply(self, values, mean, var, threads):
        """Set y by given statistics."""
        gamma, beta = self.layer._scale_and_shift()
        residual = None if self.residual is None else values[self.residual]
        y = values[self.y] = empty(self.shape, self.code)
        _core.batch_norm_inference(
            y,
            values[self.x],
            gamma,
            beta,
            mean,
            var,
            residual,
            self.layer.eps,
            self.activation,
            threads,
        )

    def remake(self, run):
        """Set y again, to the bit, from what backward keeps."""
        run.value(self.x)
        self.apply(run.values, *run.kept[self.index], run.threads)

    def backward(self, run):
        layer, code, channels = self.layer, self.code, (self.channels,)
        dy = run.take(self.y)
        mean, var = run.kept[self.index]
        x = run.value(self.x)
        gamma, beta = layer._scale_and_shift()
        dgamma, dbeta = np.empty(channels, dy.dtype), np.empty(channels, dy.dtype)
        needs_residual = self.residual is not None and self.needs[1]
        # One of the gradients takes the place of dy: what is written is then in cache already.
        dx = dresidual = None
        if self.masked and needs_residual:
            dresidual = run.room(self.y, dy)
        if self.needs_dx:
            dx = empty(self.x_shape, code) if needs_residual else run.room(self.y, dy)
        _core.batch_norm_backward(
            dx,
            dgamma,
            dbeta,
            dresidual,
            dy,
            x,
            run.values[self.y] if self.masked else None,
            gamma,
            beta,
            mean,
            var,
            layer.eps,
            self.activation,
            self.frozen,
            run.threads,
        )
        del x
        run.release(self.spent)
        if layer.affine:
            layer.gamma.accumulate(dgamma)
            layer.beta.accumulate(dbeta)
        if needs_residual and not self.masked:
            run.give(self.residual, dy, fresh=run.owned[self.y])
        elif needs_residual:
            run.give(self.residual, dresidual, fresh=True)
        if self.needs_dx:
            run.give(self.x, dx, fresh=True)


class NormPoolStep(NormStep):
    """BatchNorm, with ReLU where it follows, and then MaxPool2d: what it pools is never written."""

    def prepare(self, node):
        super().prepare(node)
        self.remakable = False
        self.geometry = pool2d_geometry(self.x_shape, node.pool.kernel_size, **node.pool._options())

    def infer(self, values, threads):
        self.compute(values, self.given, None, threads)

    def forward(self, run):
        winners = empty(self.shape, "B") if self.wanted else None
        statistics = self.compute(run.values, self.frozen, winners, run.threads)
        if not self.frozen:
            run.commits.append(batch_moments(self.layer, self.where, statistics, self.count))
        run.kept[self.index] = *statistics, winners

    def compute(self, values, given, winners, threads):
        """Set y, and winners unless None; return mean and variance as one array."""
        statistics = np.array(self.layer._running()) if given else np.empty((2, self.channels))
        y = values[self.y] = empty(self.shape, self.code)
        _core.batch_norm_max_pool2d_forward(
            y,
            winners,
            statistics,
            values[self.x],
            *self.layer._scale_and_shift(),
            self.layer.eps,
            self.activation,
            given,
            self.geometry,
            threads,
        )
        return statistics

    def backward(self, run):
        mean, var, winners = run.kept[self.index]
        dx = empty(self.x_shape, self.code)
        _core.max_pool2d_backward_winners(dx, run.take(self.y), winners, self.geometry, run.threads)
        run.kept[self.index] = mean, var
        run.give(self.y, dx, fresh=True)
        del dx
        super().backward(run)


class NormSumStep(Step):
    """The sum of two BatchNorm, as where a shortcut ends in one too, with ReLU where it follows."""

    def prepare(self, node):
        self.norms, self.wheres = node.layers(), (node.where, node.second.where)
        self.activation = ACTIVATIONS[node.activation]
        self.channels = self.layer.channels
        self.count = math.prod(self.shape) // self.channels
        self.given = [norm._takes_running(training=False) for norm in self.norms]
        self.frozen = [norm._takes_running(training=True) for norm in self.norms]
        self.reads = (*self.inputs, self.y) if self.activation else self.inputs

    def infer(self, values, threads):
        self.compute(values, self.given, threads)

    def forward(self, run):
        statistics = run.kept[self.index] = self.compute(run.values, self.frozen, run.threads)
        for norm, where, of_norm, frozen in zip(
            self.norms, self.wheres, statistics, self.frozen, strict=True
        ):
            if not frozen:
                run.commits.append(batch_moments(norm, where, of_norm, self.count))

    def compute(self, values, given, threads):
        """Set y; return the statistics of both norms, each mean and variance as one array."""
        statistics, terms = [], []
        for norm, value, known in zip(self.norms, self.inputs, given, strict=True):
            of_norm = np.array(norm._running()) if known else np.empty((2, self.channels))
            statistics.append(of_norm)
            terms.append((values[value], *norm._scale_and_shift(), of_norm, norm.eps, known))
        y = values[self.y] = empty(self.shape, self.code)
        _core.batch_norm_sum_forward(y, *terms, self.activation, threads)
        return statistics

    def backward(self, run):
        dy = run.take(self.y)
        # The second one may take the place of dy: it is where dy goes through the mask.
        second = run.room(self.y, dy) if self.needs[1] else None
        first = empty(self.shape, self.code) if self.needs[0] else None
        gradients = np.empty((2, 2, self.channels), dy.dtype)
        self.differentiate(run, dy, (first, gradients[0]), (second, gradients[1]))
        run.release(self.spent)
        for norm, (dgamma, dbeta) in zip(self.norms, gradients, strict=True):
            if norm.affine:
                norm.gamma.accumulate(dgamma)
                norm.beta.accumulate(dbeta)
        for value, dx in zip(self.inputs, (first, second), strict=True):
            if dx is not None:
                run.give(value, dx, fresh=True)

    def differentiate(self, run, dy, *gradients):
        """Set the gradients of both norms."""
        terms = [
            (run.value(value), norm._scale_and_shift()[0], None, of_norm, norm.eps, frozen)
            for norm, value, of_norm, frozen in zip(
                self.norms, self.inputs, run.kept[self.index], self.frozen, strict=True
            )
        ]
        y = run.values[self.y] if self.activation else None
        _core.batch_norm_sum_backward(*gradients, dy, y, *terms, self.activation, run.threads)


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


class FlattenStep(Step):
    """Flatten: another view."""

    def infer(self, values, threads):
        values[self.y] = values[self.x].reshape(self.shape)

    def forward(self, run):
        run.values[self.y] = run.values[self.x].reshape(self.shape)

    def backward(self, run):
        run.give(self.x, run.take(self.y).reshape(self.x_shape), fresh=run.owned[self.y])


class LinearStep(Step):
    """Linear."""

    def prepare(self, node):
        layer, bias = self.layer, self.layer.bias
        self.needs_dw = layer.weight.trainable
        self.needs_db = bias is not None and bias.trainable
        self.reads = (self.x,) if self.needs_dw or self.needs_db else ()

    def infer(self, values, threads):
        weight, bias = self.layer.weight.value, self.layer.bias
        bias = None if bias is None else bias.value
        y = values[self.y] = empty(self.shape, self.code)
        _core.linear_forward(y, values[self.x], weight, bias, threads)

    def forward(self, run):
        self.infer(run.values, run.threads)

    def backward(self, run):
        dy, code = run.take(self.y), self.code
        weight, bias = self.layer.weight, self.layer.bias
        if self.needs_dw or self.needs_db:
            dw = empty(weight.shape, code) if self.needs_dw else None
            db = empty(bias.shape, code) if self.needs_db else None
            _core.linear_backward_weights(dw, db, dy, run.value(self.x), run.threads)
            weight.accumulate(dw)
            if self.needs_db:
                bias.accumulate(db)
            run.release(self.spent)
        if self.needs_dx:
            dx = empty(self.x_shape, code)
            _core.linear_backward_data(dx, dy, weight.value, run.threads)
            run.give(self.x, dx, fresh=True)


class AddStep(Step):
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


class ConcatStep(Step):
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


JOINTS = {"add": AddStep, "concat": ConcatStep}  # what no layer alone computes
STEPS = JOINTS | {
    "conv2d": ConvStep,
    "batch_norm": NormStep,
    "batch_norm_pool": NormPoolStep,
    "batch_norm_sum": NormSumStep,
    "linear": LinearStep,
    "max_pool2d": MaxPoolStep,
    "avg_pool2d": AvgPoolStep,
    "global_avg_pool2d": AvgPoolStep,
    "flatten": FlattenStep,
}
