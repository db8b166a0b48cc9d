"""Compiles an inference plan into programs of the core: their operators, and where values lie."""

from __future__ import annotations

import itertools
import math

from .. import _core
from .._core import empty
from ..ops.conv import conv2d_geometry
from ..ops.conv_transpose import conv_transpose2d_geometry, require_transposed_path
from ..ops.pool import pool2d_geometry
from ..ops.resample import upsample2d_geometry
from .steps.base import as_images
from .steps.conv import ConvStep
from .steps.join import AddStep, ConcatStep
from .steps.norm import NormStep

_LINE = 64  # bytes of a cache line, which places are multiples of

_ELEMENTWISE = (
    *("add", "add_relu", "relu", "leaky_relu", "relu6", "sigmoid", "tanh", "elu"),
    *("gelu", "gelu_tanh", "silu", "hard_swish", "softplus"),
)

_POINTWISE = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def compiled(plan, dtype):
    """Return the calls that run a plan: each row of steps that the core knows is one Part.

    The others, such as a layer of a user, stay the steps that they are.
    """
    calls = []
    pairs = [(step, _operator(step)) for step in plan.steps]
    for known, row in itertools.groupby(pairs, lambda pair: pair[1] is not None):
        steps, ops = zip(*row, strict=True)
        calls += [Part(steps, ops, plan.graph.shapes, dtype)] if known and any(ops) else steps
    return calls


