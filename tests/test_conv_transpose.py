"""Transposed convolution: the definition, the operator, its errors, and the layer."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest

import convlet as cl
from cases import CONV_CASES, by_name, draw
from convlet import ops, reference
from convlet.gradcheck import gradcheck
from same_bits import assert_same_for_any_threads


@dataclass(frozen=True)
class Case:
    """A transposed convolution; `out` is (OH, OW), written down."""

    name: str
    x_shape: tuple
    kernel: tuple
    oc: int
    out: tuple
    stride: tuple = (1, 1)
    padding: object = 0
    output_padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def w_shape(self):
        return (*self.kernel, self.oc // self.groups, self.x_shape[3])

    @property
    def y_shape(self):
        return (self.x_shape[0], *self.out, self.oc)

    @property
    def options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


CASES = (
    Case("one-of-everything", (1, 1, 1, 1), (1, 1), 1, (1, 1)),
    Case("empty-batch", (0, 3, 4, 2), (3, 3), 5, (7, 9), (2, 2)),
    Case("doubling", (2, 3, 4, 5), (3, 3), 7, (6, 8), (2, 2), 1, (1, 1)),
    Case("windows-side-by-side", (2, 3, 4, 5), (2, 2), 3, (6, 8), (2, 2)),
    Case("gaps", (1, 3, 2, 2), (2, 1), 3, (10, 10), (3, 5), 0, (2, 4)),
    Case("cut-to-one-pixel", (1, 2, 2, 3), (3, 3), 2, (1, 1), (1, 1), ((1, 2), (0, 3))),
    Case("lopsided", (2, 3, 4, 4), (3, 2), 6, (5, 12), (2, 3), ((2, 0), (1, 1)), (0, 2), (1, 2), 2),
    Case("padding-below-dilation", (1, 3, 3, 2), (1, 2), 3, (5, 6), (1, 1), 0, (2, 1), (3, 2)),
    Case("depthwise", (1, 4, 3, 5), (3, 3), 5, (8, 6), (2, 2), 1, (1, 1), (1, 1), 5),
    Case("groups", (2, 3, 3, 6), (3, 3), 9, (3, 3), (1, 1), 1, (0, 0), (1, 1), 3),
    Case("same", (2, 3, 4, 3), (3, 4), 2, (6, 8), (2, 2), "same"),
    Case("same-lower", (2, 3, 4, 3), (3, 4), 2, (9, 8), (3, 2), "same_lower"),
    Case("same-stride-beyond-kernel", (1, 3, 2, 2), (2, 1), 3, (12, 6), (4, 3), "same"),
    Case("valid", (1, 3, 2, 2), (2, 3), 3, (4, 5), (1, 2), "valid"),
    Case("k-above-384", (2, 5, 5, 65), (3, 3), 3, (5, 5), (1, 1), 1),
    Case("pointwise", (2, 5, 3, 16), (1, 1), 17, (5, 3)),
)
DTYPES = (np.float32, np.float64)

# As for convolution: chains of at most 384 products, added in order.
SUMS = {np.float32: 2e-6, np.float64: 4e-15}


def integers(shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).integers(-8, 9, shape).astype(dtype)


# ---------------------------------------------------------------- the reference


@by_name(CASES)
def test_reference_gradients(case):
    """The three gradients agree with finite differences."""
    gradcheck(
        lambda x, w, b: reference.conv_transpose2d(x, w, b, **case.options),
        (draw(case.x_shape), draw(case.w_shape), draw((case.oc,))),
        lambda dy, x, w, b: reference.conv_transpose2d_backward(dy, x, w, **case.options),
        names=("x", "w", "b"),
        samples=40,
    )


@by_name(CASES)
def test_output_shape(case):
    """The output has the size that is written in the table."""
    y = reference.conv_transpose2d(np.ones(case.x_shape), np.ones(case.w_shape), **case.options)

    assert case.y_shape == y.shape


@pytest.mark.parametrize("case", CONV_CASES, ids=lambda case: case.name)
def test_it_is_the_gradient_of_the_convolution(case):
    """With the weights of a convolution it is that convolution's dx, exactly on integers."""
    x, w, dy = (integers(s) for s in (case.x_shape, case.w_shape, case.y_shape))
    dx, _, _ = reference.conv2d_backward(dy, x, w, **case.options, needs=(True, False, False))
    axes, _ = reference.conv.conv_geometry(x.shape, w.shape, *case.options.values())
    extra = []
    for a in axes:
        unread = a.begin + a.n + a.end - ((a.out - 1) * a.stride + a.dilation * (a.kernel - 1) + 1)
        extra.append(unread)
    pads = tuple((a.begin, a.end) for a in axes)
    options = case.options | {"padding": pads, "output_padding": tuple(extra)}

    for function in (reference.conv_transpose2d, ops.conv_transpose2d):
        np.testing.assert_array_equal(function(dy, w, **options), dx)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "output_padding must be below the stride or dilation, 2", (2, 0, 2)),
        (ValueError, "'same' leaves no output_padding, got 1", (2, "same", 1)),
        (ValueError, r"leaves nothing of \(3, 3\)", (1, 2, 0)),
        (TypeError, "stride must be an integer, got 2.0", (2.0, 0, 0)),
    ],
)
def test_reference_refuses(error, message, options):
    """An impossible geometry is an error that names the values."""
    names = ("stride", "padding", "output_padding")
    with pytest.raises(error, match=message):
        reference.conv_transpose2d(
            np.ones((1, 1, 1, 2)), np.ones((3, 3, 2, 2)), **dict(zip(names, options, strict=True))
        )


