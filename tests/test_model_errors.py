"""Bad input to layers and models: a clear error, and nothing written, however deep the fault."""

import copy
import re

import numpy as np
import pytest

import convlet as cl


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def deep(*layers):
    """Put layers deep into a model of 4 channels whose first layers have something to lose."""
    return cl.Sequential(
        cl.Conv2d(2, 4, 3, padding=1),
        cl.BatchNorm(4),
        cl.Residual(cl.Sequential(cl.BatchNorm(4), cl.Sequential(*layers)), cl.Conv2d(4, 4, 1)),
        rng=0,
    )


PLACE = "layer 2 of Sequential, body of Residual, layer 1 of Sequential, layer {} of Sequential, {}"


def snapshot(model, *optimizers):
    """Everything that a failing call could have written to."""
    parts = [model.state_dict(), *(optimizer.state_dict() for optimizer in optimizers)]
    numbers = {
        f"{i}.{key}": np.copy(value) for i, d in enumerate(parts) for key, value in d.items()
    }
    grads = {f"grad {i}": p.grad.copy() for i, p in enumerate(model.parameters())}
    return numbers | grads | {"trainable": [p.trainable for p in model.parameters()]}


def assert_untouched(before, *now):
    after = snapshot(*now)
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key], err_msg=key)


def trained(model, x):
    """Train one step, so that nothing is at its beginning; leaves gradients behind."""
    optimizer = cl.Adam(model.parameters(), lr=1e-3)
    y, pullback = model.vjp(x)
    pullback(np.ones_like(y))
    optimizer.step()
    return optimizer


# ---------------------------------------------------------------- shapes and types at the doors

DOORS = {
    "inference": lambda model, x: model(x),
    "training": lambda model, x: model.vjp(x),
    "training, no input gradient": lambda model, x: model.vjp(x, input_grad=False),
}

