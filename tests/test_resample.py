"""Padding, upsampling, adaptive average and global max: definitions, operators, layers, errors."""

import math

import numpy as np
import pytest

import convlet as cl
from cases import draw
from convlet import ops, reference
from convlet.gradcheck import gradcheck
from same_bits import assert_same_for_any_threads

DTYPES = (np.float32, np.float64)

PADS = {
    "nothing": ((2, 3, 4, 5), 0, "zeros"),
    "zeros": ((2, 3, 4, 5), ((1, 0), (2, 3)), "zeros"),
    "reflect": ((2, 3, 4, 5), ((2, 1), (0, 3)), "reflect"),
    "replicate": ((2, 1, 4, 3), (3, 5), "replicate"),
    "circular": ((2, 3, 4, 5), ((3, 1), (2, 4)), "circular"),
    "empty batch": ((0, 3, 4, 5), 1, "reflect"),
    "channels-65": ((1, 5, 5, 65), 2, "reflect"),
}
UPSAMPLINGS = {
    "once": ((2, 3, 4, 5), 1, "nearest", False),
    "nearest": ((2, 3, 4, 5), (2, 3), "nearest", False),
    "bilinear": ((2, 3, 4, 5), (2, 3), "bilinear", False),
    "corners": ((2, 3, 4, 5), (2, 3), "bilinear", True),
    "one pixel": ((1, 1, 1, 2), (1, 4), "bilinear", True),
    "one row": ((1, 1, 5, 2), 3, "bilinear", False),
    "empty batch": ((0, 3, 4, 5), 2, "bilinear", False),
    "channels-65": ((1, 4, 3, 65), 2, "bilinear", True),
}
POOLS = {
    "as it is": ((2, 3, 4, 5), (None, 4)),
    "equal bins": ((2, 6, 4, 5), (3, 2)),
    "shared pixels": ((2, 7, 5, 3), (3, 2)),
    "more bins than pixels": ((2, 3, 2, 3), (7, 5)),
    "one bin": ((2, 5, 3, 65), 1),
    "empty batch": ((0, 5, 3, 2), 2),
}


def problems():
    """(name, x_shape, forward, backward) with forward(m, x) and backward(m, dy, x) of module m."""
    for name, (shape, padding, mode) in PADS.items():
        yield (
            f"pad {name}",
            shape,
            lambda m, x, p=padding, mode=mode: m.pad2d(x, p, mode=mode),
            lambda m, dy, x, p=padding, mode=mode: m.pad2d_backward(dy, x.shape, p, mode=mode),
        )
    for name, (shape, scale, mode, corners) in UPSAMPLINGS.items():
        options = {"mode": mode, "align_corners": corners}
        yield (
            f"upsample {name}",
            shape,
            lambda m, x, s=scale, o=options: m.upsample2d(x, s, **o),
            lambda m, dy, x, s=scale, o=options: m.upsample2d_backward(dy, x.shape, s, **o),
        )
    for name, (shape, size) in POOLS.items():
        yield (
            f"adaptive average, {name}",
            shape,
            lambda m, x, s=size: m.adaptive_avg_pool2d(x, s),
            lambda m, dy, x, s=size: m.adaptive_avg_pool2d_backward(dy, x.shape, s),
        )
    for shape in ((2, 3, 5, 7), (0, 3, 3, 2), (1, 1, 1, 1), (2, 8, 8, 65)):
        yield (
            f"global max {shape}",
            shape,
            lambda m, x: m.global_max_pool2d(x),
            lambda m, dy, x: m.global_max_pool2d_backward(dy, x),
        )


PROBLEMS = list(problems())
every = pytest.mark.parametrize("problem", PROBLEMS, ids=[p[0] for p in PROBLEMS])


# ---------------------------------------------------------------- against the definitions


