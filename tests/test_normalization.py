"""What all norms promise: accuracy far from 0, the same bits; and batch norm's conventions."""

import copy
import pickle

import numpy as np
import pytest

import convlet as cl
from convlet import ops, reference
from same_bits import assert_same_bits, needs_fma

# ---------------------------------------------------------------- accuracy in float32


def batch(x):
    return ops.batch_norm(x, *affine(x.shape[-1]))


def grouped(groups):
    return lambda x: ops.group_norm(x, *affine(x.shape[-1]), groups=groups)


def affine(channels):
    rng = np.random.default_rng(channels)
    return rng.uniform(-1, 1, (2, channels)).astype(np.float32)


NORMS = {
    "batch": (batch, (6, 28, 28, 12), lambda x, g, b: reference.batch_norm(x, g, b)),
    "batch of rows": (batch, (500, 40), lambda x, g, b: reference.batch_norm(x, g, b)),
    "group": (
        grouped(4),
        (3, 40, 40, 12),
        lambda x, g, b: reference.group_norm(x, g, b, groups=4),
    ),
    "instance": (
        grouped(12),
        (3, 40, 40, 12),
        lambda x, g, b: reference.group_norm(x, g, b, groups=12),
    ),
    "layer": (
        lambda x: ops.layer_norm(x, *affine(x.shape[-1])),
        (9, 700),
        lambda x, g, b: reference.layer_norm(x, g, b),
    ),
    "layer of images": (
        lambda x: ops.group_norm(x, *affine(x.shape[-1]), groups=1),
        (2, 64, 64, 5),
        lambda x, g, b: reference.group_norm(x, g, b, groups=1),
    ),
}


def outlier_first(x):
    x[0, ..., :] = 0
    x.reshape(-1, x.shape[-1])[0] = 3000
    return x


