"""Layers: gradients, the two doors, state, freezing, sharing, drawing, and how they are written."""

import copy
import weakref

import numpy as np
import pytest

import convlet as cl
from cases import CONV_CASES, POOL_CASES
from convlet import _core, reference
from convlet.gradcheck import gradcheck
from networks import digits_like, images


def double(*layers, seed=0):
    """Return a float64 model whose parameters and statistics are random, norms around one."""
    model = cl.Sequential(*layers, rng=seed).astype("float64")
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.value += 0.3 * rng.standard_normal(p.shape)
    for _, layer in model._walk():
        if isinstance(layer, cl.BatchNorm):
            layer.running_mean = rng.standard_normal(layer.channels)
            layer.running_var = rng.uniform(0.5, 2, layer.channels)
    return model


# ---------------------------------------------------------------- gradients

ABOVE = {
    "Conv2d": lambda: [cl.Conv2d(3, 4, 3, padding="same")],
    "Conv2d, everything": lambda: [
        cl.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=3)
    ],
    "Conv2d, ReLU inside": lambda: [cl.Conv2d(3, 4, 3, activation="relu")],
    "Conv2d, ReLU6 inside": lambda: [cl.Conv2d(3, 4, 3, activation="relu6")],
    "Conv2d, leaky ReLU inside": lambda: [cl.Conv2d(3, 4, 3, activation="leaky_relu")],
    "Conv2d, slope inside": lambda: [cl.Conv2d(3, 4, 3, activation=("leaky_relu", 0.3))],
    "Linear": lambda: [cl.Flatten(), cl.Linear(90, 5)],
    "Linear on pixels": lambda: [cl.Linear(3, 4)],
    "BatchNorm": lambda: [cl.BatchNorm(3)],
    "BatchNorm of rows": lambda: [cl.Flatten(), cl.Linear(90, 3), cl.BatchNorm(3)],
    "BatchNorm, not affine": lambda: [cl.BatchNorm(3, affine=False)],
    "BatchNorm, nothing tracked": lambda: [cl.BatchNorm(3, track_running_stats=False)],
    "MaxPool2d": lambda: [cl.MaxPool2d(2)],
    "MaxPool2d, overlapping": lambda: [cl.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)],
    "MaxPool2d, dilated": lambda: [cl.MaxPool2d(2, stride=1, dilation=2)],
    "AvgPool2d": lambda: [cl.AvgPool2d(2)],
    "AvgPool2d, padding left out": lambda: [
        cl.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
    ],
    "GlobalAvgPool2d": lambda: [cl.GlobalAvgPool2d()],
    "ReLU": lambda: [cl.ReLU()],
    "Softmax": lambda: [cl.Softmax()],
    "Softmax over rows": lambda: [cl.Softmax(axis=1)],
    "Residual": lambda: [cl.Residual(cl.Conv2d(3, 3, 3, padding=1))],
    "Residual, shortcut": lambda: [
        cl.Residual(
            cl.Sequential(cl.Conv2d(3, 4, 3, padding=1), cl.BatchNorm(4)), cl.Conv2d(3, 4, 1)
        )
    ],
    "Residual of nothing": lambda: [cl.Residual(cl.Sequential())],
}


@pytest.mark.parametrize("name", ABOVE)
def test_gradients_above_a_trainable_layer(name):
    """Every layer passes gradients to x, its parameters and those of the layer below it."""
    model = double(cl.Conv2d(2, 3, 1), *ABOVE[name]())

    assert gradcheck(model, images(2, 5, 6, 2)) <= 1e-7


@pytest.mark.parametrize("name", ABOVE)
def test_frozen_layers_pass_gradients(name):
    """Through a frozen layer come the gradients of what is computed, running statistics and all."""
    layers = ABOVE[name]()
    model = double(cl.Conv2d(2, 3, 1), *layers)
    for layer in model[1:]:
        layer.freeze()
    before = model.state_dict()

    assert gradcheck(model, images(2, 5, 6, 2)) <= 1e-7
    y, pullback = model.vjp(images(2, 5, 6, 2))
    pullback(y)
    after = model.state_dict()
    for key in before:
        if name != "BatchNorm, nothing tracked":
            np.testing.assert_array_equal(before[key], after[key])
    assert all(not p.grad.any() for layer in model[1:] for p in layer.parameters())


