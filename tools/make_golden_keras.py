"""Make the golden vectors of tests/data/golden whose rule is Keras' or JAX'.

    python tools/make_golden_keras.py [TOPIC ...]

needs Keras 3 and JAX (`pip install jax keras`; each file holds the versions of its makers), NumPy
and pytest, not convlet. The problems and their inputs are those of tests/golden.py; TOPIC is the
name of a function in TOPICS, all of them unless given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import golden
from golden import draw, draw_whole

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")

JAX_PADDING = {"same": "SAME", "same_lower": "SAME_LOWER"}


def differentiate(function, name, inputs, whole=False):
    """Return y, and the gradients of all inputs for the upstream gradient of that name."""
    y, pullback = jax.vjp(function, *map(jax.numpy.asarray, inputs))
    dy = (draw_whole if whole else draw)(name, y.shape)
    return y, pullback(jax.numpy.asarray(dy))


# ---------------------------------------------------------------- topics


def keras_conv():
    """Convolutions padded "same" and "same_lower", of whole numbers: y, dx, dw."""
    vectors = {}
    for name, (_, _, options) in golden.KERAS_CONV.items():

        def convolve(x, w, options=options):
            return jax.lax.conv_general_dilated(
                x,
                w,
                (options["stride"],) * 2,
                JAX_PADDING[options["padding"]],
                rhs_dilation=(options["dilation"],) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )

        inputs = golden.keras_conv_inputs(name)
        y, (dx, dw) = differentiate(convolve, f"keras_conv/{name}/dy", inputs, whole=True)
        vectors[name] = {"y": y, "dx": dx, "dw": dw}
    return vectors


def keras_conv_transpose():
    """Transposed convolutions padded "same", of whole numbers: y, dx, dw."""
    vectors = {}
    for name, options in golden.KERAS_CONV_TRANSPOSE.items():

        def spread(x, w, options=options):
            return keras.ops.conv_transpose(
                x,
                w,
                strides=options["stride"],
                padding="same",
                data_format="channels_last",
                dilation_rate=options["dilation"],
            )

        inputs = golden.keras_conv_transpose_inputs(name)
        dy = f"keras_conv_transpose/{name}/dy"
        y, (dx, dw) = differentiate(spread, dy, inputs, whole=True)
        vectors[name] = {"y": y, "dx": dx, "dw": dw}
    return vectors


def keras_batch_norm():
    """Batch norm: steps of training, then inference, with gradients and running statistics."""
    vectors = {}
    for name, (options, _) in golden.KERAS_BATCH_NORM.items():
        layer = keras.layers.BatchNormalization(**options, dtype="float64")
        layer.build(golden.KERAS_NORM_SHAPES[0])
        kinds = [variable.name for variable in layer.trainable_variables]
        weights = [draw(f"keras_batch_norm/{name}/{kind}", (3,)) for kind in kinds]
        state = [variable.value for variable in layer.non_trainable_variables]
        arrays = vectors[name] = {}
        for t, shape in enumerate(golden.KERAS_NORM_SHAPES):
            training = t < len(golden.KERAS_NORM_SHAPES) - 1

            def normalize(x, *weights, layer=layer, state=state, training=training):
                return layer.stateless_call(weights, state, x, training=training)[0]

            x = draw(f"keras_batch_norm/{name}/x {t}", shape)
            dy = f"keras_batch_norm/{name}/dy {t}"
            y, gradients = differentiate(normalize, dy, (x, *weights))
            _, state = layer.stateless_call(weights, state, x, training=training)
            arrays[f"y {t}"] = y
            for kind, gradient in zip(("x", *kinds), gradients, strict=True):
                arrays[f"d{kind} {t}"] = gradient
            for variable, value in zip(layer.non_trainable_variables, state, strict=True):
                arrays[f"{variable.name} {t}"] = value
    return vectors


def keras_lion():
    """The weights after every step of Lion."""
    vectors = {}
    for name, (options, _) in golden.LION.items():
        w = keras.Variable(draw("optimizer/w", golden.OPTIMIZED_SHAPE), dtype="float64")
        optimizer = keras.optimizers.Lion(**options)
        arrays = vectors[name] = {}
        for t in range(1, golden.LION_STEPS + 1):
            gradient = golden.gradient(t, np.asarray(w.value))
            optimizer.apply([jax.numpy.asarray(gradient)], [w])
            arrays[f"w {t}"] = np.asarray(w.value)
    return vectors


TOPICS = (keras_conv, keras_conv_transpose, keras_batch_norm, keras_lion)


def main():
    """Write the files of the topics named on the command line."""
    known = {function.__name__: function for function in TOPICS}
    unknown = sorted(set(sys.argv[1:]) - known.keys())
    if unknown:
        raise SystemExit(f"unknown topics {unknown}; there are {sorted(known)}")
    maker = f"Keras {keras.__version__}, JAX {jax.__version__}"
    for topic in sys.argv[1:] or known:
        golden.save(topic, known[topic](), maker)
        size = (golden.FOLDER / f"{topic}.npz").stat().st_size
        print(f"{topic:24}{size / 1000:8.1f} kB")


if __name__ == "__main__":
    main()