BAD_INPUTS = {
    "channels first": (
        zeros(3, 2, 8, 9),
        ValueError,
        "layer 0 of Sequential, Conv2d(2, 4, 3, padding=1): expected x of shape (N, H, W, 2), "
        "2 channels last, got (3, 2, 8, 9); it looks channels-first (N, C, H, W): "
        "use x.transpose(0, 2, 3, 1)",
    ),
    "channels": (zeros(3, 8, 9, 5), ValueError, "got (3, 8, 9, 5); give x 2 channels"),
    "single image": (
        zeros(8, 9, 2),
        ValueError,
        "(N, H, W, 2), 4 axes, got (8, 9, 2); give a single image a first axis by x[np.newaxis]",
    ),
    "rank 3": (zeros(3, 8, 9), ValueError, "(N, H, W, 2), 4 axes, got (3, 8, 9)"),
    "rank 2": (zeros(8, 2), ValueError, "(N, H, W, 2), 4 axes, got (8, 2)"),
    "rank 5": (zeros(1, 2, 8, 9, 2), ValueError, "4 axes, got (1, 2, 8, 9, 2)"),
    "no rows": (zeros(3, 0, 9, 2), ValueError, "expected at least 3 rows with padding"),
    "float64": (
        zeros(3, 8, 9, 2, dtype=np.float64),
        TypeError,
        "expected x of float32, as its parameters are, got float64; use x.astype(np.float32), or "
        "the layer's astype(np.float64)",
    ),
    "uint8": (zeros(3, 8, 9, 2, dtype=np.uint8), TypeError, "uint8, expected float32"),
    "float16": (zeros(3, 8, 9, 2, dtype=np.float16), TypeError, "float16, expected float32"),
    "complex": (zeros(3, 8, 9, 2, dtype=complex), TypeError, "complex128"),
    "None": (None, TypeError, "Sequential: x"),
    "a list": ([[1.0]], TypeError, "Sequential: x"),
    "masked": (np.ma.zeros((3, 8, 9, 2), np.float32), TypeError, "masked"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_to_a_model(name, door):
    """What the first layer cannot take is refused with its name, the expected and the got."""
    model = deep(cl.ReLU())
    optimizer = trained(model, np.ones((3, 8, 9, 2), np.float32))
    before = snapshot(model, optimizer)
    x, error, message = BAD_INPUTS[name]
    with pytest.raises(error, match=re.escape(message)):
        DOORS[door](model, x)

    assert_untouched(before, model, optimizer)


DEEP_FAULTS = {
    "channels": ([cl.ReLU(), cl.Conv2d(3, 4, 1)], 1, "expected x of shape (N, H, W, 3)"),
    "norm channels": ([cl.BatchNorm(8)], 0, "expected x of shape (N, ..., 8)"),
    "kernel": (
        [cl.Conv2d(4, 4, 7)],
        0,
        "expected at least 7 rows with padding, got 0 + 6 + 0; use larger images, more padding or",
    ),
    "kernel and dilation": ([cl.Conv2d(4, 4, 3, dilation=3, padding=(1, 0))], 0, "7 columns"),
    "pool": ([cl.MaxPool2d((2, 6), padding=0)], 0, "expected at least 6 columns"),
    "average pool": ([cl.AvgPool2d(7, padding=0)], 0, "expected at least 7 rows"),
    "pool padding": (
        [cl.MaxPool2d(3, dilation=2, padding="same")],
        0,
        "at most half of the kernel, 1, got 2",
    ),
    "rank": ([cl.Flatten(), cl.Conv2d(4, 4, 1)], 1, "(N, H, W, 4), 4 axes, got (3, 120)"),
    "rank of a pool": ([cl.Flatten(), cl.GlobalAvgPool2d()], 1, "4 axes, got (3, 120)"),
    "features": (
        [cl.Flatten(), cl.Linear(99, 4)],
        1,
        "expected x of shape (N, 99), got (3, 120); x has 120 features per example: "
        "Linear(120, ...)",
    ),
    "not flattened": ([cl.Linear(120, 4)], 0, "put Flatten() before this layer"),
    "features of pixels": (
        [cl.Linear(99, 4)],
        0,
        "x has 4 features on its last axis, and 120 after Flatten()",
    ),
    "axis": ([cl.Softmax(axis=4)], 0, "at least one class on axis 4"),
    "dtype": (
        [cl.ReLU(), cl.Conv2d(4, 4, 1).astype("float64")],
        1,
        "expected x of float64, as its parameters are, got float32; use x.astype(np.float64)",
    ),
    "dtype of a norm": ([cl.BatchNorm(4, affine=False).astype("float64")], 0, "float64"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", DEEP_FAULTS)
def test_fault_deep_inside_a_model(name, door):
    """A layer that does not fit is named with its place before the first layer runs."""
    layers, index, message = DEEP_FAULTS[name]
    model = deep(*layers)
    x = np.random.default_rng(0).standard_normal((3, 6, 5, 2)).astype(np.float32)
    trained(cl.Sequential(*model[:2]), x)
    before = snapshot(model)
    place = PLACE.format(index, repr(layers[index]))
    with pytest.raises((ValueError, TypeError)) as caught:
        DOORS[door](model, x)

    assert str(caught.value).startswith(f"{place}: ")
    assert message in str(caught.value)
    assert_untouched(before, model)


def test_branches_of_different_shapes():
    """A residual whose branches do not meet names both shapes and the cure."""
    model = cl.Sequential(cl.BatchNorm(2), cl.Residual(cl.Conv2d(2, 4, 1)))
    x = np.ones((2, 3, 3, 2), np.float32)
    before = snapshot(model)
    message = "layer 1 of Sequential, Residual: expected body and x to have the same shape, got "
    for door in DOORS.values():
        with pytest.raises(ValueError, match=message + r"\(2, 3, 3, 4\) and \(2, 3, 3, 2\).*1x1"):
            door(model, x)

    assert_untouched(before, model)
    with pytest.raises(ValueError, match="body and shortcut"):
        cl.Residual(cl.Conv2d(2, 4, 1), cl.Conv2d(2, 3, 1))(x)


@pytest.mark.parametrize("layer", [cl.Conv1d(4, 6, 3), cl.BatchNorm(4), cl.GroupNorm(2, 4)])
def test_sequences_with_channels_first(layer):
    """Sequences in the layout of PyTorch are recognised, as images are."""
    message = "4 channels last, got (2, 4, 7); it looks channels-first (N, C, L): use x.transpose"
    for door in DOORS.values():
        with pytest.raises(ValueError, match=re.escape(message)):
            door(layer, zeros(2, 4, 7))


def test_a_single_example_for_a_linear_layer():
    """One example without a first axis is told to get one."""
    message = "expected x of shape (N, 5), got (5,); give a single example a first axis"
    with pytest.raises(ValueError, match=re.escape(message)):
        cl.Linear(5, 2)(zeros(5))


@pytest.mark.parametrize("pool", [cl.MaxPool2d, cl.AvgPool2d])
def test_padding_beyond_half_of_a_pool_is_refused_at_once(pool):
    """No image suits such a pool, so it cannot be made; half of the kernel can."""
    message = "expected padding of at most half of the kernel, 1 for a kernel of 2, got 2"
    for padding in (2, (0, 2), ((0, 0), (2, 0))):
        with pytest.raises(ValueError, match=f"{pool.__name__}: {message}"):
            pool((5, 2), padding=padding)

    assert (1, 4, 3, 1) == pool((5, 2), stride=2, padding=(2, 1)).output_shape((1, 7, 4, 1))


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("eval", "model(x) infers, model.vjp(x) trains"),
        ("fit", "convlet.training.fit(model, optimizer, x, y"),
        ("predict_proba", "convlet.softmax(model(x))"),
        ("requires_grad_", "model.freeze()"),
        ("save_weights", "np.savez(file, **model.state_dict())"),
        ("layers", "list(model)"),
    ],
)
def test_names_of_other_libraries_get_an_answer(name, cure):
    """A method that other libraries have is an AttributeError that says what is in its place."""
    model = deep(cl.ReLU())
    with pytest.raises(AttributeError, match=re.escape(cure)) as caught:
        getattr(model, name)

    assert str(caught.value).startswith(f"'Sequential' object has no attribute {name!r}; ")
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=r"'Sequential' object has no attribute 'weigth'$"):
        model.weigth  # noqa: B018


@pytest.mark.parametrize("name", ["training", "requires_grad"])
def test_modes_of_other_libraries_cannot_be_set(name):
    """What would be ignored is refused."""
    with pytest.raises(AttributeError, match=f"ReLU: {name} cannot be set; .*model.*"):
        setattr(cl.ReLU(), name, False)


# ---------------------------------------------------------------- batch norm


@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (0, 5, 5, 4), (1, 4)])
def test_batch_norm_needs_two_values(shape):
    """One value per channel has no variance: the training door names layer, shape and cures."""
    layer = cl.BatchNorm(4)
    before = snapshot(layer)
    message = r"BatchNorm\(4\): expected at least two values per channel .* larger batch.*freeze"
    with pytest.raises(ValueError, match=message) as caught:
        layer.vjp(zeros(*shape))

    assert str(shape) in str(caught.value)
    assert_untouched(before, layer)
    assert shape == layer(zeros(*shape)).shape
    layer.freeze()
    assert shape == layer.vjp(zeros(*shape))[0].shape