def zeros_first(x):
    """A border of zeros, and then values far from it."""
    x = x + 1000
    x.reshape(len(x), -1, x.shape[-1])[:, : max(1, x[0].size // x.shape[-1] // 20)] = 0
    return x


DATA = {
    "mean of 0 deviations": lambda x: x,
    "mean of 10 deviations": lambda x: 10 + x,
    "mean of 1000 deviations": lambda x: 1000 + x,
    "mean of -1000 small deviations": lambda x: -10 + 0.01 * x,
    "one outlier, at the front": outlier_first,
    "zeros at the front, then 1000": zeros_first,
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("norm", NORMS)
def test_float32_is_accurate_far_from_zero(norm, data):
    """Variance to 1e-6 of itself, mean to 1e-6 of a deviation beside its own rounding, y to 1e-5.

    The chain of float32 squares that meets an outlier of some 60 deviations loses the small ones
    after it, at most 64 (order.h): twice as much is allowed there.
    """
    function, shape, definition = NORMS[norm]
    x = np.random.default_rng(3).standard_normal(shape)
    x = DATA[data](x).astype(np.float32)
    y, mean, var = function(x)
    wide = [a.astype(np.float64) for a in (x, *affine(shape[-1]))]
    wide_y, wide_mean, wide_var = definition(*wide)

    assert (np.abs(var - wide_var) <= (2e-6 if "outlier" in data else 1e-6) * wide_var).all()
    rounding = np.abs(wide_mean) * 2.0**-24
    assert (np.abs(mean - wide_mean) <= 1e-6 * np.sqrt(wide_var) + rounding).all()
    # A normalised outlier is the square root of the number of values: y is held relative to it.
    assert np.abs(y - wide_y).max() <= 1e-5 * max(1, np.abs(wide_y).max() / 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", NORMS)
def test_constant_values_give_exactly_beta(norm, dtype):
    """Where nothing varies, y is beta to the bit, whatever the value."""
    shape = NORMS[norm][1]
    for value in (0.1, -1e6 / 3, 1e-20):
        x = np.full(shape, value, dtype)
        gamma, beta = (a.astype(dtype) for a in affine(shape[-1]))
        if norm.startswith("batch"):
            y, _, var = ops.batch_norm(x, gamma, beta)
        elif norm == "layer":
            y, _, var = ops.layer_norm(x, gamma, beta)
        else:
            groups = {"group": 4, "instance": 12, "layer of images": 1}[norm]
            y, _, var = ops.group_norm(x, gamma, beta, groups=groups)

        np.testing.assert_array_equal(y, np.broadcast_to(beta, shape))
        assert not var.any()


# ---------------------------------------------------------------- the same bits

PROGRAM = """
import hashlib
import numpy as np
from convlet import _core, ops

sums = []
cases = [((9, 9, 9, 65), 13), ((2, 45, 40, 24), 24), ((3, 61, 50, 3), 1), ((70, 257), 1)]
for shape, groups in cases:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape)).astype("{dtype}")
    x[0, 0] += 100
    gamma, beta = rng.standard_normal((2, shape[-1])).astype("{dtype}")
    norm = ops.group_norm(x, gamma, beta, groups=groups)
    gradients = ops.group_norm_backward(dy, x, gamma, *norm[1:])
    rows = ops.layer_norm(x, gamma, beta)
    row_gradients = ops.layer_norm_backward(dy, x, gamma, *rows[1:])
    digest = hashlib.sha256()
    for a in (*norm, *gradients, *rows, *row_gradients, *ops.batch_norm(x, gamma, beta)):
        digest.update(a.tobytes())
    sums.append(digest.hexdigest())
print(_core.isa(), *sums)
"""


@needs_fma
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_give_the_same_bits(dtype):
    """Values, statistics and gradients agree for 1, 2 and 3 threads on every level."""
    assert_same_bits(PROGRAM.replace("{dtype}", dtype))


# ---------------------------------------------------------------- batch norm's conventions


def images(*shape, seed=1, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_cumulative_average_weighs_all_batches_equally():
    """momentum=None keeps the plain mean of the batches' statistics."""
    layer = cl.BatchNorm(3, momentum=None).astype("float64")
    batches = [2 + 3 * images(4, 5, 3, seed=seed, dtype=np.float64) for seed in range(5)]
    for x in batches:
        layer.vjp(x)

    means = [x.mean(axis=(0, 1)) for x in batches]
    variances = [x.var(axis=(0, 1), ddof=1) for x in batches]
    np.testing.assert_allclose(layer.running_mean, np.mean(means, axis=0), rtol=1e-13)
    np.testing.assert_allclose(layer.running_var, np.mean(variances, axis=0), rtol=1e-13)
    assert layer.count == 5
    assert repr(layer) == "BatchNorm(3, momentum=None)"


def test_a_norm_used_twice_moves_its_statistics_twice():
    """The second use moves them on from where the first one has left them."""
    norm = cl.BatchNorm(2, momentum=0.25).astype("float64")
    x = 3 + images(6, 2, dtype=np.float64)
    cl.Sequential(norm, norm).vjp(x)

    # the second one sees means of 0
    np.testing.assert_allclose(norm.running_mean, 0.75 * 0.25 * x.mean(axis=0), rtol=1e-12)
    assert norm.count == 2


def test_statistics_of_another_dtype_or_layout_move_alike():
    """Arrays that a user has assigned move as the layer's own do."""
    own, assigned = cl.BatchNorm(3), cl.BatchNorm(3)
    assigned.running_mean, assigned.running_var = np.zeros(3), np.ones(6, np.float32)[::2]
    for layer in (own, assigned):
        layer.vjp(images(4, 5, 3))

    np.testing.assert_array_equal(own.running_mean, assigned.running_mean)
    np.testing.assert_array_equal(own.running_var, assigned.running_var)


@pytest.mark.parametrize(
    ("make", "momentum", "eps"), [(cl.BatchNorm.keras, 0.99, 1e-3), (cl.BatchNorm.onnx, 0.9, 1e-5)]
)
def test_conventions_of_keras_and_onnx(make, momentum, eps):
    """momentum weighs the old value and the variance that is kept is the biased one."""
    layer = make(3).astype("float64")
    x = 2 + 3 * images(4, 5, 3, dtype=np.float64)
    y, _ = layer.vjp(x)

    mean, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + eps), rtol=1e-10)
    np.testing.assert_allclose(layer.running_mean, (1 - momentum) * mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_var, momentum + (1 - momentum) * var, rtol=1e-13)


def test_a_count_below_zero_is_refused():
    """It is no state that a layer can have had, and as a divisor would fail much later."""
    layer = cl.BatchNorm(4, momentum=None)
    with pytest.raises(ValueError, match="count: expected at least 0, got -1"):
        layer.load_state_dict(layer.state_dict() | {"count": np.array(-1)})
    assert 0 == layer.count


@pytest.mark.parametrize(
    "text",
    [
        "BatchNorm(4)",
        "BatchNorm(4, momentum=0.2, running_var='biased')",
        "BatchNorm.keras(4)",
        "BatchNorm.keras(4, eps=0.1, momentum=0.7, affine=False)",
        "BatchNorm.onnx(4)",
        "BatchNorm.onnx(4, momentum=0.5)",
    ],
)
def test_the_convention_survives_copies(text):
    """Representation, pickle, deep copy, astype and state all keep it."""
    layer = eval(f"cl.{text}")
    layer.vjp(images(3, 4))
    fresh = eval(f"cl.{text}")
    fresh.load_state_dict(layer.state_dict())
    others = [fresh, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    others.append(layer.astype("float64").astype("float32"))

    for other in others:
        assert repr(other) == repr(layer) == text
        assert (other.convention, other.kept_variance) == (layer.convention, layer.kept_variance)
        layer_copy, x = copy.deepcopy(layer), images(5, 4, seed=2)
        for each in (layer_copy, other):
            each.vjp(x)
        np.testing.assert_array_equal(layer_copy.running_mean, other.running_mean)
        np.testing.assert_array_equal(layer_copy.running_var, other.running_var)


def test_a_state_of_another_convention_is_refused():
    """Statistics of one convention do not slip into a layer of another."""
    torch, keras, onnx = cl.BatchNorm(2), cl.BatchNorm.keras(2), cl.BatchNorm.onnx(2)

    with pytest.raises(ValueError, match="unexpected convention"):
        torch.load_state_dict(keras.state_dict())
    with pytest.raises(ValueError, match="missing convention"):
        keras.load_state_dict(torch.state_dict())
    with pytest.raises(
        ValueError, match=r"convention: expected 1, got 2 \(0 torch, 1 keras, 2 onnx"
    ):
        keras.load_state_dict(onnx.state_dict())


@pytest.mark.parametrize("make", [cl.BatchNorm, cl.BatchNorm.keras, cl.BatchNorm.onnx])
def test_momentum_out_of_range(make):
    """A momentum is a number from 0 to 1."""
    with pytest.raises(ValueError, match=r"momentum from 0 to 1, got 1\.5"):
        make(3, momentum=1.5)
    with pytest.raises(TypeError, match=r"momentum must be a number, got '0\.1'"):
        make(3, momentum="0.1")


# ---------------------------------------------------------------- recalibration


@pytest.mark.parametrize("kept", ["biased", "unbiased"])
def test_recalibrate_sets_the_statistics_of_all_data(kept):
    """Mean and variance are those of the whole data set, however it is cut into batches."""
    x = (50 + images(37, 3, 3, 4)).astype(np.float32)
    layer = cl.BatchNorm(4, running_var=kept)
    layer.vjp(x)
    wide = x.astype(np.float64)
    for sizes in ([37], [5, 11, 2, 19], [36, 1]):
        parts = np.split(x, np.cumsum(sizes)[:-1])
        layer.recalibrate((part, np.zeros(len(part))) for part in parts)

        np.testing.assert_allclose(layer.running_mean, wide.mean(axis=(0, 1, 2)), rtol=1e-7)
        var = wide.var(axis=(0, 1, 2), ddof=kept == "unbiased")
        np.testing.assert_allclose(layer.running_var, var, rtol=2e-6)
        assert layer.count == len(sizes)
    layer.recalibrate(x)
    assert layer.count == 1


def test_recalibrate_a_model():
    """Every batch norm gets the moments of what reaches it in training; all else stays."""
    model = cl.Sequential(
        cl.Conv2d(2, 3, 3, use_bias=False), cl.BatchNorm(3), cl.ReLU(), cl.BatchNorm(3), rng=0
    ).astype("float64")
    parts = [images(n, 6, 6, 2, seed=n, dtype=np.float64) for n in (4, 7)]
    before = model.state_dict()
    model.recalibrate(parts)
    after = model.state_dict()

    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert changed == {f"{i}.{n}" for i in (1, 3) for n in ("running_mean", "running_var", "count")}
    seen = np.concatenate([model[:3].vjp(x)[0] for x in parts])
    np.testing.assert_allclose(model[3].running_mean, seen.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(model[3].running_var, seen.var(axis=(0, 1, 2), ddof=1), rtol=1e-12)


def test_recalibrate_leaves_frozen_norms_alone():
    """A frozen batch norm keeps its statistics, and a model of such ones has nothing to do."""
    frozen, free = cl.BatchNorm(2), cl.BatchNorm(2)
    frozen.freeze()
    model = cl.Sequential(frozen, free)
    model.recalibrate([images(4, 2)])

    assert (frozen.count, free.count) == (0, 1)
    with pytest.raises(ValueError, match=r"no batch norm here .* unfreeze\(\)"):
        frozen.recalibrate([images(4, 2)])


def test_recalibrate_refuses_and_changes_nothing():
    """No batches, batches that do not fit and values that are not finite are errors."""
    layer = cl.BatchNorm(2)
    before = layer.state_dict()
    good, bad = images(4, 2), images(4, 2)
    bad[1, 1] = np.inf

    with pytest.raises(ValueError, match="at least one batch, got none"):
        layer.recalibrate([])
    with pytest.raises(ValueError, match="2 channels last"):
        layer.recalibrate([good, images(4, 3)])
    with pytest.raises(ValueError, match="at least two values per channel"):
        layer.recalibrate([good, good[:1]])
    with pytest.raises(FloatingPointError, match="channel 1"):
        layer.recalibrate([good, bad])
    assert all(np.array_equal(before[key], value) for key, value in layer.state_dict().items())


def test_recalibrate_a_shared_norm():
    """A batch norm used twice gets the moments of both uses."""
    norm = cl.BatchNorm(2, running_var="biased").astype("float64")
    x = images(6, 2, dtype=np.float64)
    both = np.concatenate([x, copy.deepcopy(norm).vjp(x)[0]])
    cl.Sequential(norm, norm).recalibrate(x)

    np.testing.assert_allclose(norm.running_mean, both.mean(axis=0), rtol=1e-12)
    assert norm.count == 2