@every
def test_reference_gradients(problem):
    """The reference's gradients agree with finite differences."""
    _, shape, forward, backward = problem
    x = np.random.default_rng(0).permutation(np.linspace(-2, 2, math.prod(shape))).reshape(shape)

    gradcheck(
        lambda x: forward(reference, x),
        x,
        lambda dy, x: backward(reference, dy, x),
        samples=60,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@every
def test_operator(problem, dtype):
    """Values and gradients are the reference's, within a few roundings of their magnitude."""
    _, shape, forward, backward = problem
    x = draw(shape, dtype, 1)
    x.flags.writeable = False
    y = forward(ops, x)
    dy = draw(y.shape, dtype, 2)
    dx = backward(ops, dy, x)
    wide_x, wide_dy = x.astype(np.float64), dy.astype(np.float64)
    # Weights are rounded once; at most 64 terms are added.
    bound = 64 * np.finfo(dtype).eps

    expected = forward(reference, wide_x)
    assert (expected.shape, dtype) == (y.shape, y.dtype)
    assert np.all(np.abs(y - expected) <= bound * np.abs(x).max(initial=0))
    expected = backward(reference, wide_dy, wide_x)
    magnitude = backward(reference, np.abs(wide_dy), wide_x)
    assert (x.shape, dtype) == (dx.shape, dx.dtype)
    assert np.all(np.abs(dx - expected) <= bound * magnitude)


@pytest.mark.parametrize("shape", [(5, 33, 31, 40), (1, 30, 30, 130)])
def test_bits_do_not_depend_on_threads(shape):
    """Every map has the same bits for 1, 2, 3 and 7 threads."""
    x = draw(shape, np.float32)

    def run():
        results = []
        for _, _, forward, backward in PROBLEMS:
            y = forward(ops, x)
            results += [y, backward(ops, y, x)]
        return results

    assert_same_for_any_threads(run)


def test_copies_are_exact():
    """Padding and nearest upsampling keep every bit, subnormals and the sign of 0 included."""
    x = np.array([-0.0, 1e-45, -np.inf, np.nan, 3], np.float32).reshape(1, 1, 5, 1)

    for y in (ops.pad2d(x, (0, 4), mode="reflect")[:, :, 4:9], ops.upsample2d(x, 2)[:, :1, ::2]):
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("value", [-1.5, np.nan, np.inf])
def test_padding_with_a_value(value):
    """The margin of mode "zeros" holds the value, and the image stays."""
    x = draw((1, 2, 2, 3))
    y = ops.pad2d(x, 1, value=value)

    np.testing.assert_array_equal(y, reference.pad2d(x, 1, value=value))
    np.testing.assert_array_equal(y[:, 1:3, 1:3], x)


def test_padding_by_hand():
    """The four modes around 0 1 2 3, and the gradient that counts copies."""
    x = np.arange(4.0).reshape(1, 1, 4, 1)
    expected = {
        "zeros": [0, 0, 0, 1, 2, 3, 0, 0],
        "reflect": [2, 1, 0, 1, 2, 3, 2, 1],
        "replicate": [0, 0, 0, 1, 2, 3, 3, 3],
        "circular": [2, 3, 0, 1, 2, 3, 0, 1],
    }
    copies = {
        "zeros": [1, 1, 1, 1],
        "reflect": [1, 3, 3, 1],
        "replicate": [3, 1, 1, 3],
        "circular": [2, 2, 2, 2],
    }
    for mode, row in expected.items():
        dx = ops.pad2d_backward(np.ones((1, 1, 8, 1)), x.shape, (0, 2), mode=mode)

        assert row == ops.pad2d(x, (0, 2), mode=mode).ravel().tolist()
        assert copies[mode] == dx.ravel().tolist()


def test_bilinear_by_hand():
    """Edges on edges weighs quarters; corners on corners weighs thirds and keeps both ends."""
    x = np.array([0.0, 12.0]).reshape(1, 1, 2, 1)

    plain = ops.upsample2d(x, (1, 2), mode="bilinear").ravel()
    corners = ops.upsample2d(x, (1, 2), mode="bilinear", align_corners=True).ravel()

    assert [0, 3, 9, 12] == plain.tolist()
    np.testing.assert_allclose(corners, [0, 4, 8, 12], rtol=1e-15)


def test_bilinear_reads_only_what_it_weighs():
    """A pixel of weight 0 does not enter, not even an infinite one."""
    x = np.array([1.0, np.inf, 3.0]).reshape(1, 1, 3, 1)

    y = ops.upsample2d(x, (1, 3), mode="bilinear").ravel()

    assert 1 == y[0] == y[1]
    assert 3 == y[7] == y[8]
    assert np.isinf(y[2:7]).all()


def test_adaptive_average_of_equal_bins_is_average_pooling():
    """Where the bins divide the image it is avg_pool2d to the bit, and one bin the global mean."""
    x = draw((2, 6, 9, 5), np.float32)

    np.testing.assert_array_equal(ops.adaptive_avg_pool2d(x, (2, 3)), ops.avg_pool2d(x, 3))
    np.testing.assert_array_equal(ops.adaptive_avg_pool2d(x, 1)[:, 0, 0], ops.global_avg_pool2d(x))


def test_global_max_of_ties_and_nan():
    """The first of equals gets the gradient, and a NaN wins."""
    x = np.array([[1.0, 3.0, 3.0], [2.0, np.nan, np.nan]]).reshape(2, 1, 3, 1)
    dy = np.array([[5.0], [7.0]])

    np.testing.assert_array_equal(ops.global_max_pool2d(x), [[3.0], [np.nan]])
    dx = ops.global_max_pool2d_backward(dy, x).reshape(2, 3)
    np.testing.assert_array_equal(dx, [[0, 5, 0], [0, 7, 0]])


# ---------------------------------------------------------------- errors

IMAGE = np.ones((1, 2, 3, 1))


@pytest.mark.parametrize("module", [ops, reference])
@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "mode must be one of", lambda m: m.pad2d(IMAGE, 1, mode="mirror")),
        (ValueError, "padding must be", lambda m: m.pad2d(IMAGE, "same")),
        (ValueError, "got.* 2", lambda m: m.pad2d(IMAGE, 2, mode="reflect")),
        (ValueError, "got.* 4", lambda m: m.pad2d(IMAGE, (0, 4), mode="circular")),
        (TypeError, "padding must be an integer, got 1.5", lambda m: m.pad2d(IMAGE, 1.5)),
        (ValueError, "padding must be at least 0, got -1", lambda m: m.pad2d(IMAGE, -1)),
        (ValueError, r"x must be \(N", lambda m: m.pad2d(IMAGE[0], 1)),
        (ValueError, "mode must be", lambda m: m.upsample2d(IMAGE, 2, mode="cubic")),
        (ValueError, "mode.*bilinear", lambda m: m.upsample2d(IMAGE, 2, align_corners=True)),
        (TypeError, "scale must be an integer, got 1.5", lambda m: m.upsample2d(IMAGE, 1.5)),
        (ValueError, "scale must be at least 1, got 0", lambda m: m.upsample2d(IMAGE, 0)),
        (ValueError, "got.*0, 3, 1", lambda m: m.upsample2d(np.ones((1, 0, 3, 1)), 2)),
        (ValueError, "size must be at least 1, got 0", lambda m: m.adaptive_avg_pool2d(IMAGE, 0)),
        (ValueError, "integer or a pair", lambda m: m.adaptive_avg_pool2d(IMAGE, (1, 2, 3))),
        (TypeError, "must be an integer, got 2.0", lambda m: m.adaptive_avg_pool2d(IMAGE, 2.0)),
    ],
)
def test_refusals(module, error, message, call):
    """Operator and reference refuse the same things and name what they got."""
    with pytest.raises(error, match=message):
        call(module)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "no use for value=2", lambda: ops.pad2d(IMAGE, 1, mode="reflect", value=2)),
        (TypeError, "value must be a number, got '1'", lambda: ops.pad2d(IMAGE, 1, value="1")),
        (TypeError, "value must be a number, got None", lambda: ops.pad2d(IMAGE, 1, value=None)),
        (ValueError, r"mode must be one of .* got \[\]", lambda: ops.pad2d(IMAGE, 1, mode=[])),
        (TypeError, "x has dtype int64", lambda: ops.pad2d(IMAGE.astype(np.int64), 1)),
        (TypeError, "align_corners must be a bool",
         lambda: ops.upsample2d(IMAGE, 2, align_corners=1)),
        (ValueError, r"dy must have shape \(1, 4, 5, 1\)",
         lambda: ops.pad2d_backward(IMAGE, IMAGE.shape, 1)),
        (ValueError, r"dy must have shape \(1, 4, 6, 1\)",
         lambda: ops.upsample2d_backward(IMAGE, IMAGE.shape, 2)),
        (ValueError, r"dy must have shape \(1, 1, 1, 1\)",
         lambda: ops.adaptive_avg_pool2d_backward(IMAGE, IMAGE.shape, 1)),
        (ValueError, r"dy must have shape \(1, 1\)",
         lambda: ops.global_max_pool2d_backward(IMAGE, IMAGE)),
        (ValueError, "only the batch may be empty", lambda: ops.global_max_pool2d(IMAGE[:, :0])),
    ],
)  # fmt: skip
def test_operators_refuse(error, message, call):
    """What the operators alone can be given wrongly is refused too."""
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- layers

