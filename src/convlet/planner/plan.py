"""Plans: the steps of a model for one shape, their passes, and the cache of plans of a model."""

from __future__ import annotations

import math
from collections import Counter

from .. import _core
from .._core import empty
from ..options import get_options
from ..threads import get_num_threads
from .fusion import fuse
from .graph import Graph
from .steps import JOINTS, STEPS, LayerStep

# Values of at least this many bytes are recomputed in backward, where possible, instead of kept.
REMADE_FROM = 1 << 20

PLANS_KEPT = 64


class Plan:
    """The steps of a model for x of one shape and dtype, at one of its doors.

    Attributes
    ----------
    graph : the model flattened, with the shape of every value
    shape, code : of y, its type code
    training : bool
    steps : list of Step, in the order of computation
    calls : what `infer` calls in turn: the steps, or programs in place of rows of them
    backward : the steps whose `backward` runs, in that order
    remade : the steps that recompute a value in backward, by value
    """

    def __init__(self, graph, nodes, kinds, dtype, training, input_grad):
        self.graph, self.input_grad = graph, input_grad
        self.shape, self.code = graph.shapes[graph.output], dtype.char
        wanted = {0: input_grad}
        self.steps = []
        for index, node in enumerate(nodes):
            needs = tuple(wanted[value] for value in node.inputs)
            trains = any(needs)
            if node.kind not in JOINTS:
                trains = trains or any(layer._trains() for layer in node.layers())
            wanted[node.y] = training and trains
            kind = kinds.get(node.kind, LayerStep)
            self.steps.append(kind(index, node, graph, dtype, needs, wanted[node.y]))
        self.calls, self.training = self.steps, training
        self.backward = self._backward_order() if training else []
        self._settle_lifetimes(dtype)

    def _backward_order(self):
        """The steps that take a gradient, readers of a value before its maker.

        Of two inputs the first comes first, so that gradients of a value add up in a fixed order.
        """
        order, makers = [], {step.y: step for step in self.steps if step.wanted}
        missing = Counter(
            value for step in makers.values() for value, needed in step.wants() if needed
        )
        ready = [self.graph.output]
        while ready:
            step = makers.get(ready.pop())
            if step is not None:
                order.append(step)
                wants = [value for value, needed in step.wants() if needed]
                missing.subtract(wants)
                ready += [value for value in dict.fromkeys(reversed(wants)) if not missing[value]]
        return order

    def _settle_lifetimes(self, dtype):
        """Tell each step which values are not read after it, forward and backward."""
        last = {value: step for step in self.backward for value in step.reads}
        for value, step in last.items():
            step.spent += (value,)
        self.remade = {
            step.y: step
            for step in self.backward
            if step.y in last
            and step.remakable
            and math.prod(step.shape) * dtype.itemsize >= REMADE_FROM
        }
        kept = last.keys() - self.remade.keys() | {self.graph.output}
        last = {value: step for step in self.steps for value in step.inputs}
        for value, step in last.items():
            if value not in kept:
                step.dead += (value,)

    def infer(self, x):
        """Return y."""
        values, threads = [None] * len(self.graph.shapes), get_num_threads()
        values[0] = x
        for call in self.calls:
            call.infer(values, threads)
            for value in call.dead:
                values[value] = None
        return values[self.graph.output]


class Pass:
    """One training pass through a plan: the constructor runs forward, then `pull` backward, once.

    Attributes
    ----------
    commits : calls that change the state of layers, to be made when forward has succeeded
    owned : for each value, whether its gradient may be written to
    """

    __slots__ = ("commits", "grads", "kept", "owned", "plan", "threads", "values")

    def __init__(self, plan, x):
        self.plan, self.commits, self.threads = plan, [], get_num_threads()
        self.kept = [None] * len(plan.steps)
        values = self.values = [None] * len(plan.graph.shapes)
        values[0] = x
        for step in plan.steps:
            step.forward(self)
            for value in step.dead:
                values[value] = None

    @property
    def y(self):
        """The output of the model."""
        return self.values[self.plan.graph.output]

    def pull(self, dy):
        """Add to the gradients of parameters, and return dx or None."""
        plan, self.threads = self.plan, get_num_threads()
        self.grads = [None] * len(self.values)
        self.owned = [False] * len(self.values)
        self.grads[plan.graph.output] = dy
        del dy
        for step in plan.backward:
            step.backward(self)
            self.kept[step.index] = None
        return self.grads[0] if plan.input_grad else None

    # For steps, in backward.

    def take(self, value):
        """Return the gradient of a value, complete by now, and forget it."""
        gradient, self.grads[value] = self.grads[value], None
        return gradient

    def give(self, value, gradient, fresh=False):
        """Add to the gradient of a value; a fresh gradient may be written to later."""
        before = self.grads[value]
        if before is not None:
            y = gradient if fresh else self.room(value, before)
            _core.add_into(y, before, gradient, self.threads)
            gradient, fresh = y, True
        self.grads[value], self.owned[value] = gradient, fresh

    def room(self, value, gradient):
        """Return an array for what replaces the gradient of a value: itself if it is owned."""
        return gradient if self.owned[value] else empty(gradient.shape, gradient.dtype.char)

    def masked(self, gradient, value):
        """Return a gradient through the ReLU that made a value: 0 where that is not above 0."""
        masked = self.room(value, gradient)
        _core.relu_backward_into(masked, gradient, self.value(value), self.threads)
        return masked

    def value(self, value):
        """Return a value that backward reads, recomputed if it was not kept."""
        if self.values[value] is None:
            self.plan.remade[value].remake(self)
        return self.values[value]

    def release(self, values):
        """Drop values that are not read any more."""
        for value in values:
            self.values[value] = None


class Planned:
    """The plans of an outermost model, by shape and whatever else they depend on.

    They are valid until a layer or one of its options changes, which each layer counts in `_edits`.
    Which parameters train, and which batch norms are frozen, is part of a plan's key.
    """

    def __init__(self, model):
        self._model, self._plans = model, {}
        self._layers = [layer for _, layer in model._walk()]
        self._parameters = model._all_parameters()
        self._norms = [layer for layer in self._layers if layer._kind == "batch_norm"]
        self._edits = self._counted()

    def _counted(self):
        return sum([layer._edits for layer in self._layers])

    def is_current(self):
        """Whether the model has not changed since."""
        return self._edits == self._counted()

    def plan(self, shape, dtype, training, input_grad=False):
        """Return the plan for x of a shape and dtype, or raise if the model refuses such an x."""
        options = get_options()
        key = shape, dtype.char, training, options
        if training:
            flags = [p.trainable for p in self._parameters]
            flags += [layer.frozen for layer in self._norms]
            key = *key, input_grad, *flags
        plan = self._plans.get(key)
        if plan is None:
            self._model._check(shape, dtype, training)
            graph = Graph(self._model, shape)
            nodes, kinds = graph.nodes, JOINTS
            if options.fuse:
                nodes, kinds = fuse(nodes, graph.output), STEPS
            plan = Plan(graph, nodes, kinds, dtype, training, input_grad)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        return plan