def test_reference_refuses_shapes():
    """Weights of other channels, or arrays of another rank, are errors."""
    with pytest.raises(ValueError, match="does not suit the 3 channels"):
        reference.conv_transpose2d(np.ones((1, 2, 2, 3)), np.ones((1, 1, 3, 2)))
    with pytest.raises(ValueError, match=r"x must be \(N,H,W,C\)"):
        reference.conv_transpose2d(np.ones((2, 2, 3)), np.ones((1, 1, 2, 3)))


# ---------------------------------------------------------------- the operator


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(CASES)
def test_forward(case, dtype):
    """With and without bias it is the reference's y, within the rounding of a convolution."""
    arrays = [draw(s, dtype, 1) for s in (case.x_shape, case.w_shape, (case.oc,))]
    for given in (arrays, [*arrays[:2], None]):
        y = ops.conv_transpose2d(*given, **case.options)
        wide = [a if a is None else a.astype(np.float64) for a in given]
        expected = reference.conv_transpose2d(*wide, **case.options)
        magnitude = reference.conv_transpose2d(
            *(a if a is None else np.abs(a) for a in wide), **case.options
        )

        assert case.y_shape == y.shape
        assert dtype == y.dtype
        assert np.all(np.abs(y - expected) <= SUMS[dtype] * magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(CASES)
def test_backward(case, dtype):
    """The gradients are the reference's, and each alone has the bits it has with the others."""
    dy, x, w = (draw(s, dtype, 2) for s in (case.y_shape, case.x_shape, case.w_shape))
    gradients = ops.conv_transpose2d_backward(dy, x, w, **case.options)
    wide = [a.astype(np.float64) for a in (dy, x, w)]
    expected = reference.conv_transpose2d_backward(*wide, **case.options)
    magnitudes = reference.conv_transpose2d_backward(*map(np.abs, wide), **case.options)
    for i in range(3):
        alone = ops.conv_transpose2d_backward(
            dy, x, w, **case.options, needs=tuple(j == i for j in range(3))
        )

        assert np.all(np.abs(gradients[i] - expected[i]) <= SUMS[dtype] * magnitudes[i])
        assert [j == i for j in range(3)] == [g is not None for g in alone]
        np.testing.assert_array_equal(gradients[i], alone[i])


@pytest.mark.parametrize("dtype", DTYPES)
@by_name(CASES)
def test_small_integers_are_exact(case, dtype):
    """Sums below 2²⁴ come out exactly in either type, forward and backward."""
    x, w, b, dy = (
        integers(s, 3, dtype) for s in (case.x_shape, case.w_shape, (case.oc,), case.y_shape)
    )
    pairs = [
        (
            ops.conv_transpose2d(x, w, b, **case.options, algorithm="im2col"),
            reference.conv_transpose2d(x, w, b, **case.options),
        ),
        *zip(
            ops.conv_transpose2d_backward(dy, x, w, **case.options, algorithm="im2col"),
            reference.conv_transpose2d_backward(dy, x, w, **case.options),
            strict=True,
        ),
    ]

    for actual, expected in pairs:
        np.testing.assert_array_equal(expected, actual)


def test_bits_do_not_depend_on_threads():
    """Every pass has the same bits for 1, 2, 3 and 7 threads."""
    x, w = draw((5, 9, 7, 33), np.float32), draw((4, 4, 40, 33), np.float32, 1)
    options = {"stride": 2, "padding": 1}

    def run():
        y = ops.conv_transpose2d(x, w, **options)
        return y, *ops.conv_transpose2d_backward(y, x, w, **options)

    assert_same_for_any_threads(run)


@pytest.mark.parametrize(
    ("error", "message", "x_shape", "w_shape", "options"),
    [
        (ValueError, r"x must be \(N, H, W, C\), 4 axes", (2, 2, 3), (1, 1, 2, 3), {}),
        (ValueError, r"w must be \(KH, KW, OC/groups, C\)", (1, 2, 2, 3), (1, 2, 3), {}),
        (ValueError, "only the batch may be empty", (1, 0, 2, 3), (1, 1, 2, 3), {}),
        (ValueError, "expected 2 for .* w looks like .KH,KW,C,", (1, 4, 5, 3), (1, 1, 3, 2), {}),
        (ValueError, "x looks like .N,C,H,W.: use x.transp", (1, 3, 5, 4), (1, 1, 2, 3), {}),
        (ValueError, "w looks like .C,OC,KH,KW.", (1, 5, 5, 3), (3, 7, 2, 2), {}),
        (ValueError, "the channels of x on its last axis", (1, 5, 5, 4), (1, 1, 2, 3), {}),
        (ValueError, "groups=2 must divide the 3 channels", (1, 2, 2, 3), (1, 1, 1, 3),
         {"groups": 2}),
        (ValueError, r"padding 1 \+ 1 leaves none of the 2 rows", (1, 2, 2, 3), (1, 1, 2, 3),
         {"padding": 1}),
        (ValueError, "output_padding must be below .* 1, got 1", (1, 2, 2, 3), (1, 1, 2, 3),
         {"output_padding": 1}),
        (ValueError, r"the output 2·2 rows, which leaves no output_padding, got 1", (1, 2, 2, 3),
         (3, 3, 2, 3), {"stride": 2, "padding": "same", "output_padding": 1}),
        (TypeError, "output_padding must be an integer, got True", (1, 2, 2, 3), (1, 1, 2, 3),
         {"output_padding": True}),
        (ValueError, "algorithm must be one of", (1, 2, 2, 3), (1, 1, 2, 3), {"algorithm": "fft"}),
    ],
)  # fmt: skip
def test_refusals(error, message, x_shape, w_shape, options):
    """What cannot be is an error that names the values and the cure."""
    with pytest.raises(error, match=message):
        ops.conv_transpose2d(np.ones(x_shape), np.ones(w_shape), **options)


def test_refuses_arrays_that_do_not_go_together():
    """Bias, gradient and dtype have to suit x and w."""
    x, w = np.ones((1, 2, 2, 3)), np.ones((1, 1, 2, 3))
    with pytest.raises(ValueError, match=r"b must have shape \(2,\)"):
        ops.conv_transpose2d(x, w, np.ones(3))
    with pytest.raises(TypeError, match="w is float32 and x is float64"):
        ops.conv_transpose2d(x, w.astype(np.float32))
    with pytest.raises(ValueError, match=r"dy must have shape \(1, 2, 2, 2\)"):
        ops.conv_transpose2d_backward(x, x, w)


# ---------------------------------------------------------------- the layer


@by_name(CASES)
def test_layer(case):
    """The layer says and makes the shapes of the table, and computes the reference's numbers."""
    layer = cl.ConvTranspose2d(case.x_shape[3], case.oc, case.kernel, rng=0, **case.options)
    layer = layer.astype("float64")
    layer.bias.value[...] = np.arange(case.oc)
    x = draw(case.x_shape)
    expected = reference.conv_transpose2d(x, layer.weight.value, layer.bias.value, **case.options)

    assert case.w_shape == layer.weight.shape
    assert case.y_shape == layer.output_shape(case.x_shape)
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("use_bias", [True, False])
def test_layer_gradients(use_bias):
    """Gradients reach x, the parameters and the layer below, through frozen weights too."""
    layer = cl.ConvTranspose2d(
        3, 4, 3, stride=2, padding=1, output_padding=1, use_bias=use_bias, rng=1
    )
    model = cl.Sequential(cl.Conv2d(2, 3, 1, rng=0), layer).astype("float64")

    assert gradcheck(model, draw((2, 3, 4, 2))) <= 1e-7
    model[1].freeze()
    assert gradcheck(model, draw((2, 3, 4, 2))) <= 1e-7
    assert not any(p.grad.any() for p in model[1].parameters())
    y, pullback = model[1].vjp(draw((2, 3, 4, 3)), input_grad=False)
    assert pullback(y) is None


def test_layer_undoes_the_shape_of_a_convolution():
    """A stride-2 "same" convolution and its transpose give back the image's shape and scale."""
    x = draw((4, 8, 6, 16), dtype=np.float32)
    up = cl.ConvTranspose2d(16, 16, 3, stride=1, padding="same", use_bias=False, rng=0)
    down = cl.Conv2d(16, 5, 3, stride=2, padding="same", rng=0)
    back = cl.ConvTranspose2d(5, 16, 3, stride=2, padding="same", rng=0)

    assert x.shape == back(down(x)).shape
    # He: the mean square of y is about twice that of x, less at the borders.
    assert 1 < np.mean(up(x) ** 2) / np.mean(x**2) < 2.5


def test_layer_copies_and_draws():
    """Seeds decide the weights, copies agree, and multiply-adds count each pixel's window."""
    layers = [cl.ConvTranspose2d(4, 6, (3, 2), stride=2, groups=2, rng=7) for _ in range(2)]
    layers.append(copy.deepcopy(layers[0]))
    x = draw((2, 3, 4, 4), dtype=np.float32)

    for layer in layers[1:]:
        np.testing.assert_array_equal(layers[0](x), layer(x))
    assert 2 * 3 * 4 * 4 * 3 * 2 * 3 == layers[0].summary(x.shape).multiply_adds
    assert "ConvTranspose2d(4, 6, (3, 2), stride=2, groups=2)" == repr(layers[0])


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "groups to divide 3 input and 4 output channels, got 2", {"groups": 2}),
        (ValueError, "output_padding must be below .*, 1, got 1", {"output_padding": 1}),
        (ValueError, "algorithm must be one of", {"algorithm": "fft"}),
        (TypeError, "stride must be an integer, got 1.5", {"stride": 1.5}),
    ],
)
def test_layer_refuses_options(error, message, options):
    """Options that cannot be are refused when the layer is made."""
    with pytest.raises(error, match=message):
        cl.ConvTranspose2d(3, 4, 3, **options)


def test_layer_refuses_shapes():
    """Images that leave nothing, or have other channels, are refused by name."""
    layer = cl.ConvTranspose2d(3, 4, 1, padding=1)
    with pytest.raises(
        ValueError, match=r"ConvTranspose2d\(3, 4, 1, padding=1\).* at least one of"
    ):
        layer(np.ones((1, 2, 4, 3), np.float32))
    with pytest.raises(ValueError, match="looks channels-first"):
        layer(np.ones((1, 3, 4, 4), np.float32))
