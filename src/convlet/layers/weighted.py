"""What layers of a weight and a bias share: how the two are drawn, and the training door."""

from __future__ import annotations

from .. import init
from ..ops.conv_activation import activation_backward
from ..parameter import Parameter
from .base import Layer


class WeightedLayer(Layer):
    """A map by a weight and a bias; its class has `_apply` and `_gradients`."""

    parameter_names = ("weight", "bias")
    weight: Parameter
    bias: Parameter | None
    _draws = True

    def _make_parameters(self, shape, outputs, use_bias, rng):
        self._rng = init.generator(rng)
        self.weight = Parameter.drawn(self._draw, shape, name="weight")
        self.bias = None
        if use_bias:
            self.bias = Parameter.drawn(init.zeros, (outputs,), kind="bias", name="bias")

    def _draw(self, shape):
        return init.he_normal(shape, rng=self._rng)

    def _arrays(self):
        """The weight, and the bias or None."""
        return self.weight.value, None if self.bias is None else self.bias.value

    def _vjp(self, x, input_grad, commits):
        weight, bias = self.weight, self.bias
        needs = (input_grad, weight.trainable, bias is not None and bias.trainable)

        def pull(dy):
            dx, dw, db = self._gradients(dy, x, weight.value, needs)
            weight.accumulate(dw)
            if bias is not None:
                bias.accumulate(db)
            return dx

        return self._apply(x), pull


class ConvLayer(WeightedLayer):
    """What Conv2d and Conv1d share: options, those of images, and an activation at the end."""

    _kind = "conv2d"  # to the planner sequences are images of one row

    def _options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "algorithm": self.algorithm,
        }

    def _vjp(self, x, input_grad, commits):
        y, pull = super()._vjp(x, input_grad, commits)
        if self.activation is None:
            return y, pull
        return y, lambda dy: pull(activation_backward(dy, y, self.activation))
