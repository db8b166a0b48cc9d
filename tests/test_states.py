"""States on their way in and out: by safetensors, and from PyTorch."""

import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import convlet as cl
from convlet import models, states
from convlet.optimizers import EMA
from networks import images


def test_safetensors_keep_the_state_of_a_model(tmp_path):
    """The package takes a state_dict() as it is, and what it reads loads again."""
    model, other = (
        cl.Sequential(models.digits(rng=seed), cl.Dropout(0.5, rng=seed)) for seed in (0, 1)
    )
    model.vjp(images(4, 8, 8, 1).astype(np.float32))
    save_file(model.state_dict(), tmp_path / "state")
    other.load_state_dict(load_file(tmp_path / "state"))

    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name], strict=True)


def test_safetensors_keep_the_state_of_a_training_run(tmp_path):
    """So it does those of an optimizer and of its averaged weights."""
    model = models.digits(rng=0)
    for make in (cl.Adam, cl.AdaGrad, cl.RMSProp, cl.NAdam, cl.Lion, lambda p: cl.SGD(p, 0.1)):
        kept, other = ((make(model.parameters()), EMA(model.parameters(), 0.9)) for _ in range(2))
        kept[0].step()
        kept[1].update()
        assert [np.int64, np.int64] == [k.state_dict()["step"].dtype for k in kept]
        for before, after in zip(kept, other, strict=True):
            save_file(before.state_dict(), tmp_path / "state")
            after.load_state_dict(load_file(tmp_path / "state"))
            for name, value in before.state_dict().items():
                np.testing.assert_array_equal(value, after.state_dict()[name], strict=True)


NORMS = {"gamma": "weight", "beta": "bias", "count": "num_batches_tracked"}


def in_pytorch(model):
    """Return the state of a model as PyTorch has it, each layer under a number of its own."""
    layers = {}
    for key, value in model.state_dict().items():
        path, _, name = key.rpartition(".")
        if name in ("weight", "bias", "gamma", "beta", "running_mean", "running_var", "count"):
            number = layers.setdefault(path, len(layers))
            if value.ndim == 2:
                value = value.T
            elif value.ndim > 2:
                value = np.moveaxis(value, (-1, -2), (0, 1))
            yield f"part{number}.{NORMS.get(name, name)}", value


def drawn(model, seed=0):
    """Return a model whose state is random, with variances above 0."""
    rng = np.random.default_rng(seed)
    state = model.state_dict()
    for name, value in state.items():
        if value.dtype.kind == "f":
            value[...] = rng.random(value.shape)
        elif name.endswith("count"):
            value[...] = rng.integers(9)
    model.load_state_dict(state)
    return model