def test_batch_norm_on_one_value_deep_inside():
    """The check comes before the norms in front of it have seen the batch."""
    model = deep(cl.Conv2d(4, 4, (6, 5)), cl.BatchNorm(4))
    before = snapshot(model)
    x = np.ones((1, 6, 5, 2), np.float32)
    with pytest.raises(ValueError, match=re.escape(PLACE.format(1, "BatchNorm(4): "))):
        model.vjp(x)

    assert_untouched(before, model)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "weights"])
@pytest.mark.parametrize("fuse", [True, False])
def test_statistics_that_are_not_finite(bad, where, fuse):
    """The norm that meets them is named, and no norm before it has moved its statistics."""
    model = deep(cl.Conv2d(4, 4, 1), cl.BatchNorm(4))
    x = np.random.default_rng(0).standard_normal((3, 6, 5, 2)).astype(np.float32)
    optimizer = trained(model, x)
    if where == "x":
        x[1, 2, 3, 0] = bad
        place = "layer 1 of Sequential, BatchNorm(4): "
    else:
        model[2].body[1][0].bias.value[2] = bad
        place = PLACE.format(1, "BatchNorm(4): ")
    before = snapshot(model, optimizer)
    with pytest.raises(FloatingPointError, match=re.escape(place)), cl.options(fuse=fuse):
        model.vjp(x)

    assert_untouched(before, model, optimizer)


