"""Pooling of sequences: that of images of one row."""

import numpy as np
import pytest

import convlet as cl
from convlet import ops, reference
from convlet.gradcheck import gradcheck

# By their representations, the pools of images that they are.
POOLS = {
    "MaxPool1d(2)": lambda: cl.MaxPool2d((1, 2)),
    "MaxPool1d(3, stride=2, padding=(1, 0), ceil_mode=True)": lambda: cl.MaxPool2d(
        (1, 3), stride=(1, 2), padding=(0, (1, 0)), ceil_mode=True
    ),
    "MaxPool1d(2, padding='same', dilation=2)": lambda: cl.MaxPool2d(
        (1, 2), padding="same", dilation=(1, 2)
    ),
    "AvgPool1d(2)": lambda: cl.AvgPool2d((1, 2)),
    "AvgPool1d(4, stride=3, padding=2, ceil_mode=True, count_include_pad=False)": lambda: (
        cl.AvgPool2d((1, 4), stride=(1, 3), padding=(0, 2), ceil_mode=True, count_include_pad=False)
    ),
    "GlobalAvgPool1d()": cl.GlobalAvgPool2d,
    "GlobalMaxPool1d()": cl.GlobalMaxPool2d,
}
OPERATORS = {
    "MaxPool1d": "max_pool1d",
    "AvgPool1d": "avg_pool1d",
    "GlobalAvgPool1d": "global_avg_pool1d",
    "GlobalMaxPool1d": "global_max_pool1d",
}


def draw(*shape, dtype=np.float64):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def pulled(model, x):
    y, pullback = model.vjp(x)
    return y, pullback(draw(*y.shape, dtype=x.dtype))


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("text", POOLS)
def test_pools_of_images_of_one_row(text, fuse):
    """Values, gradients, shapes and representations, planned and by itself, to the bit."""
    layer, of_images = eval(text, vars(cl)), POOLS[text]()
    x = draw(3, 11, 4, dtype=np.float32)
    with cl.options(fuse=fuse):
        y, dx = pulled(layer, x)
        np.testing.assert_array_equal(layer(x), y)
        y_images, pullback = of_images.vjp(x[:, None])
        dx_images = pullback(draw(*y.shape, dtype=x.dtype).reshape(y_images.shape))

    assert text == repr(layer)
    assert y.shape == layer.output_shape(x.shape)
    np.testing.assert_array_equal(y, y_images.reshape(y.shape))
    np.testing.assert_array_equal(dx, dx_images[:, 0])
    np.testing.assert_array_equal(layer.fold()(x), y)
    assert layer.fold().plan(x.shape).one_call