MODELS = {
    "resnet18": lambda: models.resnet18(10),
    "resnet20, pad": lambda: models.resnet20("pad"),
    "mobilenet_small": models.mobilenet_small,
    "others": lambda: cl.Sequential(
        *(cl.Conv2d(4, 6, (3, 5), groups=2), cl.ConvTranspose2d(6, 4, (2, 3), groups=2)),
        *(cl.GroupNorm(2, 4), cl.InstanceNorm(4, affine=True), cl.Dropout(0.5)),
        *(cl.GlobalAvgPool2d(), cl.Linear(4, 3), cl.LayerNorm(3), cl.BatchNorm.keras(3)),
    ),
    "one dimension": lambda: cl.Sequential(cl.Conv1d(4, 6, 3, groups=2), cl.BatchNorm(6)),
    "one layer": lambda: cl.Linear(3, 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_weights_come_in_order_and_in_their_layout(name):
    """Every array of a state in PyTorch's layout arrives where it came from."""
    source, target = drawn(MODELS[name]()), MODELS[name]()
    before = target.state_dict()
    new = states.from_pytorch(target, dict(in_pytorch(source)))
    target.load_state_dict(new)
    after = target.state_dict()

    for key, value in source.state_dict().items():
        kept = key.endswith((".seed", ".counter"))
        np.testing.assert_array_equal(before[key] if kept else value, after[key], strict=True)


@pytest.mark.parametrize("name", ["a.num_batches_tracked", "weight"])
def test_a_state_of_pytorch_is_sent_to_its_function(name):
    """A state that has PyTorch's names or shapes is refused with the function that converts it."""
    model = cl.Linear(3, 2)
    with pytest.raises(ValueError, match=r"through convlet\.states\.from_pytorch first"):
        model.load_state_dict({"bias": np.zeros(2, np.float32), name: np.zeros((2, 3), np.float32)})
    with pytest.raises(ValueError, match="of another model") as caught:
        model.load_state_dict({"bias": np.zeros(2), "weight": np.zeros((3, 4))})
    assert "from_pytorch" not in str(caught.value)


def test_a_norm_of_whole_images_takes_channels_from_first_to_last():
    """The numbers of a LayerNorm over several axes move with the channels, also in a cube."""
    theirs = {"weight": np.arange(27.0).reshape(3, 3, 3), "bias": np.zeros((3, 3, 3))}
    new = states.from_pytorch(cl.LayerNorm((3, 3, 3)), theirs)

    np.testing.assert_array_equal(theirs["weight"].transpose(1, 2, 0), new["gamma"])

    theirs = {"weight": np.arange(9.0).reshape(3, 3), "bias": np.zeros((3, 3))}
    new = states.from_pytorch(cl.LayerNorm((3, 3)), theirs)

    np.testing.assert_array_equal(theirs["weight"].T, new["gamma"])


def test_what_follows_a_flatten_of_single_pixels_is_free():
    """Channels alone keep their order, for whatever layer."""
    names = ("weight", "bias", "running_mean", "running_var")
    theirs = {f"1.{name}": np.arange(3.0) + i for i, name in enumerate(names)}
    model = cl.Sequential(cl.Flatten(), cl.BatchNorm(3))
    new = states.from_pytorch(model, theirs, shape=(1, 1, 1, 3))

    np.testing.assert_array_equal(theirs["1.weight"], new["1.gamma"])


def test_a_linear_after_flatten_reads_channels_last():
    """Its inputs are sorted anew: it gives what it gave on channels first, in float64 too."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 3, 4, 5), (7, 60), (7,)))
    for dtype, rtol in (("float64", 1e-12), ("float32", 1e-5)):
        model = cl.Sequential(
            cl.ReLU(), cl.Flatten(), cl.Dropout(0.5), cl.ReLU(), cl.Linear(60, 7)
        ).astype(dtype)
        state = states.from_pytorch(model, {"a.weight": w, "a.bias": b}, shape=(2, 4, 5, 3))
        model.load_state_dict(state)
        y = model(x.transpose(0, 2, 3, 1).astype(dtype))

        expected = np.maximum(x, 0).reshape(2, 60) @ w.T + b
        np.testing.assert_allclose(y, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    "layer", [cl.Conv1d(3, 4, 1), cl.MaxPool1d(1), cl.BatchNorm(3), cl.GroupNorm(3, 3)], ids=repr
)
def test_a_linear_after_flattened_sequences_of_channels_reads_channels_last(layer):
    """Its inputs are sorted anew where a layer before had them as (N, C, L) in PyTorch."""
    model = cl.Sequential(
        layer, cl.Flatten(), cl.Linear(5 * (4 if "Conv" in repr(layer) else 3), 2)
    )
    model = drawn(model.astype("float64"))
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    sequences = model[:1](x)
    theirs = dict(in_pytorch(model[:1]))
    flat = sequences.transpose(0, 2, 1).reshape(2, -1)
    w = np.random.default_rng(1).standard_normal((2, flat.shape[1]))
    theirs |= {"9.weight": w, "9.bias": np.ones(2)}
    model.load_state_dict(states.from_pytorch(model, theirs, shape=x.shape))

    np.testing.assert_allclose(model(x), flat @ w.T + 1, rtol=1e-12)


def test_a_linear_after_a_flattened_table_keeps_the_order():
    """Rows of features, which linear layers take, lie in PyTorch as here."""
    rng = np.random.default_rng(0)
    x, w, v = (rng.standard_normal(shape) for shape in ((2, 5, 3), (4, 3), (7, 20)))
    model = cl.Sequential(
        *(cl.Linear(3, 4, use_bias=False), cl.Flatten(), cl.Linear(20, 7, use_bias=False))
    ).astype("float64")
    theirs = {"a.weight": w, "b.weight": v}
    model.load_state_dict(states.from_pytorch(model, theirs, shape=x.shape))

    np.testing.assert_allclose(model(x), (x @ w.T).reshape(2, 20) @ v.T, rtol=1e-12)


CONV = {"a.weight": np.zeros((4, 3, 2, 2)), "a.bias": np.zeros(4)}


class Own(cl.Layer):
    parameter_names = ("weight",)

    def __init__(self):
        self.weight = cl.Parameter(np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("model", "state", "options", "error", "message"),
    [
        (cl.Conv2d(3, 4, 2), None, {}, TypeError, "expected a state as state_dict() returns"),
        (cl.Conv2d(3, 4, 2), {}, {}, ValueError, "expected 1 layers with weights, as the model ha"),
        (cl.Conv2d(3, 4, 2), CONV | {"b.x": 1}, {}, ValueError, "got 2: a, b"),
        (
            cl.Conv2d(3, 5, 2),
            CONV,
            {},
            ValueError,
            "a.weight of shape (4, 3, 2, 2) does not fit weight of Conv2d(3, 5, 2)\n  a.bias of ",
        ),
        (cl.Linear(3, 4), CONV, {}, ValueError, "a.weight of shape (4, 3, 2, 2) does not fit"),
        (
            cl.Conv2d(3, 4, 2, use_bias=False),
            CONV,
            {},
            ValueError,
            "unexpected a.bias, of Conv2d(3, 4, 2, use_bias=False)",
        ),
        (
            cl.Sequential(cl.BatchNorm(4)),
            {"b.weight": np.ones(4)},
            {},
            ValueError,
            "missing b.bias, for 0.beta of BatchNorm(4)\n  missing b.running_mean",
        ),
        (
            Own(),
            {"weight": np.ones(2)},
            {},
            ValueError,
            "Own(...) has no counterpart that is known",
        ),
        (
            cl.Sequential(cl.Flatten(), cl.Linear(12, 4)),
            {"a.weight": np.ones((4, 12)), "a.bias": np.ones(4)},
            {},
            ValueError,
            "give the shape of x, such as shape=(1, 28, 28, 1)",
        ),
        (
            cl.Sequential(cl.Flatten(), cl.BatchNorm(12), cl.Linear(12, 4)),
            dict.fromkeys(("a.weight", "b.weight"), np.ones(12)),
            {"shape": (1, 2, 2, 3)},
            ValueError,
            "layer 1, BatchNorm(12), follows a Flatten with channels",
        ),
    ],
)
def test_what_does_not_fit_is_named(model, state, options, error, message):
    """Differences are listed by the names of both, and the model stays as it is."""
    before = model.state_dict()
    with pytest.raises(error, match=re.escape(message)):
        states.from_pytorch(model, state, **options)

    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(before[key], value)