def test_variance_beyond_float32():
    """A variance that the running statistics cannot hold is not finite either."""
    layer = cl.BatchNorm(1)
    x = np.array([[1e30], [-1e30]], np.float32)
    before = snapshot(layer)
    with pytest.raises(FloatingPointError, match=r"BatchNorm\(1\)"), np.errstate(all="ignore"):
        layer.vjp(x)

    assert_untouched(before, layer)


@pytest.mark.parametrize("ask", ["output_shape", "summary", "plan"])
@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (8, TypeError, "Sequential: shape must be a tuple of sizes, got 8"),
        ((None, 6, 5, 2), TypeError, "Sequential: shape[0] must be an integer, got None"),
        ((-1, 6, 5, 2), ValueError, "Sequential: shape[0] must be at least 0, got -1"),
        ((3, 6.0, 5, 2), TypeError, "Sequential: shape[1] must be an integer, got 6.0"),
        (np.ones(3), TypeError, "Sequential: shape must be a tuple of sizes, got an array"),
        (
            (6, 5, 2),
            ValueError,
            "layer 0 of Sequential, Conv2d(2, 4, 3, padding=1): expected x of shape (N, H, W, 2), "
            "4 axes, got (6, 5, 2)",
        ),
    ],
)
def test_questions_about_a_shape(ask, shape, error, message):
    """A shape to ask about is held to the same as that of an array."""
    with pytest.raises(error, match=re.escape(message)):
        getattr(deep(cl.ReLU()), ask)(shape)


# ---------------------------------------------------------------- pullbacks


def test_pullback_called_twice():
    """The second call is an error, and adds nothing."""
    model = deep(cl.ReLU())
    y, pullback = model.vjp(np.ones((3, 6, 5, 2), np.float32))
    pullback(y)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match=r"pullback of Sequential.*called before.*vjp"):
        pullback(y)

    assert_untouched(before, model)


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (zeros(3, 6, 5, 3), ValueError, "expected dy of shape (3, 6, 5, 4), as y has, got"),
        (zeros(6, 5, 4), ValueError, "got (6, 5, 4)"),
        (zeros(3, 6, 5, 4, dtype=np.float64), TypeError, "expected dy of float32, as y is, got"),
        (zeros(3, 6, 5, 4, dtype=int), TypeError, "int64"),
        (None, TypeError, "pullback of Sequential: dy"),
        (0.5, TypeError, "(3, 6, 5, 4), as y has, got the number 0.5; a loss returns it beside"),
        (np.ma.zeros((3, 6, 5, 4), np.float32), TypeError, "masked"),
    ],
)
def test_pullback_of_something_else(dy, error, message):
    """A dy unlike y is refused, and the pullback can still be called with the right one."""
    model = deep(cl.ReLU())
    y, pullback = model.vjp(np.ones((3, 6, 5, 2), np.float32))
    before = snapshot(model)
    with pytest.raises(error, match=re.escape(message)):
        pullback(dy)

    assert_untouched(before, model)
    assert (3, 6, 5, 2) == pullback(y).shape


# ---------------------------------------------------------------- labels and state


@pytest.mark.parametrize("label", [-1, 10, 2**40])
def test_label_out_of_range(label):
    """Label, index and range are named; model, gradients and optimizer are as before."""
    model = cl.Sequential(*deep()[:2], cl.GlobalAvgPool2d(), cl.Linear(4, 10), rng=0)
    x = np.random.default_rng(0).standard_normal((3, 6, 5, 2)).astype(np.float32)
    optimizer = trained(model, x)
    logits, _ = model.vjp(x)
    before, kept = snapshot(model, optimizer), logits.copy()
    with pytest.raises(ValueError, match=f"{label} at index 1, expected labels from 0 to 9"):
        cl.softmax_cross_entropy(logits, np.array([0, label, 2]))

    assert_untouched(before, model, optimizer)
    np.testing.assert_array_equal(kept, logits)


