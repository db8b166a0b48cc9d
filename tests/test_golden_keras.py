"""What follows rules of Keras or JAX against their golden vectors.

Convolutions are of whole numbers, of which every product and sum is exact in float32 too, so that
the bits must agree: what a rule pads where is either right or wrong. Minimal filtering, which
divides, is kept out. Elsewhere convlet runs in float64 and bounds are relative to the largest
number of an array. Keras runs Lion in float64, too: 1e-13. It computes a batch norm in float32
whatever its type: 1e-6 and 1e-5 for gradients, where another rule differs in the fourth digit.
"""

import numpy as np
import pytest

import convlet as cl
import golden
from convlet import ops
from golden import cases, check, draw, draw_whole

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@cases("keras_conv")
def test_conv2d_of_the_same_size(name, expected, dtype):
    """Padding "same" is TensorFlow's and "same_lower" JAX's, to the bit, gradients too."""
    _, _, options = golden.KERAS_CONV[name]
    x, w = golden.keras_conv_inputs(name, dtype)
    with cl.options(winograd=False):
        y = ops.conv2d(x, w, **options)
        dy = draw_whole(f"keras_conv/{name}/dy", y.shape, dtype)
        dx, dw, _ = ops.conv2d_backward(dy, x, w, **options)

    for kind, actual in (("y", y), ("dx", dx), ("dw", dw)):
        np.testing.assert_array_equal(actual, expected[kind])


@DTYPES
@cases("keras_conv_transpose")
def test_conv_transpose2d_of_the_same_size(name, expected, dtype):
    """A transposed convolution padded "same" is Keras', to the bit, gradients too."""
    chosen = golden.KERAS_CONV_TRANSPOSE[name]
    options = {"stride": chosen["stride"], "dilation": chosen["dilation"], "padding": "same"}
    x, w = golden.keras_conv_transpose_inputs(name, dtype)
    with cl.options(winograd=False):
        y = ops.conv_transpose2d(x, w, **options)
        dy = draw_whole(f"keras_conv_transpose/{name}/dy", y.shape, dtype)
        dx, dw, _ = ops.conv_transpose2d_backward(dy, x, w, **options)

    for kind, actual in (("y", y), ("dx", dx), ("dw", dw)):
        np.testing.assert_array_equal(actual, expected[kind])


@cases("keras_batch_norm")
def test_batch_norm(name, expected):
    """Two steps of training, then inference, are those of Keras, running statistics too."""
    _, options = golden.KERAS_BATCH_NORM[name]
    layer = cl.BatchNorm.keras(3, **options).astype(np.float64)
    for parameter in layer.parameters():
        parameter.value = draw(f"keras_batch_norm/{name}/{parameter.name}", (3,))
    last = len(golden.KERAS_NORM_SHAPES) - 1
    for t, shape in enumerate(golden.KERAS_NORM_SHAPES):
        x = draw(f"keras_batch_norm/{name}/x {t}", shape)
        trained = layer.parameters() if t < last else []
        if t == last:
            check(layer(x), expected[f"y {t}"], 1e-6)
            layer.freeze()  # as in inference, its gradient too
        for parameter in trained:
            parameter.grad.fill(0)
        y, pullback = layer.vjp(x)
        dx = pullback(draw(f"keras_batch_norm/{name}/dy {t}", shape))

        check(y, expected[f"y {t}"], 1e-6)
        check(dx, expected[f"dx {t}"], 1e-5)
        for parameter in trained:
            check(parameter.grad, expected[f"d{parameter.name} {t}"], 1e-5)
        check(layer.running_mean, expected[f"moving_mean {t}"], 1e-6)
        check(layer.running_var, expected[f"moving_variance {t}"], 1e-6)


@cases("keras_lion")
def test_lion(name, expected):
    """The weights after every one of 20 steps are those of Keras, to 1e-13."""
    _, options = golden.LION[name]
    w = cl.Parameter(draw("optimizer/w", golden.OPTIMIZED_SHAPE))
    optimizer = cl.Lion([w], **options)
    for t in range(1, golden.LION_STEPS + 1):
        w.grad = golden.gradient(t, w.value)
        optimizer.step()

        check(w.value, expected[f"w {t}"], 1e-13)