@pytest.mark.parametrize("text", POOLS)
def test_operators(text):
    """An operator is its reference, which finite differences confirm, and the layer's values."""
    layer, x = eval(text, vars(cl)), draw(3, 11, 4)
    kind = type(layer).__name__
    args, options = eval(text, {kind: lambda *args, **options: (args, options)})

    def pair(module):
        name = OPERATORS[kind]
        forward, backward = getattr(module, name), getattr(module, f"{name}_backward")
        return (
            lambda x: forward(x, *args, **options),
            lambda dy, x: backward(dy, x if "max" in name else x.shape, *args, **options),
        )

    (forward, backward), of_reference = pair(ops), pair(reference)
    y = forward(x)
    dy = draw(*y.shape)
    np.testing.assert_array_equal(y, layer(x))
    np.testing.assert_allclose(y, of_reference[0](x), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(backward(dy, x), of_reference[1](dy, x), rtol=1e-14, atol=1e-15)
    assert gradcheck(of_reference[0], x, of_reference[1], samples=40) <= 1e-7


@pytest.mark.parametrize("text", POOLS)
def test_gradients(text):
    """Finite differences confirm the gradients, and input_grad=False asks for none."""
    layer, x = eval(text, vars(cl)), draw(2, 9, 3)

    assert gradcheck(layer, x) <= 1e-7
    y, pullback = layer.vjp(x, input_grad=False)
    assert pullback(y) is None


def test_windows_of_many_positions():
    """A window that a byte cannot number keeps x for its gradient."""
    x = draw(1, 300, 2)
    for fuse in (True, False):
        with cl.options(fuse=fuse):
            _, dx = pulled(cl.MaxPool1d(300), x)
        np.testing.assert_array_equal(dx != 0, x == x.max(axis=1, keepdims=True))


def test_network():
    """A network of sequences is joined as one of images, learns, and is folded into one call."""
    model = cl.Sequential(
        *[cl.Conv1d(2, 4, 3, padding=1, use_bias=False), cl.BatchNorm(4), cl.ReLU()],
        *[cl.MaxPool1d(2), cl.Conv1d(4, 4, 3, padding="same"), cl.ReLU(), cl.MaxPool1d(2)],
        *[cl.AvgPool1d(2, ceil_mode=True), cl.GlobalMaxPool1d(), cl.Linear(4, 3)],
        rng=0,
    ).astype("float64")
    x, labels = draw(6, 18, 2), np.arange(6) % 3
    optimizer, results = cl.SGD(model.parameters(), lr=0.1), []
    for fuse in (True, False):
        optimizer.zero_grad()
        with cl.options(fuse=fuse):
            results.append([*pulled(model, x), *(p.grad.copy() for p in model.parameters())])
    for joined, apart in zip(*results, strict=True):
        np.testing.assert_allclose(joined, apart, rtol=1e-10, atol=1e-12)
    assert [row["kernel"] for row in model.plan(x.shape).rows] == [
        *("Conv1d", "BatchNorm+ReLU+MaxPool1d", "Conv1d+ReLU", "MaxPool1d"),
        *("AvgPool1d", "GlobalMaxPool1d", "Linear"),
    ]
    shapes = [row["output_shape"] for row in model.summary(x.shape).rows]
    assert [(6, 9, 4), (6, 4, 4), (6, 2, 4), (6, 4)] == [shapes[i] for i in (3, 6, 7, 8)]

    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        y, pullback = model.vjp(x)
        loss, dy = cl.softmax_cross_entropy(y, labels)
        pullback(dy)
        optimizer.step()
        losses.append(loss)
    assert 2 * losses[-1] < losses[0]
    folded = model.fold()
    assert folded.plan(x.shape).one_call
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, "MaxPool1d: kernel_size must be an integer", lambda: cl.MaxPool1d((1, 2))),
        (TypeError, "AvgPool1d: stride must be an integer", lambda: cl.AvgPool1d(2, stride=(1, 1))),
        (TypeError, "MaxPool1d: dilation must be", lambda: cl.MaxPool1d(2, dilation=(1, 1))),
        (ValueError, "MaxPool1d: expected padding of at most", lambda: cl.MaxPool1d(2, padding=2)),
        (ValueError, "AvgPool1d: padding must be", lambda: cl.AvgPool1d(2, padding=(1, 1, 1))),
    ],
)
def test_refused_options(error, message, make):
    """Options that cannot be are refused when the layer is made."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("message", "layer", "shape"),
    [
        (r"MaxPool1d\(2\): expected x of shape \(N, L, C\), 3 axes", cl.MaxPool1d(2), (2, 4)),
        (r"Avg.* \(N, L, C\), 3 axes", cl.GlobalAvgPool1d(), (2, 1, 4, 3)),
        (r"GlobalMaxPool1d\(\): .* at least one position", cl.GlobalMaxPool1d(), (2, 0, 3)),
        (r"AvgPool1d\(5\): expected at least 5", cl.AvgPool1d(5), (2, 4, 3)),
    ],
)
def test_refused_shapes(message, layer, shape):
    """Arrays that are no sequences, or too short, are refused by the layer's name."""
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape, np.float32))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"max_pool1d: x must be \(N, L, C\), 3 axes", lambda x: ops.max_pool1d(x[0], 2)),
        (r"dy must be \(N, OL, C\), 3 axes", lambda x: ops.max_pool1d_backward(x[0], x, 2)),
        (
            r"max_pool1d_backward: dy must have shape \(2, 3, 4\)",
            lambda x: ops.max_pool1d_backward(x, x, 2),
        ),
        (
            r"avg_pool1d_backward: dy must have shape \(2, 3, 4\)",
            lambda x: ops.avg_pool1d_backward(x, x.shape, 2),
        ),
        (r"x_shape must be \(N, L, C\)", lambda x: ops.avg_pool1d_backward(x, (7, 4), 2)),
        (r"x_shape must be at least 1, got 0", lambda x: ops.avg_pool1d_backward(x, (2, 7, 0), 2)),
        (r"x_shape must be at most", lambda x: ops.avg_pool1d_backward(x, (2**63, 7, 4), 2)),
        (r"global_max_pool1d: x must be", lambda x: ops.global_max_pool1d(x[0])),
        (r"avg_pool1d: kernel_size must be at least 1", lambda x: ops.avg_pool1d(x, 0)),
    ],
)
def test_operators_refuse(message, call):
    """Arrays that are no sequences are refused by name."""
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 7, 4)))
