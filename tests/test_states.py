"""Files of safetensors, and the weights of PyTorch in the layout of a model."""

import json
import re

import numpy as np
import pytest

import convlet as cl
from convlet import models, states
from networks import images

# ---------------------------------------------------------------- safetensors


def a_file(path, header, data=b"", length=None):
    """Write a file with this header, a dict or bytes, and these bytes of arrays."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_file_is_the_documented_one(tmp_path):
    """Header and bytes are those of the format, the widest types first, each at its multiple."""
    path = tmp_path / "x.safetensors"
    states.write_safetensors(
        path, {"b": np.array([True, False]), "ä": np.array([[1.5]], ">f4"), "c": np.array(7)}
    )
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")

    assert 0 == length % 8
    assert {
        "c": entry("I64", (), (0, 8)),
        "ä": entry("F32", (1, 1), (8, 12)),
        "b": entry("BOOL", (2,), (12, 14)),
    } == json.loads(content[8 : 8 + length])
    assert b"\7" + bytes(7) + np.array(1.5, "<f4").tobytes() + b"\1\0" == content[8 + length :]


def test_round_trip_of_a_model_and_its_optimizer(tmp_path):
    """Every array comes back as it was, of its own dtype and writeable, and the states load."""
    model = cl.Sequential(models.digits(rng=0), cl.Dropout(0.5)).astype("float64")
    optimizer = cl.Adam(model.parameters())
    model.vjp(images(4, 8, 8, 1))[1](np.ones((4, 10)))
    optimizer.step()
    for source in (model, optimizer):
        state = source.state_dict()
        states.write_safetensors(tmp_path / "state", state)
        read = states.read_safetensors(tmp_path / "state")
        assert set(state) == set(read)
        for name, value in state.items():
            np.testing.assert_array_equal(value, read[name], strict=isinstance(value, np.ndarray))
            assert read[name].flags.writeable
        source.load_state_dict(read)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "?", *"bhiq", *"BHIQ"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_types_and_shapes(tmp_path, dtype, shape):
    """Every type and shape survives, from any layout."""
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape[::-1]).T.astype(dtype, order="F")
    states.write_safetensors(tmp_path / "x", {"x": x, "y": x[..., ::-1] if shape else x})
    read = states.read_safetensors(tmp_path / "x")

    np.testing.assert_array_equal(x, read["x"], strict=True)
    np.testing.assert_array_equal(x[..., ::-1] if shape else x, read["y"], strict=True)


def test_bfloat16_and_metadata(tmp_path):
    """bfloat16 is the upper half of a float32, and metadata is no array."""
    values = np.array([1.5, -0.25, np.inf], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"__metadata__": {"format": "pt"}, "x": entry("BF16", (3,), (0, 6))}
    read = states.read_safetensors(a_file(tmp_path / "x", header, data))

    assert ["x"] == list(read)
    np.testing.assert_array_equal(values, read["x"], strict=True)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"{", b"", "Expecting"),
        (b"\xff\xfe{}", b"", "decode"),
        (b"[" * 100_000, b"", "recursion"),
        (b"[]", b"", "its header is no object"),
        ({"x": entry()}, bytes(7), "7 bytes of arrays, expected 8"),
        ({"x": entry()}, bytes(9), "9 bytes of arrays, expected 8"),
        ({"x": entry(), "y": entry(offsets=(4, 12))}, bytes(12), "y begins at byte 4, expected 8"),
        ({"x": entry(offsets=(8, 16))}, bytes(16), "x begins at byte 8, expected 0"),
        ({"x": entry(shape=(3,))}, bytes(8), r"x has 8 bytes, expected 12 for F32 \[3\]"),
        ({"x": entry(shape=(-1, -2))}, bytes(8), r"x has the shape \[-1, -2\]"),
        ({"x": entry(shape=(2.0,))}, bytes(8), r"x has the shape \[2.0\]"),
        ({"x": entry("C64")}, bytes(8), "x has the dtype 'C64', expected one of BF16"),
        ({"x": {"dtype": "F32"}}, b"", "the entry of x has no dtype, shape or data_offsets"),
        ({"x": 3}, b"", "the entry of x has no dtype"),
    ],
)
def test_broken_files_are_refused(tmp_path, header, data, message):
    """A file that is not whole, or says what cannot be, is an error with its name."""
    path = a_file(tmp_path / "broken", header, data)
    with pytest.raises(ValueError, match=f"broken: no whole safetensors file: .*{message}"):
        states.read_safetensors(path)


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 8 + b"{}"])
def test_files_without_a_header_are_refused(tmp_path, content):
    """What ends before its header does is no such file."""
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=f"{len(content)} bytes, with a header of"):
        states.read_safetensors(tmp_path / "x")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"x": np.array("text")}, "write_safetensors: x has dtype <U4, expected one of bool"),
        ({"x": np.ones(2, complex)}, "x has dtype complex128"),
        ({"x": np.ma.ones(2)}, "write_safetensors: x is a masked array"),
        ([np.ones(2)], "write_safetensors: expected a state"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, state, message):
    """The error names the array, and comes before the file is made."""
    with pytest.raises(TypeError, match=message):
        states.write_safetensors(tmp_path / "x", state)

    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- PyTorch

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
            "layer 1, BatchNorm(12), follows a Flatten of images",
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