def test_gradients_of_a_whole_network():
    """Blocks, shortcuts, norms and pools pass one gradient check together."""
    block = cl.Residual(
        cl.Sequential(cl.Conv2d(4, 4, 3, padding=1, use_bias=False), cl.BatchNorm(4)),
    )
    model = double(
        cl.Conv2d(2, 4, 3, padding="same"),
        cl.BatchNorm(4),
        cl.ReLU(),
        block,
        cl.ReLU(),
        cl.MaxPool2d(2),
        cl.GlobalAvgPool2d(),
        cl.Linear(4, 3),
    )

    assert gradcheck(model, images(3, 5, 4, 2)) <= 1e-7


def test_gradients_of_a_shared_layer_add_up():
    """A layer that is used twice gets the sum of what two copies of it would get."""
    shared = cl.Linear(3, 3, rng=0)
    model = cl.Sequential(shared, cl.ReLU(), shared).astype("float64")
    twins = cl.Sequential(copy.deepcopy(model[0]), cl.ReLU(), copy.deepcopy(model[0]))
    x, dy = images(4, 3), images(4, 3, seed=2)
    for m in (model, twins):
        m.vjp(x)[1](dy)

    assert 2 == len(model.parameters())
    assert ["0.weight", "0.bias"] == list(model.state_dict())
    np.testing.assert_array_equal(twins[0].weight.grad + twins[2].weight.grad, model[0].weight.grad)
    assert gradcheck(model, x) <= 1e-7


def test_pullback_adds_to_gradients():
    """Two pullbacks leave the sum of their gradients."""
    model = double(cl.Linear(3, 2))
    x, dy = images(4, 3), images(4, 2, seed=2)
    model.vjp(x)[1](dy)
    once = [p.grad.copy() for p in model.parameters()]
    model.vjp(x)[1](dy)

    for p, g in zip(model.parameters(), once, strict=True):
        np.testing.assert_array_equal(2 * g, p.grad)


@pytest.mark.parametrize("name", ABOVE)
def test_input_gradient_is_left_out_when_not_wanted(name):
    """Without input_grad the pullback returns None, and parameters get the same gradients."""
    model = double(cl.Conv2d(2, 3, 1), *ABOVE[name]())
    x = images(2, 5, 6, 2)
    y, pullback = model.vjp(x)
    dx = pullback(y)
    grads = [p.grad.copy() for p in model.parameters()]
    for p in model.parameters():
        p.grad[...] = 0
    y, pullback = model.vjp(x, input_grad=False)

    assert dx.shape == x.shape
    assert pullback(y) is None
    for p, g in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(g, p.grad)


@pytest.mark.parametrize("name", ABOVE)
def test_a_layer_alone_can_leave_out_its_input_gradient(name):
    """Every layer of its own returns None without input_grad."""
    model = double(cl.Conv2d(2, 3, 1), *ABOVE[name]())
    x = images(2, 5, 6, 2)
    for layer in model:
        y, pullback = layer.vjp(x, input_grad=False)
        assert pullback(y) is None
        x = y


