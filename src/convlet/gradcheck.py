"""Gradient checking: backward passes against finite differences in float64."""

from __future__ import annotations

import copy

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .layers import Layer

_FLOOR = 1e-3


def gradcheck(
    function_or_layer: Layer | Callable[..., Any],
    x: np.ndarray | tuple[np.ndarray, ...],
    backward: Callable[..., Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    rng: np.random.Generator | int | None = 0,
    eps: float = 1e-4,
    rtol: float = 1e-7,
    samples: int | None = None,
) -> float:
    """Compare a backward pass with central differences of its forward pass.

    For a random dy, constant nowhere, the gradient of L = Σ dy·y is taken twice: by the backward
    pass, and element by element by the five-point stencil

        dL/dx ≈ (L(x - 2ε) - 8 L(x - ε) + 8 L(x + ε) - L(x + 2ε)) / 12ε

    With values and derivatives near 1, its truncation ε⁴ L⁽⁵⁾/30 and its rounding of about
    1e-16 L/ε are below 1e-11 at ε = 1e-4. The function must be smooth within 2ε of x: keep ReLU
    inputs away from 0, and the values of a pooling window apart.

    Parameters
    ----------
    function_or_layer : callable or layer
        With `backward`, a forward function of one or more arrays. Without, a layer with
        `vjp(x) -> (y, pullback)` and `parameters()`: a deep copy of it is checked, x and every
        trainable parameter. Its output must not change from call to call, as dropout's does.
    x : ndarray of float64, or a tuple of them: the inputs
    backward : callable, optional
        (dy, *inputs) -> one gradient per input, in a tuple unless there is one; None is skipped.
    names : sequence of str, optional: what to call the inputs and parameters in a failure
    rng : int or numpy.random.Generator: draws dy and the samples
    eps : float: the step ε
    rtol : float: the largest relative error allowed
    samples : int, optional: check only so many random elements of each array

    Returns
    -------
    float : the worst over the arrays of max |analytic - numeric| / max(max |numeric|, 1e-3)
        The floor judges a gradient that vanishes by its absolute error.

    Raises
    ------
    AssertionError : an error above rtol, or a gradient of the wrong shape; the message names the
        array, the index and both values
    TypeError : an array is not float64, or a function comes without its backward

    Examples
    --------
    >>> import numpy as np
    >>> gradcheck(np.sin, np.linspace(0, 1, 5), lambda dy, x: dy * np.cos(x)) < 1e-9
    True
    """
    rng = np.random.default_rng(rng)
    inputs = [np.array(a) for a in (x if isinstance(x, tuple) else (x,))]
    if backward is None:
        forward, arrays, default_names, gradients = _layer(function_or_layer, inputs)
    else:
        forward, arrays, default_names, gradients = _pair(function_or_layer, backward, inputs)
    names = default_names if names is None else names
    for name, array in zip(names, arrays, strict=True):
        if array.dtype != np.float64:
            raise TypeError(
                f"gradcheck needs float64, but {name} is {array.dtype}: use .astype(np.float64), "
                f"of arrays and layers"
            )
    dy = rng.standard_normal(np.shape(forward()))
    worst = 0.0
    for name, array, analytic in zip(names, arrays, gradients(dy), strict=True):
        if analytic is not None:
            error = _compare(name, array, analytic, forward, dy, rng, eps, rtol, samples)
            worst = max(worst, error)
    return worst


def _pair(function, backward, inputs):
    """Forward, arrays, names and gradients of a function and its backward."""

    def gradients(dy):
        result = backward(dy, *inputs)
        return result if isinstance(result, (tuple, list)) else (result,)

    names = [f"input {i}" for i in range(len(inputs))]
    return lambda: function(*inputs), inputs, names, gradients


def _layer(layer, inputs):
    """Forward, arrays, names and gradients of a layer's training door."""
    if not hasattr(layer, "vjp"):
        raise TypeError(
            f"gradcheck: expected a layer, or a function and its backward, got {layer!r} alone"
        )
    (x,) = inputs
    layer = copy.deepcopy(layer)
    layer.vjp(x)
    parameters = [p for p in layer.parameters() if getattr(p, "trainable", True)]

    def gradients(dy):
        for p in parameters:
            p.grad[...] = 0
        _, pullback = layer.vjp(x)
        dx = pullback(dy)
        return [dx, *(p.grad.copy() for p in parameters)]

    names = ["x", *(getattr(p, "name", None) or f"parameter {i}" for i, p in enumerate(parameters))]
    return lambda: layer.vjp(x)[0], [x, *(p.value for p in parameters)], names, gradients


def _compare(name, array, analytic, forward, dy, rng, eps, rtol, samples):
    """Relative error of one gradient; perturbs `array` in place and restores it."""
    analytic = np.asarray(analytic)
    if analytic.shape != array.shape:
        raise AssertionError(
            f"the gradient of {name} has shape {analytic.shape}, expected {array.shape}"
        )
    indices = list(np.ndindex(array.shape))
    if samples is not None and samples < array.size:
        indices = [indices[i] for i in rng.choice(array.size, samples, replace=False)]
    if not indices:
        return 0.0
    numeric = np.array([_derivative(array, index, forward, dy, eps) for index in indices])
    difference = np.abs(np.array([analytic[index] for index in indices]) - numeric)
    error = float(difference.max() / max(np.abs(numeric).max(), _FLOOR))
    if not error <= rtol:
        at = int(difference.argmax())
        index = indices[at]
        raise AssertionError(
            f"the gradient of {name} is wrong at {index}: backward gives {analytic[index]:.12g}, "
            f"finite differences {numeric[at]:.12g}; relative error {error:.3g} > {rtol:.3g}"
        )
    return error


def _derivative(array, index, forward, dy, eps):
    """d(Σ dy·forward())/d array[index], differencing the outputs before they are summed."""
    kept = array[index]

    def shifted(steps):
        array[index] = kept + steps * eps
        return np.asarray(forward())

    slope = 8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))
    array[index] = kept
    return float((dy * slope).sum() / (12 * eps))
