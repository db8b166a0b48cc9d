"""The ready-made networks: parameters, shapes, gradients, and that they can be trained."""

import pickle

import numpy as np
import pytest

import convlet as cl
from convlet import models, reference
from convlet.gradcheck import gradcheck
from convlet.models import mobilenet, resnet
from same_bits import assert_same_bits, needs_fma

# model, images, classes, parameters, layers with weights
MODELS = {
    "digits": (lambda rng: models.digits(rng), (8, 8, 1), 10, 9_978, 3),
    "lenet": (lambda rng: models.lenet(rng=rng), (28, 28, 1), 10, 454_922, 4),
    "resnet20": (lambda rng: models.resnet20(rng=rng), (32, 32, 3), 10, 272_474, 22),
    "resnet20, pad": (lambda rng: models.resnet20("pad", rng=rng), (32, 32, 3), 10, 269_722, 20),
    "resnet20 of 100 grey classes": (
        lambda rng: models.resnet20(classes=100, channels=1, rng=rng),
        (28, 28, 1),
        100,
        272_474 - 288 + 90 * 65,
        22,
    ),
    "resnet32": (lambda rng: models.resnet32(rng=rng), (32, 32, 3), 10, 466_906, 34),
    "resnet32, pad": (lambda rng: models.resnet32("pad", rng=rng), (32, 32, 3), 10, 464_154, 32),
    "resnet56": (lambda rng: models.resnet56(rng=rng), (32, 32, 3), 10, 855_770, 58),
    "resnet56, pad": (lambda rng: models.resnet56("pad", rng=rng), (32, 32, 3), 10, 853_018, 56),
    "resnet18": (lambda rng: models.resnet18(rng=rng), (64, 64, 3), 1000, 11_689_512, 21),
    "mobilenet_small": (
        lambda rng: models.mobilenet_small(rng=rng),
        (32, 32, 3),
        10,
        136_778,
        12,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_shapes(name):
    """Each network has its number of parameters and of weights, and gives a row of logits."""
    make, image, classes, parameters, weights = MODELS[name]
    model = make(0)

    assert parameters == sum(p.size for p in model.parameters())
    assert weights == sum(p.kind == "weight" for p in model.parameters())
    assert (7, classes) == model.output_shape((7, *image))
    x = np.random.default_rng(0).random((2, *image), np.float32)
    logits = model(x)
    assert ((2, classes), np.float32) == (logits.shape, logits.dtype)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", MODELS)
def test_seeds_decide(name):
    """The same seed gives the same weights, another one others, None others each time."""

    def first(rng):
        return MODELS[name][0](rng).parameters()[0].value

    np.testing.assert_array_equal(first(3), first(3))
    assert not np.array_equal(first(3), first(4))
    assert not np.array_equal(first(None), first(None))


def test_resnet18_shapes():
    """Stem and stages halve 224 pixels to 7, as in table 1 of the paper."""
    rows = models.resnet18().summary((1, 224, 224, 3)).rows
    sizes = [row["output_shape"][1:] for row in rows if len(row["output_shape"]) == 4]

    unique = list(dict.fromkeys(sizes))
    expected = [(112, 112, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    assert expected == unique


def test_resnet18_multiply_adds():
    """An image of the paper costs its 1.8 billion multiply-adds."""
    assert 1_814_073_344 == models.resnet18().summary((1, 224, 224, 3)).multiply_adds


def test_mobilenet_small_is_as_written():
    """Convolutions alternate between depthwise and pointwise, with the widths and strides given."""
    convolutions = [layer for layer in models.mobilenet_small() if isinstance(layer, cl.Conv2d)]

    assert [
        "Conv2d(3, 32, 3, padding=1, use_bias=False)",
        "Conv2d(32, 32, 3, padding=1, groups=32, use_bias=False)",
        "Conv2d(32, 64, 1, use_bias=False)",
        "Conv2d(64, 64, 3, stride=2, padding=1, groups=64, use_bias=False)",
        "Conv2d(64, 128, 1, use_bias=False)",
        "Conv2d(128, 128, 3, padding=1, groups=128, use_bias=False)",
        "Conv2d(128, 128, 1, use_bias=False)",
        "Conv2d(128, 128, 3, stride=2, padding=1, groups=128, use_bias=False)",
        "Conv2d(128, 256, 1, use_bias=False)",
        "Conv2d(256, 256, 3, padding=1, groups=256, use_bias=False)",
        "Conv2d(256, 256, 1, use_bias=False)",
    ] == [repr(layer) for layer in convolutions]
    kinds = [type(layer).__name__ for layer in models.mobilenet_small()]
    assert ["Conv2d", "BatchNorm", "ReLU"] * 11 + ["GlobalAvgPool2d", "Linear"] == kinds


SMALL = {
    "resnet, conv": lambda: resnet.cifar(1, "conv", (3, 4, 5), 3, 2, 0),
    "resnet, pad": lambda: resnet.cifar(1, "pad", (3, 4, 6), 3, 2, 0),
    "resnet of two blocks": lambda: resnet.cifar(2, "pad", (3, 5), 3, 2, 0),
    "resnet of ImageNet": lambda: resnet.imagenet(1, (3, 4, 5), 3, 2, 0),
    "mobilenet": lambda: mobilenet.build(2, 4, ((5, 1), (6, 2), (6, 1)), 3, 0),
    "digits": lambda: models.digits(0),
}


@pytest.mark.parametrize("name", SMALL)
def test_gradients_of_small_variants(name):
    """Narrow networks of each form pass a sampled gradient check in float64."""
    model = SMALL[name]().astype("float64")
    rng = np.random.default_rng(1)
    shape = (2, 8, 8, 1) if name == "digits" else (3, 11, 9, 2)
    for p in model.parameters():
        p.value += 0.1 * rng.standard_normal(p.shape)

    # a small step, so that none of the many ReLUs and maxima changes sides within it; the rounding
    # of a difference is then about 1e-15 / 1e-6 of values near 1
    error = gradcheck(model, rng.standard_normal(shape), eps=1e-6, rtol=1e-6, samples=4, rng=2)
    assert error <= 1e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda: resnet.cifar(1, "conv", (8, 16), 4, 1, 0),
        lambda: resnet.cifar(1, "pad", (8, 16), 4, 1, 0),
        lambda: mobilenet.build(1, 8, ((16, 2),), 4, 0),
    ],
    ids=["conv", "pad", "mobilenet"],
)
def test_they_learn(make):
    """Thirty steps on a few random images halve the loss, and a pickle keeps what was learnt."""
    rng = np.random.default_rng(0)
    x, labels = rng.random((16, 8, 8, 1), np.float32), rng.integers(4, size=16)
    model = make()
    optimizer = cl.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        logits, pullback = model.vjp(x, input_grad=False)
        loss, dlogits = cl.softmax_cross_entropy(logits, labels)
        pullback(dlogits)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)

    assert losses[-1] < losses[0] / 2, losses
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model(x), twin(x))


