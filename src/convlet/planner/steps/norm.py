"""The steps of BatchNorm, alone, with max pooling, or as the sum of two."""

from __future__ import annotations

import math

import numpy as np

from ... import _core
from ..._checks import ACTIVATIONS
from ..._core import empty
from ...layers.paths import locate
from ...layers.recalibrate import BatchMoments
from ...ops.pool import pool2d_geometry
from .base import Step, gradient_room, keep_gradient


def batch_moments(norm, where, statistics, count):
    """Return the statistics of a batch, to be committed; raise unless they are finite."""
    try:
        return BatchMoments(norm, statistics, count)
    except FloatingPointError as error:
        locate(error, where.place)
        raise


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
        layer, code = self.layer, self.code
        dy = run.take(self.y)
        mean, var = run.kept[self.index]
        x = run.value(self.x)
        gamma, beta = layer._scale_and_shift()
        dgamma, dbeta = self.affine_room()
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
            keep_gradient(layer.gamma, dgamma)
            keep_gradient(layer.beta, dbeta)
        if needs_residual and not self.masked:
            run.give(self.residual, dy, fresh=run.owned[self.y])
        elif needs_residual:
            run.give(self.residual, dresidual, fresh=True)
        if self.needs_dx:
            run.give(self.x, dx, fresh=True)

    def affine_room(self):
        """Arrays for the gradients of gamma and beta, which the core computes in any case."""
        gamma, beta, code = self.layer.gamma, self.layer.beta, self.code
        if self.layer.affine:
            return gradient_room(gamma, code), gradient_room(beta, code)
        return empty((self.channels,), code), empty((self.channels,), code)


class NormPoolStep(NormStep):
    """BatchNorm, with ReLU where it follows, and then MaxPool2d: what it pools is never written."""

    def prepare(self, node):
        super().prepare(node)
        self.remakable = False
        self.geometry = pool2d_geometry(self.images, node.pool.kernel_size, **node.pool._options())

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
            self.of_images(y),
            None if winners is None else self.of_images(winners),
            statistics,
            self.of_images(values[self.x]),
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
        arrays = map(self.of_images, (dx, run.take(self.y), winners))
        _core.max_pool2d_backward_winners(*arrays, self.geometry, run.threads)
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
