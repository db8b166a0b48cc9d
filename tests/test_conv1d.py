"""Convolution of sequences: a use of the convolution of images."""

import numpy as np
import pytest

import convlet as cl
from convlet import ops, reference
from convlet.gradcheck import gradcheck

OPTIONS = {
    "plain": {},
    "padded": {"padding": 2},
    "lopsided": {"padding": (0, 3), "stride": 2},
    "same": {"padding": "same", "stride": 3},
    "same-lower": {"padding": "same_lower", "stride": 2},
    "valid": {"padding": "valid"},
    "dilated": {"dilation": 3},
    "groups": {"groups": 2, "padding": 1},
    "activation": {"activation": "relu"},
    "leaky activation": {"activation": ("leaky_relu", 0.2)},
}
every = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def draw(*shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def arrays(options, dtype=np.float64):
    groups = options.get("groups", 1)
    return [draw(*s, dtype=dtype) for s in ((3, 11, 4), (3, 4 // groups, 6), (6,))]


def plain(options):
    return {name: value for name, value in options.items() if name != "activation"}


def definition(x, w, b, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Windows of a padded sequence, one by one."""
    n, length, _ = x.shape
    k, gc, oc = w.shape
    if padding in ("same", "same_lower"):
        total = max((-(-length // stride) - 1) * stride + dilation * (k - 1) + 1 - length, 0)
        padding = (total // 2, total - total // 2)[:: 1 if padding == "same" else -1]
    elif padding == "valid":
        padding = 0
    begin, end = padding if isinstance(padding, tuple) else (padding, padding)
    x = np.pad(x, [(0, 0), (begin, end), (0, 0)])
    outputs = (x.shape[1] - dilation * (k - 1) - 1) // stride + 1
    y = np.zeros((n, outputs, oc)) + b
    for i in range(outputs):
        window = x[:, i * stride : i * stride + dilation * (k - 1) + 1 : dilation]
        for o in range(oc):
            g = o // (oc // groups)
            y[:, i, o] += (window[..., g * gc : (g + 1) * gc] * w[..., o]).sum(axis=(1, 2))
    slopes = {None: 1, "relu": 0, ("leaky_relu", 0.2): 0.2}
    return np.maximum(y, slopes[activation] * y)


@every
def test_reference_is_its_definition(options):
    """The reference equals windows of a padded sequence."""
    x, w, b = arrays(options)

    np.testing.assert_allclose(
        reference.conv1d(x, w, b, **options), definition(x, w, b, **options), atol=1e-13
    )


@every
def test_reference_gradients(options):
    """The three gradients agree with finite differences."""
    options = plain(options)

    gradcheck(
        lambda x, w, b: reference.conv1d(x, w, b, **options),
        tuple(arrays(options)),
        lambda dy, x, w, b: reference.conv1d_backward(dy, x, w, **options),
        samples=40,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_operator(options, dtype):
    """y and its gradients are the reference's, and gradients that are not needed are left out."""
    x, w, b = arrays(options, dtype)
    wide = [a.astype(np.float64) for a in (x, w, b)]
    bound = {"rtol": 0, "atol": 2e-5 if dtype == np.float32 else 5e-14}  # some 20 terms near 1

    y = ops.conv1d(x, w, b, **options)
    dy = draw(*y.shape, dtype=dtype)
    gradients = ops.conv1d_backward(dy, x, w, **plain(options))
    expected = reference.conv1d_backward(dy.astype(np.float64), *wide[:2], **plain(options))

    np.testing.assert_allclose(y, reference.conv1d(*wide, **options), **bound)
    for actual, wanted in zip(gradients, expected, strict=True):
        assert dtype == actual.dtype
        np.testing.assert_allclose(actual, wanted, **bound)
    nothing = ops.conv1d_backward(dy, x, w, **plain(options), needs=(False, False, False))
    assert (None, None, None) == nothing


@every
def test_layer(options):
    """The layer has the operator's values and shapes, and gradients that finite ones confirm."""
    layer = cl.Conv1d(4, 6, 3, rng=0, **options).astype("float64")
    layer.bias.value[...] = draw(6)
    x = draw(3, 11, 4)
    y = layer(x)

    assert y.shape == layer.output_shape(x.shape)
    np.testing.assert_array_equal(ops.conv1d(x, layer.weight.value, layer.bias.value, **options), y)
    assert gradcheck(layer, x, samples=60) <= 1e-7
    assert y.size * 3 * 4 // layer.groups == layer.summary(x.shape).multiply_adds


def test_plans():
    """Sequences are planned as images are: joined with what follows, and folded into one call."""
    body = cl.Sequential(cl.Conv1d(6, 6, 3, padding="same", groups=2), cl.BatchNorm(6))
    model = cl.Sequential(
        *[cl.Conv1d(4, 6, 3, stride=2, padding=1, use_bias=False), cl.BatchNorm(6), cl.ReLU()],
        *[cl.Residual(body), cl.Conv1d(6, 2, 1), cl.ReLU()],
        rng=0,
    ).astype("float64")
    x, dy = draw(3, 9, 4), draw(3, 5, 2)
    results = []
    for fuse in (True, False):
        with cl.options(fuse=fuse):
            y, pullback = model.vjp(x)
            results.append([y, pullback(dy), *(p.grad.copy() for p in model.parameters())])
        for p in model.parameters():
            p.grad = np.zeros(p.shape)
    for joined, apart in zip(*results, strict=True):
        np.testing.assert_allclose(joined, apart, rtol=1e-10, atol=1e-12)
    kernels = [row["kernel"] for row in model.plan(x.shape).rows]
    assert kernels == ["Conv1d", "BatchNorm+ReLU", "Conv1d", "BatchNorm+add", "Conv1d+ReLU"]
    folded = model.fold()
    assert folded.plan(x.shape).one_call
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10, atol=1e-12)


def test_layer_gives_what_is_asked():
    """Frozen parameters get no gradient, input_grad=False no dx, and seeds decide the weights."""
    layer = cl.Conv1d(4, 6, 3, use_bias=False, rng=3)
    x = draw(2, 7, 4, dtype=np.float32)
    layer.freeze()
    y, pullback = layer.vjp(x, input_grad=False)

    assert pullback(y) is None
    assert not layer.weight.grad.any()
    assert "Conv1d(4, 6, 3, use_bias=False)" == repr(layer)
    assert "Conv1d(1, 2, 3, stride=2, padding='same')" == repr(
        cl.Conv1d(1, 2, 3, stride=2, padding="same")
    )
    np.testing.assert_array_equal(layer(x), cl.Conv1d(4, 6, 3, use_bias=False, rng=3)(x))


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, r"Conv1d: padding must be an integer or a pair", {"padding": (1, 1, 1)}),
        (TypeError, "Conv1d: stride must be an integer", {"stride": (1, 1)}),
        (ValueError, "groups to divide 4 input and 6 output channels, got 3", {"groups": 3}),
        (ValueError, "activation must be None, 'relu'", {"activation": "step"}),
        (ValueError, "algorithm must be one of", {"algorithm": "fft"}),
    ],
)
def test_layer_refuses_options(error, message, options):
    """Options that cannot be are refused when the layer is made."""
    with pytest.raises(error, match=message):
        cl.Conv1d(4, 6, 3, **options)


def test_refusals():
    """Arrays that are no sequences, or do not go together, are refused by name."""
    x, w = np.ones((2, 7, 4)), np.ones((3, 4, 6))
    with pytest.raises(ValueError, match=r"conv1d: x must be \(N, L, C\), 3 axes"):
        ops.conv1d(x[0], w)
    with pytest.raises(ValueError, match=r"conv1d: w must be \(K, C/groups, OC\)"):
        ops.conv1d(x, w[0])
    with pytest.raises(ValueError, match=r"dy must be \(N, OL, OC\)"):
        ops.conv1d_backward(x[0], x, w)
    with pytest.raises(ValueError, match=r"expected x of shape \(N, L, 4\), 3 axes"):
        cl.Conv1d(4, 6, 3)(np.ones((1, 1, 7, 4), np.float32))
    with pytest.raises(ValueError, match="looks channels-first"):
        cl.Conv1d(4, 6, 3)(np.ones((1, 4, 7), np.float32))