@pytest.mark.parametrize("fuse", [True, False])
def test_what_nobody_needs_is_not_computed(monkeypatch, fuse):
    """Neither gradients of frozen parameters nor those below the last trainable layer are made."""
    asked = set()

    def data(dx, dy, *others):
        asked.add((dx.shape[-1], dy.shape[-1], "dx"))
        backward_data(dx, dy, *others)

    def weights(dw, db, dy, x, *others):
        made = {"dw": dw, "db": db}
        asked.update((x.shape[-1], dy.shape[-1], n) for n in made if made[n] is not None)
        backward_weights(dw, db, dy, x, *others)

    backward_data, backward_weights = _core.conv2d_backward_data, _core.conv2d_backward_weights
    monkeypatch.setattr(_core, "conv2d_backward_data", data)
    monkeypatch.setattr(_core, "conv2d_backward_weights", weights)
    model = double(cl.Conv2d(2, 3, 1), cl.Conv2d(3, 3, 1), cl.Conv2d(3, 4, 1, use_bias=False))
    x = images(1, 3, 3, 2)
    everything = {(i, o, n) for i, o in [(2, 3), (3, 3)] for n in ("dx", "dw", "db")}
    everything |= {(3, 4, "dx"), (3, 4, "dw")}
    for frozen, input_grad, missing in [
        ((), True, set()),
        ((), False, {(2, 3, "dx")}),
        ((0,), False, {(2, 3, "dx"), (2, 3, "dw"), (2, 3, "db"), (3, 3, "dx")}),
        ((1,), True, {(3, 3, "dw"), (3, 3, "db")}),
    ]:
        model.unfreeze()
        for i in frozen:
            model[i].freeze()
        asked.clear()
        with cl.options(fuse=fuse):
            y, pullback = model.vjp(x, input_grad=input_grad)
            pullback(y)

        assert everything - missing == asked


# ---------------------------------------------------------------- the doors


def test_both_doors_agree_without_batch_norm():
    """Inference and training compute the same y where nothing depends on the batch."""
    model = double(cl.Conv2d(2, 3, 3), cl.ReLU(), cl.MaxPool2d(2), cl.Flatten(), cl.Linear(6, 4))
    x = images(3, 4, 6, 2)

    np.testing.assert_array_equal(model.vjp(x)[0], model(x))


@pytest.mark.parametrize("case", CONV_CASES, ids=lambda case: case.name)
def test_conv2d_on_the_table_of_cases(case):
    """The layer says and makes the shapes of the table, and computes the reference's numbers."""
    options = case.options
    layer = cl.Conv2d(case.x_shape[3], case.oc, case.kernel, rng=0, **options).astype("float64")
    layer.bias.value[...] = np.arange(case.oc)
    x = images(*case.x_shape)
    expected = reference.conv2d(x, layer.weight.value, layer.bias.value, **options)

    assert case.y_shape == layer.output_shape(case.x_shape)
    assert case.multiply_adds == layer.summary(case.x_shape).multiply_adds
    # sums of up to 1625 products of order 1 in double
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", POOL_CASES, ids=lambda case: case.name)
def test_pools_on_the_table_of_cases(case):
    """The pools say and make the shapes of the table, and compute the reference's numbers."""
    x = images(*case.x_shape)
    layers = [(cl.MaxPool2d, reference.max_pool2d, case.max_options)]
    if case.dilation == (1, 1):
        layers.append((cl.AvgPool2d, reference.avg_pool2d, case.avg_options))
    for layer, function, options in layers:
        pool = layer(case.kernel, **options)

        assert case.y_shape == pool.output_shape(case.x_shape)
        np.testing.assert_allclose(pool(x), function(x, case.kernel, **options), rtol=0, atol=1e-14)


def test_max_pool_of_windows_with_more_positions_than_a_byte_counts():
    """The gradient of a 17x16 window goes to its largest value, whichever it is."""
    x = images(2, 17, 32, 3)
    layer = cl.MaxPool2d((17, 16))

    y, pullback = layer.vjp(x)
    dy = images(*y.shape)

    np.testing.assert_array_equal(pullback(dy), reference.max_pool2d_backward(dy, x, (17, 16)))


def test_inputs_of_any_layout_and_never_written():
    """Strided, reversed, read-only and byte-swapped images give the bits of plain ones."""
    model = cl.Sequential(cl.Conv2d(2, 3, 3), cl.BatchNorm(3), cl.ReLU(), rng=0)
    x = images(2, 5, 6, 2, dtype=np.float32)
    wide = np.repeat(x, 2, axis=2)
    views = [
        wide[:, :, ::2],
        np.ascontiguousarray(x[:, ::-1])[:, ::-1],
        np.asfortranarray(x),
        x.astype(">f4"),
    ]
    for view in views:
        view.flags.writeable = False
        before = view.copy()

        np.testing.assert_array_equal(model(x), model(view))
        out, pullback = model.vjp(view)
        pullback(out)
        np.testing.assert_array_equal(before, view)