def test_mismatched_state_dict():
    """Everything that does not fit is listed in one error, and nothing is loaded."""
    model = deep(cl.Linear(4, 4))
    optimizer = trained(model, np.ones((3, 6, 5, 2), np.float32))
    before = snapshot(model, optimizer)
    state = {key: value + 1 for key, value in model.state_dict().items()}
    del state["0.bias"], state["2.body.0.count"]
    state["2.shortcut.weight"] = zeros(1, 1, 4, 3)
    state["1.running_var"] = zeros(4, dtype=np.float64)
    state["1.count"] = np.float32(3)
    state["9.weight"] = zeros(1)
    with pytest.raises(ValueError, match="Sequential: the state is of another model") as caught:
        model.load_state_dict(state)

    assert [
        "missing 0.bias",
        "missing 2.body.0.count",
        "unexpected 9.weight",
        "1.running_var: expected float32, got float64",
        "1.count: expected int64, got float32",
        "2.shortcut.weight: expected shape (1, 1, 4, 4), got (1, 1, 4, 3)",
    ] == [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert_untouched(before, model, optimizer)


# ---------------------------------------------------------------- options

BAD_OPTIONS = [
    (lambda: cl.Conv2d(1, 2, 3, stride=0), ValueError, "Conv2d: stride must be at least 1, got 0"),
    (lambda: cl.Conv2d(1, 2, 3, stride=(1, -1)), ValueError, "stride must be at least 1, got -1"),
    (lambda: cl.Conv2d(1, 2, 3, padding=-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: cl.Conv2d(1, 2, 3, padding=((0, 0), (0, -2))), ValueError, "padding .* got -2"),
    (lambda: cl.Conv2d(1, 2, 3, padding="full"), ValueError, "'same_lower', got 'full'"),
    (lambda: cl.Conv2d(1, 2, 3, padding=(1, 2, 3)), ValueError, "Conv2d: padding"),
    (lambda: cl.Conv2d(1, 2, 0), ValueError, "Conv2d: kernel_size must be at least 1"),
    (lambda: cl.Conv2d(1, 2, 3.0), TypeError, "kernel_size must be an integer, got 3.0"),
    (lambda: cl.Conv2d(1, 2, 3, stride=True), TypeError, "stride must be an integer, got True"),
    (lambda: cl.Conv2d(1, 2, (3, 3, 3)), ValueError, "kernel_size must be an integer or a pair"),
    (lambda: cl.Conv2d(1, 2, 3, dilation=0), ValueError, "dilation must be at least 1"),
    (lambda: cl.Conv2d(0, 2, 3), ValueError, "in_channels must be at least 1"),
    (lambda: cl.Conv2d(1, 2**40, 3), ValueError, "out_channels must be at most"),
    (lambda: cl.Conv2d(4, 6, 3, groups=4), ValueError, "divide 4 input and 6 output channels"),
    (lambda: cl.Conv2d(4, 6, 3, groups=0), ValueError, "groups must be at least 1"),
    (lambda: cl.Conv2d(1, 2, 3, activation="gelu"), ValueError, "'leaky_relu', slope.* 'gelu'"),
    (lambda: cl.Conv2d(1, 2, 3, algorithm="fft"), ValueError, "'im2col'.* got 'fft'"),
    (lambda: cl.Linear(0, 2), ValueError, "Linear: in_features must be at least 1"),
    (lambda: cl.Linear(2, "3"), TypeError, "Linear: out_features must be an integer, got '3'"),
    (lambda: cl.BatchNorm(0), ValueError, "BatchNorm: channels must be at least 1"),
    (lambda: cl.BatchNorm(2, eps=0), ValueError, "BatchNorm: expected a finite eps above 0, got 0"),
    (lambda: cl.BatchNorm(2, eps=np.nan), ValueError, "eps above 0, got nan"),
    (lambda: cl.BatchNorm(2, momentum=1.5), ValueError, "momentum from 0 to 1, got 1.5"),
    (lambda: cl.BatchNorm(2, momentum="high"), TypeError, "momentum must be a number, got 'high'"),
    (lambda: cl.BatchNorm(2, running_var="n"), ValueError, "'unbiased' or 'biased', got 'n'"),
    (lambda: cl.MaxPool2d(2, stride=0), ValueError, "MaxPool2d: stride must be at least 1"),
    (lambda: cl.MaxPool2d(2, padding=-1), ValueError, "MaxPool2d: padding must be at least 0"),
    (lambda: cl.AvgPool2d(2.5), TypeError, "AvgPool2d: kernel_size must be an integer"),
    (lambda: cl.Softmax(axis="c"), TypeError, "Softmax: axis must be an integer"),
    (
        lambda: cl.Sequential([cl.ReLU()]),
        TypeError,
        r"position 0, got list.*Sequential\(\*layers\)",
    ),
    (lambda: cl.Sequential(cl.ReLU(), cl.ReLU), TypeError, "position 1, got type"),
    (lambda: cl.Residual(None), TypeError, "Residual: expected a layer as its body, got NoneType"),
    (lambda: cl.Residual(cl.ReLU(), 3), TypeError, "layer as its shortcut, got int"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_OPTIONS)
def test_options_that_make_no_layer(make, error, message):
    """An option out of range is refused at once, with the layer, the option and the value."""
    with pytest.raises(error, match=message):
        make()


def test_integers_of_numpy_are_integers():
    """NumPy's integers are as good as Python's."""
    layer = cl.Conv2d(np.int64(2), np.int32(4), np.int8(3), stride=(np.int16(2), 1))

    assert "Conv2d(2, 4, 3, stride=(2, 1))" == repr(layer)


def test_a_model_works_after_every_error():
    """After a row of failed calls a model computes what its untouched twin does."""
    model = deep(cl.ReLU())
    twin = copy.deepcopy(model)
    x = np.random.default_rng(0).standard_normal((3, 6, 5, 2)).astype(np.float32)
    for bad, error, _ in BAD_INPUTS.values():
        with pytest.raises(error):
            model.vjp(bad)
    for m in (model, twin):
        y, pullback = m.vjp(x)
        pullback(y)

    assert_untouched(snapshot(twin), model)


@pytest.mark.parametrize(
    ("layer", "name", "value", "message"),
    [
        (
            cl.Conv2d(3, 4, 3),
            "stride",
            2,
            r"Conv2d: expected stride to be set to a tuple, .*\(1, 1\)",
        ),
        (cl.MaxPool1d(2), "stride", 2, r"MaxPool1d: expected stride to be .*\(1, 2\)"),
        (cl.MaxPool2d(2), "kernel_size", 3, "MaxPool2d: expected kernel_size to be"),
        (cl.Conv2d(3, 4, 3), "padding", 1, "Conv2d: expected padding to be"),
        (cl.Conv2d(3, 4, 3), "dilation", 2, "Conv2d: expected dilation to be"),
        (cl.ConvTranspose2d(3, 4, 3), "output_padding", 0, "expected output_padding to be"),
        (cl.Upsample2d(2), "scale", 3, "Upsample2d: expected scale to be"),
        (cl.BatchNorm(3), "eps", -1, "BatchNorm: expected a finite eps above 0, got -1"),
        (cl.LayerNorm(3), "eps", 0.0, "LayerNorm: expected a finite eps above 0"),
        (cl.BatchNorm(3), "momentum", 7, "BatchNorm: expected a momentum from 0 to 1, got 7"),
    ],
)
def test_options_that_no_constructor_keeps_cannot_be_set(layer, name, value, message):
    """An option is replaced by what the constructor would have made of it, or not at all."""
    before = getattr(layer, name)
    with pytest.raises((TypeError, ValueError), match=message):
        setattr(layer, name, value)
    assert before == getattr(layer, name)


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (cl.Conv2d(3, 4, 3), "stride", (2, 1)),
        (cl.Conv2d(3, 4, 3), "padding", "same"),
        (cl.BatchNorm(3, momentum=None), "momentum", 0.0),
        (cl.BatchNorm(3), "momentum", 1.0),
        (cl.BatchNorm(3), "momentum", None),
    ],
)
def test_options_that_a_constructor_keeps_can_be_set(layer, name, value):
    """The ends of a range, a rule of padding, and None where it means something."""
    setattr(layer, name, value)

    assert value == getattr(layer, name)


def test_attributes_of_a_layer_of_ones_own_are_its_own():
    """What is called as an option of convlet's layers may be anything there."""

    class Strided(cl.Layer):
        pass

    layer = Strided()
    for value in (2, 7, -1):
        layer.stride = layer.momentum = layer.eps = value

    assert (-1, -1, -1) == (layer.stride, layer.momentum, layer.eps)