PROGRAM = """
import numpy as np
import convlet as cl
from convlet import _core, training
from convlet.models import mobilenet, resnet

rng = np.random.default_rng(0)
sums = []
for model in (
    resnet.cifar(1, "pad", (9, 17), 5, 3, 0),
    resnet.imagenet(1, (9, 17), 5, 3, 0),
    mobilenet.build(3, 9, ((17, 2), (33, 1)), 5, 0),
    cl.Sequential(
        cl.Concat(cl.Conv2d(3, 7, 3, padding=1), cl.Conv2d(3, 9, 1), cl.Sequential()),
        cl.Lambda(lambda x: x * x, lambda dy, x: 2 * dy * x),
        cl.GlobalAvgPool2d(),
        cl.Linear(19, 5),
        rng=0,
    ),
):
    optimizer = cl.Adam(model.parameters(), lr=1e-3)
    for n in (9, 17):
        x = rng.standard_normal((n, 17, 9, 3)).astype(np.float32)
        logits, pullback = model.vjp(x)
        _, dlogits = cl.softmax_cross_entropy(logits, np.arange(n) % 5)
        dx = pullback(dlogits)
        optimizer.step()
        optimizer.zero_grad()
    sums += [training.weights_sha256(model), float(dx.sum()).hex()]
print(_core.isa(), *sums)
"""


@needs_fma
def test_training_gives_the_same_bits():
    """Networks of each form train to the same bits for 1, 2 and 3 threads on every level."""
    assert_same_bits(PROGRAM)


@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (1, 1, 1, 3), (2, 4, 4, 5), (0, 3, 3, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pad_shortcut_is_its_definition(shape, stride):
    """Both doors and the pullback give the numbers of the reference, in both dtypes."""
    rng = np.random.default_rng(0)
    layer = models.PadShortcut(5, stride)
    for dtype in (np.float32, np.float64):
        x = rng.standard_normal(shape).astype(dtype)
        expected = reference.pad_shortcut(x, 5, stride)
        dy = rng.standard_normal(expected.shape).astype(dtype)
        y, pullback = layer.vjp(x)

        np.testing.assert_array_equal(expected, y)
        np.testing.assert_array_equal(expected, layer(x))
        np.testing.assert_array_equal(
            reference.pad_shortcut_backward(dy, shape, stride), pullback(dy)
        )


def test_pad_shortcut_gradients():
    """The reference and the layer pass a check by finite differences."""
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3))

    def backward(dy, x):
        return reference.pad_shortcut_backward(dy, x.shape, 2)

    assert gradcheck(lambda x: reference.pad_shortcut(x, 5, 2), x, backward) <= 1e-7
    below = cl.Sequential(cl.Conv2d(3, 4, 1, rng=0), models.PadShortcut(6, 2)).astype("float64")
    assert gradcheck(below, x) <= 1e-7


def test_pad_shortcut_and_resnet_refuse():
    """More channels than are given, rows, bad sizes and other shortcuts are clear errors."""
    layer = models.PadShortcut(4, 2)
    assert "PadShortcut(4, stride=2)" == repr(layer)
    with pytest.raises(ValueError, match=r"C at most 4, got \(1, 2, 2, 5\)"):
        layer(np.zeros((1, 2, 2, 5), np.float32))
    with pytest.raises(ValueError, match=r"expected x of shape \(N, H, W, C\)"):
        layer.vjp(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="PadShortcut: stride must be at least 1, got 0"):
        models.PadShortcut(4, 0)
    with pytest.raises(ValueError, match="shortcut must be 'conv' or 'pad', got 'none'"):
        models.resnet20("none")
