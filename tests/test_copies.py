"""Copies of every layer."""

import copy
import pickle

import numpy as np
import pytest

import convlet as cl


def cube(x):
    return x**3


def cube_pullback(dy, x):
    return 3 * dy * x**2


IMAGES, SEQUENCES, ROWS = (2, 4, 6, 4), (2, 7, 4), (3, 4)
EVERY = {
    "AdaptiveAvgPool2d": ("AdaptiveAvgPool2d(2)", IMAGES),
    "AvgPool1d": ("AvgPool1d(2)", SEQUENCES),
    "AvgPool2d": ("AvgPool2d(2)", IMAGES),
    "BatchNorm": ("BatchNorm(4)", IMAGES),
    "Concat": ("Concat(Conv2d(4, 2, 1), BatchNorm(4))", IMAGES),
    "Conv1d": ("Conv1d(4, 3, 3)", SEQUENCES),
    "Conv2d": ("Conv2d(4, 6, 3, groups=2, activation='relu')", IMAGES),
    "ConvTranspose2d": ("ConvTranspose2d(4, 3, 3, stride=2)", IMAGES),
    "Dropout": ("Dropout(0.5)", IMAGES),
    "ELU": ("ELU()", ROWS),
    "Flatten": ("Flatten()", IMAGES),
    "GELU": ("GELU()", ROWS),
    "GlobalAvgPool1d": ("GlobalAvgPool1d()", SEQUENCES),
    "GlobalAvgPool2d": ("GlobalAvgPool2d()", IMAGES),
    "GlobalMaxPool1d": ("GlobalMaxPool1d()", SEQUENCES),
    "GlobalMaxPool2d": ("GlobalMaxPool2d()", IMAGES),
    "GroupNorm": ("GroupNorm(2, 4)", IMAGES),
    "HardSwish": ("HardSwish()", ROWS),
    "InstanceNorm": ("InstanceNorm(4)", IMAGES),
    "Lambda": ("Lambda(cube, cube_pullback)", ROWS),
    "LayerNorm": ("LayerNorm(4)", ROWS),
    "LeakyReLU": ("LeakyReLU()", ROWS),
    "Linear": ("Linear(4, 3)", ROWS),
    "MaxPool1d": ("MaxPool1d(2)", SEQUENCES),
    "MaxPool2d": ("MaxPool2d(2)", IMAGES),
    "Pad2d": ("Pad2d(1)", IMAGES),
    "ReLU": ("ReLU()", ROWS),
    "ReLU6": ("ReLU6()", ROWS),
    "Residual": ("Residual(Conv2d(4, 4, 1), BatchNorm(4))", IMAGES),
    "Sequential": ("Sequential(Conv2d(4, 4, 1), BatchNorm(4), rng=0)", IMAGES),
    "SiLU": ("SiLU()", ROWS),
    "Sigmoid": ("Sigmoid()", ROWS),
    "Softmax": ("Softmax()", ROWS),
    "Softplus": ("Softplus()", ROWS),
    "Tanh": ("Tanh()", ROWS),
    "Upsample2d": ("Upsample2d(2)", IMAGES),
}
LAYERS = {
    name
    for name, value in vars(cl.layers).items()
    if isinstance(value, type) and issubclass(value, cl.Layer) and value is not cl.Layer
}


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_copies_of_every_layer(name, used, duplicate):
    """A deep copy and a pickle have the state and the bits of the layer, and then their own."""
    text, shape = EVERY[name]
    layer = eval(text, vars(cl) | {"cube": cube, "cube_pullback": cube_pullback})
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    if used:
        y, pullback = layer.vjp(x)
        pullback(y)
    twin = duplicate(layer)

    assert repr(layer) == repr(twin)
    np.testing.assert_array_equal(layer(x), twin(x))
    results = []
    for one in (layer, twin):
        y, pullback = one.vjp(x)
        results.append([y, pullback(y), *(p.grad for p in one.parameters())])
        results[-1] += one.state_dict().values()
    for left, right in zip(*results, strict=True):
        np.testing.assert_array_equal(left, right)
    for p, q in zip(layer.parameters(), twin.parameters(), strict=True):
        assert not np.shares_memory(p.value, q.value)
        assert not np.shares_memory(p.grad, q.grad)