def test_pullback_drops_what_it_saved():
    """Once called, a pullback holds neither x nor anything else of the pass."""
    model = double(cl.Conv2d(2, 3, 1), cl.BatchNorm(3), cl.ReLU())
    x = images(2, 3, 3, 2)
    y, pullback = model.vjp(x)
    alive = weakref.ref(x)
    dy = np.ones_like(y)
    del x, y
    assert alive() is not None
    pullback(dy)

    assert alive() is None


def test_empty_batches_pass():
    """A batch of no images comes out empty at the inference door, and in training without norms."""
    model = cl.Sequential(
        cl.Conv2d(2, 3, 3), cl.BatchNorm(3), cl.ReLU(), cl.MaxPool2d(2), cl.Flatten(), rng=0
    )
    x = np.zeros((0, 6, 6, 2), np.float32)
    plain = cl.Sequential(model[0], cl.Flatten(), cl.Linear(48, 2, rng=0))
    y, pullback = plain.vjp(x)

    assert (0, 12) == model(x).shape
    assert (0, 2) == y.shape
    assert x.shape == pullback(y).shape
    assert all(not p.grad.any() for p in plain.parameters())


# ---------------------------------------------------------------- batch norm


@pytest.mark.parametrize("kept", ["unbiased", "biased"])
def test_running_statistics(kept):
    """They move by momentum towards each batch's mean and variance, and are counted."""
    layer = cl.BatchNorm(3, momentum=0.3, running_var=kept).astype("float64")
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(4):
        x = 2 + 3 * images(4, 2, 5, 3, seed=seed)
        layer.vjp(x)
        mean = 0.7 * mean + 0.3 * x.mean(axis=(0, 1, 2))
        var = 0.7 * var + 0.3 * x.var(axis=(0, 1, 2), ddof=kept == "unbiased")

        np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-14)
        np.testing.assert_allclose(layer.running_var, var, rtol=1e-14)
        assert seed + 1 == layer.count


def test_inference_uses_running_statistics_and_keeps_them():
    """At the inference door the batch does not matter, and nothing changes."""
    model = double(cl.BatchNorm(3))
    layer, x = model[0], images(4, 2, 2, 3)
    before = model.state_dict()
    expected = layer.gamma.value * (x - layer.running_mean) / np.sqrt(layer.running_var + 1e-5)

    np.testing.assert_allclose(model(x), expected + layer.beta.value, rtol=1e-13)
    np.testing.assert_array_equal(model(x)[:1], model(x[:1]))
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())


def test_training_normalises_by_the_batch():
    """At the training door y has mean beta and variance gamma squared."""
    model = double(cl.BatchNorm(3, eps=1e-12))
    y, _ = model.vjp(5 + 2 * images(4, 6, 6, 3))

    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), model[0].beta.value, atol=1e-13)
    np.testing.assert_allclose(y.var(axis=(0, 1, 2)), model[0].gamma.value ** 2, rtol=1e-10)


def test_frozen_batch_norm_is_inference():
    """Frozen, both doors give the same, and after unfreeze the batch counts again."""
    model = double(cl.BatchNorm(3))
    x = images(4, 2, 2, 3)
    model.freeze()
    np.testing.assert_array_equal(model(x), model.vjp(x)[0])
    assert 0 == model[0].count
    model.unfreeze()

    assert not np.array_equal(model(x), model.vjp(x)[0])
    assert 1 == model[0].count


def test_batch_norm_without_tracking_uses_the_batch_everywhere():
    """Nothing is kept, and inference normalises by what it is given."""
    layer = cl.BatchNorm(2, track_running_stats=False)
    x = images(5, 2, dtype=np.float32)

    assert ["gamma", "beta"] == list(layer.state_dict())
    np.testing.assert_array_equal(layer.vjp(x)[0], layer(x))


def test_batch_norm_used_twice_commits_twice():
    """The statistics of a shared batch norm move once for each use."""
    norm = cl.BatchNorm(2)
    cl.Sequential(norm, norm).vjp(images(5, 2, dtype=np.float32))

    assert 2 == norm.count


# ---------------------------------------------------------------- containers and text


