"""Norms against the golden vectors of PyTorch, in float64.

Both sides round, in another order: bounds are relative to the largest number of an array. They are
larger for dx, in which most of dy cancels where a variance is taken of few values, and for what
PyTorch's group norm computes in a form whose terms cancel: y as a·x + b, dγ from Σ dy·x.
"""

import functools

import numpy as np
import pytest

import convlet as cl
import golden
from convlet import ops
from golden import cases, check, draw


@cases("batch_norm")
def test_batch_norm(name, expected):
    """Outputs, gradients and running statistics are PyTorch's over steps, then in inference."""
    layer = cl.BatchNorm(3, **golden.BATCH_NORM[name]).astype(np.float64)
    if layer.affine:
        layer.gamma.value = draw(f"batch_norm/{name}/gamma", (3,))
        layer.beta.value = draw(f"batch_norm/{name}/beta", (3,))
    for t, shape in enumerate(golden.NORM_SHAPES):
        for parameter in layer.parameters():
            parameter.grad.fill(0)
        y, pullback = layer.vjp(draw(f"batch_norm/{name}/x {t}", shape))
        dx = pullback(draw(f"batch_norm/{name}/dy {t}", shape))

        check_batch_norm(layer, t, y, dx, expected)


@cases("batch_norm")
def test_batch_norm_inference(name, expected):
    """With the running statistics that PyTorch ended with, inference and its gradient are its."""
    t, shape = len(golden.NORM_SHAPES), golden.NORM_SHAPES[0]
    layer = cl.BatchNorm(3, **golden.BATCH_NORM[name]).astype(np.float64)
    state = layer.state_dict()
    for kind in ("gamma", "beta"):
        if kind in state:
            state[kind] = draw(f"batch_norm/{name}/{kind}", (3,))
    for kind in ("running_mean", "running_var"):
        if kind in state:
            state[kind] = expected[f"{kind} {t}"]
    layer.load_state_dict(state)
    x, dy = draw(f"batch_norm/{name}/x {t}", shape), draw(f"batch_norm/{name}/dy {t}", shape)

    check(layer(x), expected[f"y {t}"], 1e-14)
    layer.freeze()
    y, pullback = layer.vjp(x)
    check(y, expected[f"y {t}"], 1e-14)
    check(pullback(dy), expected[f"dx {t}"], 1e-13)


def check_batch_norm(layer, t, y, dx, expected):
    """Hold what a step gave and left behind to the vectors of step t."""
    check(y, expected[f"y {t}"], 1e-14)
    check(dx, expected[f"dx {t}"], 1e-13)
    for parameter in layer.parameters():
        check(parameter.grad, expected[f"d{parameter.name} {t}"], 1e-13)
    if layer.track_running_stats:
        check(layer.running_mean, expected[f"running_mean {t}"], 1e-14)
        check(layer.running_var, expected[f"running_var {t}"], 1e-14)


GROUPED = golden.load("group_norm")


def per_sample_norms():
    """Return (name, inputs' name, shape of x, shape of gamma, forward, backward) of every case."""
    for name, (groups, shape) in golden.GROUP_NORM.items():
        forward = functools.partial(ops.group_norm, groups=groups)
        yield name, name, shape, shape[-1:], forward, ops.group_norm_backward
    for shape in golden.INSTANCE_NORM:
        name = f"instance norm of {shape}"
        yield name, name, shape, shape[-1:], ops.instance_norm, ops.instance_norm_backward
    for name, (shape, trailing) in golden.LAYER_NORM.items():
        inner = shape[len(shape) - trailing :]
        forward = functools.partial(ops.layer_norm, normalized_shape=inner)
        yield f"layer norm, {name}", name, shape, inner, forward, ops.layer_norm_backward


@pytest.mark.parametrize("case", [pytest.param(case, id=case[0]) for case in per_sample_norms()])
def test_group_instance_and_layer_norm(case):
    """Norms of each sample by itself, and all their gradients, are PyTorch's."""
    name, inputs, shape, inner, forward, backward = case
    inputs, expected = f"group_norm/{inputs}", GROUPED[name]
    x = draw(f"{inputs}/x", shape)
    gamma, beta = draw(f"{inputs}/gamma", inner), draw(f"{inputs}/beta", inner)
    y, mean, var = forward(x, gamma, beta)
    dx, dgamma, dbeta = backward(draw(f"{inputs}/dy", shape), x, gamma, mean, var)

    check(y, expected["y"], 1e-13)
    check(dx, expected["dx"], 1e-12)
    check(dgamma, expected["dgamma"], 1e-13)
    check(dbeta, expected["dbeta"], 1e-14)