class Part:
    """Steps in a row as one program, which a plan calls as it calls a step.

    Attributes
    ----------
    program : of the core, from value `x` to value `y`, the last one that it computes
    given, made : the other values that it reads, and that are read after it, with their numbers in
        the program
    views : what Flatten and its like make of values, where it is read later
    dead : values that are not read after it
    """

    def __init__(self, steps, ops, shapes, dtype):
        rows, same = [], {}  # same: values that are views of another one
        for step, op in zip(steps, ops, strict=True):
            inputs = tuple(same.get(value, value) for value in step.inputs)
            if op:
                rows.append((op[0], step.y, inputs, *op[1:]))
            else:
                same[step.y] = inputs[0]
        written = [row[1] for row in rows]
        self.x, *given = dict.fromkeys(v for row in rows for v in row[2] if v not in written)
        self.y, self.shape, self.code = written[-1], shapes[written[-1]], dtype.char
        self.dead = {value for step in steps for value in step.dead}
        later = [step.y for step in steps if step.y not in self.dead]
        self.views = [(value, same[value], shapes[value]) for value in later if value in same]
        made = [v for v in written[:-1] if v in {same.get(value, value) for value in later}]

        elements = [math.prod(shape) for shape in shapes]
        places, arena = _places(rows, elements, _LINE // dtype.itemsize, given, made)
        # In a program value 0 is x and value 1 is y.
        numbers = {self.x: 0, self.y: 1} | {value: 2 + i for i, value in enumerate(places)}
        values = [(elements[self.x], 0), (elements[self.y], 0)]
        values += [(elements[value], place) for value, place in places.items()]
        numbered = [
            (kind, numbers[y], tuple(numbers[value] for value in inputs), *rest)
            for kind, y, inputs, *rest in rows
        ]
        self.program = _core.Program(self.code, values, numbered, arena)
        self.given = [(numbers[value], value) for value in given]
        self.made = [(numbers[value], value, shapes[value]) for value in made]

    def infer(self, values, threads):
        """Compute what later steps read, as a step computes its value."""
        y = values[self.y] = empty(self.shape, self.code)
        for _, value, shape in self.made:
            values[value] = empty(shape, self.code)
        given = [(number, values[value]) for number, value in self.given]
        made = [(number, values[value]) for number, value, _ in self.made]
        self.program.run(y, values[self.x], threads, given, made)
        for view, value, shape in self.views:
            values[view] = values[value].reshape(shape)


def _places(ops, elements, line, given=(), made=()):
    """The place in the arena of each value but x and y, and the arena's elements.

    A value gets the place of an input that dies with it, where its operator allows that, or else
    the first gap between the values that are still to be read. Those given are there before the
    first operator, and those made are read after the last one.
    """
    last = {value: i for i, op in enumerate(ops) for value in op[2]}
    last |= dict.fromkeys(made, len(ops))
    places, arena = {}, 0
    for i, value in enumerate([*given, *(op[1] for op in ops[:-1])], start=-len(given)):
        size, over = elements[value], _in_place_of(ops[i]) if i >= 0 else ()
        same = [v for v in over if v in places and last[v] == i and elements[v] == size]
        taken = sorted((places[v], elements[v]) for v in places if last[v] >= i)
        places[value] = places[same[0]] if same else _first_gap(taken, size, line)
        arena = max(arena, places[value] + size)
    return places, arena


def _first_gap(taken, size, line):
    place = 0
    for begin, count in taken:
        if place + size <= begin:
            break
        place = max(place, -(-(begin + count) // line) * line)
    return place


def _in_place_of(op):
    """The inputs of an operator that y may lie in the place of."""
    kind, _, inputs, *_ = op
    if kind == "conv2d":  # the summand, unless that is convolved, too
        return [value for value in inputs[1:] if value != inputs[0]]
    return inputs if kind in _ELEMENTWISE else ()


def _operator(step):
    """(kind, description, arrays) of a step's operator; () for a view; None if there is none."""
    layer, x_shape, shape = step.layer, step.x_shape, step.shape
    if layer._is_view or layer._kind == "dropout":
        return ()
    if isinstance(step, ConvStep):
        return "conv2d", (step.images, shape[-1], step.geometry), layer._arrays()
    if isinstance(step, AddStep):
        return "add_relu" if step.relu else "add", (), ()
    if isinstance(step, ConcatStep):
        channels = tuple(shape[-1] for shape in step.input_shapes)
        return "concat", (math.prod(shape[:-1]), channels), ()
    if isinstance(step, NormStep):
        if not step.given:
            return None
        rows = math.prod(shape[:-1])
        arrays = (*layer._scale_and_shift(), *layer._running())
        return "batch_norm", (rows, shape[-1], layer.eps, step.activation), arrays
    make = _OPERATORS.get(layer._kind)
    return None if make is None else make(layer, x_shape, shape)


def _linear(layer, x_shape, shape):
    # A 1x1 convolution gives the same bits, and its weights can be packed ahead.
    rows, (ins, outs) = math.prod(shape[:-1]), layer.weight.shape
    geometry = conv2d_geometry((rows, 1, 1, ins), (1, 1, ins, outs), **_POINTWISE)
    return "conv2d", ((rows, 1, 1, ins), outs, geometry), layer._arrays()


def _function(layer, x_shape, shape):
    return layer._kind, (), ()


def _leaky_relu(layer, x_shape, shape):
    return "leaky_relu", (layer.slope,), ()


def _elu(layer, x_shape, shape):
    return "elu", (layer.alpha,), ()


def _gelu(layer, x_shape, shape):
    return "gelu" if layer.approximate == "none" else "gelu_tanh", (), ()


def _softmax(layer, x_shape, shape):
    if layer.axis not in (-1, len(shape) - 1):
        return None
    return "softmax", (math.prod(shape[:-1]), shape[-1]), ()


def _pad_shortcut(layer, x_shape, shape):
    return "pad_shortcut", (x_shape, layer.stride, shape[-1]), ()


def _conv_transpose2d(layer, x_shape, shape):
    (weight, bias), options = layer._arrays(), layer._options()
    _, geometry = conv_transpose2d_geometry(x_shape, weight.shape, **options)
    require_transposed_path(
        "backward_data", weight.dtype, x_shape, shape, geometry, layer.algorithm, repr(layer)
    )
    return "conv_transpose2d", (x_shape, shape[-1], geometry), (weight, bias)


def _norm(layer, x_shape, shape):
    arrays = (layer.gamma.value, layer.beta.value) if layer.affine else (None, None)
    return "group_norm", (*layer._samples(x_shape), layer.eps), arrays


def _upsample2d(layer, x_shape, shape):
    return "upsample2d", (x_shape, upsample2d_geometry(layer.scale, **layer._options())), ()


def _pool2d(layer, x_shape, shape):
    images = as_images(x_shape)
    return layer._kind, (images, pool2d_geometry(images, layer.kernel_size, **layer._options())), ()


def _global_pool2d(layer, x_shape, shape):
    images = as_images(x_shape)
    kind = layer._kind.removeprefix("global_")
    return kind, (images, pool2d_geometry(images, images[1:3])), ()


_OPERATORS = {
    "linear": _linear,
    "relu": _function,
    "leaky_relu": _leaky_relu,
    "relu6": _function,
    "sigmoid": _function,
    "tanh": _function,
    "elu": _elu,
    "gelu": _gelu,
    "silu": _function,
    "hard_swish": _function,
    "softplus": _function,
    "softmax": _softmax,
    "pad_shortcut": _pad_shortcut,
    "conv_transpose2d": _conv_transpose2d,
    "group_norm": _norm,
    "layer_norm": _norm,
    "upsample2d": _upsample2d,
    "max_pool2d": _pool2d,
    "avg_pool2d": _pool2d,
    "global_avg_pool2d": _global_pool2d,
    "global_max_pool2d": _global_pool2d,
}