def test_sequential_is_a_tuple_of_layers():
    """It has a length, can be iterated and indexed, and slices are models of the same layers."""
    layers = [cl.Flatten(), cl.Linear(4, 3), cl.ReLU(), cl.Linear(3, 2)]
    model = cl.Sequential(*layers)

    assert 4 == len(model)
    assert layers == list(model)
    assert (model[1], model[-1]) == (layers[1], layers[3])
    part = model[1:3]
    assert isinstance(part, cl.Sequential)
    assert layers[1:3] == list(part)
    with pytest.raises(IndexError):
        model[4]


def test_empty_sequential_is_the_identity():
    """A model of no layers returns x and passes gradients through."""
    model, x = cl.Sequential(), np.ones((2, 3), np.float32)
    y, pullback = model.vjp(x)

    np.testing.assert_array_equal(x, model(x))
    np.testing.assert_array_equal(y, pullback(y))
    assert [] == model.parameters()


@pytest.mark.parametrize(
    "text",
    [
        "Conv2d(1, 16, 3)",
        "Conv2d(4, 8, (3, 2), stride=(2, 1), padding='same', dilation=2, groups=2, "
        "use_bias=False, activation='relu', algorithm='im2col')",
        "Conv2d(1, 1, 3, padding=((1, 0), (0, 2)))",
        "Conv2d(1, 1, 3, padding=((1, 2), (1, 2)))",
        "Conv2d(1, 1, 3, padding=(1, 2))",
        "Linear(3, 4)",
        "Linear(3, 4, use_bias=False)",
        "BatchNorm(16)",
        "BatchNorm(16, eps=0.001, momentum=0.2, affine=False, track_running_stats=False, "
        "running_var='biased')",
        "MaxPool2d(2)",
        "MaxPool2d((3, 2), stride=2, padding=1, dilation=2, ceil_mode=True)",
        "AvgPool2d(2)",
        "AvgPool2d(3, stride=(2, 1), padding=1, ceil_mode=True, count_include_pad=False)",
        "GlobalAvgPool2d()",
        "ReLU()",
        "Softmax()",
        "Softmax(axis=1)",
        "Flatten()",
        "Sequential()",
        "Sequential(\n    ReLU(),\n    Flatten(),\n)",
        "Residual(\n    Linear(3, 3),\n    Sequential(\n        Linear(3, 3),\n    ),\n)",
    ],
)
def test_representations_are_how_layers_are_made(text):
    """The representation of a layer is the call that makes it."""
    assert text == repr(eval(text, vars(cl)))


def test_summary():
    """The table has shapes, parameters, multiply-adds and bytes by layer, and totals."""
    table = digits_like().summary((5, 4, 4, 1))
    rows = [
        ("0", (5, 2, 2, 3), 27, 5 * 4 * 27, 240),
        ("1", (5, 2, 2, 3), 6, 0, 240),
        ("2.body.0", (5, 2, 2, 3), 12, 5 * 4 * 9, 240),
        ("2.body.1", (5, 2, 2, 3), 0, 0, 240),
        ("2.shortcut.0", (5, 2, 2, 3), 12, 5 * 4 * 9, 240),
        ("2.add", (5, 2, 2, 3), 0, 0, 240),
        ("3", (5, 12), 0, 0, 0),
        ("4", (5, 2), 26, 5 * 24, 40),
    ]
    keys = ("path", "output_shape", "parameters", "multiply_adds", "bytes")

    assert rows == [tuple(row[key] for key in keys) for row in table.rows]
    assert (83, 1020, 1480) == (table.parameters, table.multiply_adds, table.bytes)
    text = str(table).splitlines()
    assert len(rows) + 3 == len(text)
    assert text[0].split() == ["layer", "output", "shape", "parameters", "multiply-adds", "bytes"]
    assert ["total", "83", "1,020", "1,480"] == text[-1].split()


def test_summary_counts_shared_layers_once():
    """Parameters of a layer that comes again are counted where it comes first."""
    shared = cl.Linear(3, 3)
    table = cl.Sequential(shared, shared).summary((1, 3))

    assert [12, 0] == [row["parameters"] for row in table.rows]
    assert (12, 18) == (table.parameters, table.multiply_adds)
