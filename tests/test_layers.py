"""Layers: gradients, the two doors, state, freezing, sharing, drawing, and how they are written."""

import copy
import pickle
import weakref

import numpy as np
import pytest

import convlet as cl
from cases import CONV_CASES, POOL_CASES
from convlet import reference
from convlet.gradcheck import gradcheck
from convlet.layers import conv2d as conv2d_module


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


def images(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------- gradients

ABOVE = {
    "Conv2d": lambda: [cl.Conv2d(3, 4, 3, padding="same")],
    "Conv2d, everything": lambda: [
        cl.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=3)
    ],
    "Conv2d, ReLU inside": lambda: [cl.Conv2d(3, 4, 3, activation="relu")],
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


def test_what_nobody_needs_is_not_computed(monkeypatch):
    """Neither gradients of frozen parameters nor those below the last trainable layer are made."""
    asked = []

    def record(*arrays, needs, **options):
        asked.append(needs)
        return original(*arrays, needs=needs, **options)

    original = conv2d_module.conv2d_backward
    monkeypatch.setattr(conv2d_module, "conv2d_backward", record)
    model = double(cl.Conv2d(2, 3, 1), cl.Conv2d(3, 3, 1), cl.Conv2d(3, 2, 1, use_bias=False))
    x = images(1, 3, 3, 2)
    for frozen, input_grad in [((), True), ((), False), ((0,), False), ((1,), True)]:
        model.unfreeze()
        for i in frozen:
            model[i].freeze()
        y, pullback = model.vjp(x, input_grad=input_grad)
        pullback(y)

    t, f = True, False
    assert [
        *[(t, t, f), (t, t, t), (t, t, t)],
        *[(t, t, f), (t, t, t), (f, t, t)],
        *[(t, t, f), (f, t, t)],
        *[(t, t, f), (t, f, f), (t, t, t)],
    ] == asked


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


# ---------------------------------------------------------------- state


def digits_like(rng=0):
    return cl.Sequential(
        cl.Conv2d(1, 3, 3, use_bias=False),
        cl.BatchNorm(3),
        cl.Residual(
            cl.Sequential(cl.Conv2d(3, 3, 1), cl.ReLU()), cl.Sequential(cl.Conv2d(3, 3, 1))
        ),
        cl.Flatten(),
        cl.Linear(12, 2),
        rng=rng,
    )


def test_state_dict_names():
    """Keys are the places of layers and the names of what they hold, in layer order."""
    state = digits_like().state_dict()

    assert [
        "0.weight",
        "1.gamma",
        "1.beta",
        "1.running_mean",
        "1.running_var",
        "1.count",
        "2.body.0.weight",
        "2.body.0.bias",
        "2.shortcut.0.weight",
        "2.shortcut.0.bias",
        "4.weight",
        "4.bias",
    ] == list(state)
    assert (np.int64, ()) == (state["1.count"].dtype, state["1.count"].shape)
    assert ["weight", "bias"] == list(cl.Linear(2, 3).state_dict())


def test_state_dict_round_trip(tmp_path):
    """A model takes over everything through a file, and its parameters stay where they are."""
    source, target = digits_like(rng=0), digits_like(rng=1)
    x = images(4, 4, 4, 1, dtype=np.float32)
    source.vjp(x)
    places = [p.value for p in target.parameters()]
    np.savez(tmp_path / "state.npz", **source.state_dict())
    with np.load(tmp_path / "state.npz") as saved:
        target.load_state_dict(saved)

    np.testing.assert_array_equal(source(x), target(x))
    assert 1 == target[1].count
    assert all(p.value is place for p, place in zip(target.parameters(), places, strict=True))


def test_state_dict_is_a_copy():
    """Writing into a state changes nothing, and later training does not change the state."""
    model = digits_like()
    state = model.state_dict()
    kept = {key: value.copy() for key, value in state.items()}
    model.vjp(images(4, 4, 4, 1, dtype=np.float32))
    model.parameters()[0].value[...] = 5
    for key, value in kept.items():
        np.testing.assert_array_equal(value, state[key])
    state["4.weight"][...] = 7

    assert not (model[4].weight.value == 7).any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("used", [False, True])
def test_copies_are_equal_and_independent(duplicate, used):
    """A deep copy or a pickle computes the same, drawn or not, and then goes its own way."""
    model = digits_like(rng=None)
    x = images(4, 4, 4, 1, dtype=np.float32)
    if used:
        model.vjp(x)[1](np.ones((4, 2), np.float32))
        model[0].freeze()
    twin = duplicate(model)

    np.testing.assert_array_equal(model(x), twin(x))
    assert repr(model) == repr(twin)
    assert [p.trainable for p in model.parameters()] == [p.trainable for p in twin.parameters()]
    twin.vjp(x)
    twin.parameters()[0].value[...] = 0
    assert model[1].count == used
    assert model.parameters()[0].value.any()


def test_astype_makes_another_model():
    """Everything a model holds changes its type in the new one, and nothing in the old."""
    model = digits_like()
    model.vjp(images(4, 4, 4, 1, dtype=np.float32))
    wide = model.astype("float64")

    for key, value in wide.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
        assert (np.int64 if key.endswith("count") else np.float64) == value.dtype
    assert (np.float32, np.float64) == (model.dtype, wide.dtype)
    assert np.float64 == wide(images(1, 4, 4, 1)).dtype
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        model.astype(np.float16)


def test_freeze_and_unfreeze():
    """Freezing reaches every parameter of a layer and what is inside it, and no other."""
    model = digits_like()
    model[2].freeze()
    expected = [True] * 3 + [False] * 4 + [True] * 2
    assert expected == [p.trainable for p in model.parameters()]
    model.unfreeze()

    assert all(p.trainable for p in model.parameters())


# ---------------------------------------------------------------- drawing


def weights(model):
    return [p.value.copy() for p in model.parameters() if p.kind == "weight"]


def assert_same(left, right, same=True):
    assert [same] * len(left) == [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]


def two_layers(first=None, second=None, **options):
    return cl.Sequential(cl.Linear(3, 4, rng=first), cl.Linear(4, 3, rng=second), **options)


def test_a_seed_draws_the_same_weights():
    """The same seed, as a number or a generator, gives the same model; another seed another."""
    model = weights(two_layers(rng=0))

    assert_same(model, weights(two_layers(rng=0)))
    assert_same(model, weights(two_layers(rng=np.random.default_rng(0))))
    assert_same(model, weights(two_layers(rng=1)), same=False)


def test_without_a_seed_every_model_is_another():
    """Fresh entropy is the default."""
    assert_same(weights(two_layers()), weights(two_layers()), same=False)


def test_own_generator_goes_before_the_model():
    """A layer with a generator of its own ignores the model's, and the others do not notice."""
    plain, own = weights(two_layers(rng=0)), weights(two_layers(first=7, rng=0))

    assert_same(plain[1:], own[1:])
    assert_same(own[:1], weights(cl.Linear(3, 4, rng=7)))


def test_inner_models_get_their_place_in_layer_order():
    """Nesting changes nothing, and an inner model with a generator of its own keeps to it."""
    flat = weights(two_layers(rng=0))
    nested = cl.Sequential(cl.Sequential(cl.Linear(3, 4)), cl.Linear(4, 3), rng=0)
    inner = two_layers(rng=5)
    outer = cl.Sequential(inner, cl.Linear(3, 2), rng=0)

    assert_same(flat, weights(nested))
    assert_same(weights(two_layers(rng=5)), weights(outer)[:2])


def test_a_model_never_redraws():
    """What was drawn before it became part of a model stays."""
    first = cl.Linear(3, 4)
    before = first.weight.value.copy()
    model = cl.Sequential(first, cl.Linear(4, 3), rng=0)

    np.testing.assert_array_equal(before, weights(model)[0])
    assert_same(weights(two_layers(rng=0))[1:], weights(model)[1:])


def test_order_of_first_use_does_not_matter():
    """A layer that is looked at before its model is used has the weights it would get anyway."""
    model = two_layers(rng=0)
    second = model[1].weight.value.copy()

    np.testing.assert_array_equal(weights(two_layers(rng=0))[1], second)


def test_weights_are_he_normal_and_the_rest_is_constant():
    """Weights have mean 0 and variance 2 / fan-in; biases, gammas and betas are 0, 1 and 0."""
    model = cl.Sequential(
        cl.Conv2d(32, 64, 3, groups=2), cl.BatchNorm(64), cl.Linear(64, 500), rng=0
    )
    conv, norm, linear = model
    for weight, fan_in in ((conv.weight.value, 9 * 16), (linear.weight.value, 64)):
        n = weight.size
        # four standard errors of the mean, and of a variance of normal numbers
        assert abs(weight.mean()) < 4 * np.sqrt(2 / fan_in / n)
        assert abs(weight.var() * fan_in / 2 - 1) < 4 * np.sqrt(2 / n)
    for p, number in ((conv.bias, 0), (norm.gamma, 1), (norm.beta, 0), (linear.bias, 0)):
        np.testing.assert_array_equal(np.full(p.shape, number), p.value)
    assert ["weight", "bias", "norm", "norm", "weight", "bias"] == [
        p.kind for p in model.parameters()
    ]


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