LAYERS = {
    "Pad2d(1)": (lambda: cl.Pad2d(1), (2, 7, 8, 3)),
    "Pad2d(((1, 0), (2, 3)), value=-1.5)": (
        lambda: cl.Pad2d(((1, 0), (2, 3)), value=-1.5),
        (2, 6, 11, 3),
    ),
    "Pad2d((2, 1), mode='reflect')": (lambda: cl.Pad2d((2, 1), "reflect"), (2, 9, 8, 3)),
    "Pad2d(2, mode='replicate')": (lambda: cl.Pad2d(2, mode="replicate"), (2, 9, 10, 3)),
    "Pad2d(2, mode='circular')": (lambda: cl.Pad2d(2, mode="circular"), (2, 9, 10, 3)),
    "Upsample2d(2)": (lambda: cl.Upsample2d(2), (2, 10, 12, 3)),
    "Upsample2d((1, 3), mode='bilinear')": (
        lambda: cl.Upsample2d((1, 3), "bilinear"),
        (2, 5, 18, 3),
    ),
    "Upsample2d(2, mode='bilinear', align_corners=True)": (
        lambda: cl.Upsample2d(2, "bilinear", align_corners=True),
        (2, 10, 12, 3),
    ),
    "AdaptiveAvgPool2d(2)": (lambda: cl.AdaptiveAvgPool2d(2), (2, 2, 2, 3)),
    "AdaptiveAvgPool2d((None, 4))": (lambda: cl.AdaptiveAvgPool2d((None, 4)), (2, 5, 4, 3)),
    "GlobalMaxPool2d()": (lambda: cl.GlobalMaxPool2d(), (2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    """Each layer says and makes its shape, and passes gradients to x and to the layer below."""
    make, shape = LAYERS[name]
    layer = make()
    model = cl.Sequential(cl.Conv2d(2, 3, 1, rng=0), layer).astype("float64")
    x = draw((2, 5, 6, 2))
    y, pullback = layer.vjp(draw((2, 5, 6, 3)), input_grad=False)

    assert name == repr(layer)
    assert shape == layer.output_shape((2, 5, 6, 3)) == model(x).shape
    assert gradcheck(model, x) <= 1e-7
    assert pullback(y) is None
    np.testing.assert_array_equal(model(x), model.vjp(x)[0])


@pytest.mark.parametrize(
    ("message", "layer", "shape"),
    [
        ("can make at most 2 of 3 rows, got padding 3", cl.Pad2d(3, "reflect"), (1, 3, 9, 1)),
        ("Pad2d.1.*only the batch may be empty", cl.Pad2d(1), (1, 0, 3, 1)),
        ("Upsample2d.2.*at least one pixel", cl.Upsample2d(2), (1, 0, 3, 1)),
        ("AdaptiveAvgPool2d.*at least one pixel", cl.AdaptiveAvgPool2d(2), (1, 2, 0, 1)),
        ("GlobalMaxPool2d.*at least one pixel", cl.GlobalMaxPool2d(), (1, 2, 0, 1)),
        ("expected x of shape", cl.Upsample2d(2), (2, 3, 1)),
    ],
)
def test_layers_refuse_shapes(message, layer, shape):
    """A shape that a layer cannot take is refused by name, before anything runs."""
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (ValueError, lambda: cl.Pad2d(1, "mirror")),
        (ValueError, lambda: cl.Pad2d(1, "reflect", 2)),
        (ValueError, lambda: cl.Upsample2d(2, align_corners=True)),
        (TypeError, lambda: cl.Upsample2d(2.0)),
        (ValueError, lambda: cl.AdaptiveAvgPool2d((0, 1))),
    ],
)
def test_layers_refuse_options(error, make):
    """Options that cannot be are refused when a layer is made."""
    with pytest.raises(error):
        make()
