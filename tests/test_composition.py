"""Concat, Lambda, layers of one's own, nesting and sharing."""

import copy
import functools
import pickle
import re

import numpy as np
import pytest

import convlet as cl
from convlet import reference
from convlet.gradcheck import gradcheck
from networks import images


def double(*layers):
    """Return a float64 model whose parameters are random."""
    model = cl.Sequential(*layers, rng=0).astype("float64")
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.value += 0.3 * rng.standard_normal(p.shape)
    return model


def half(x):
    return x[:, ::2, ::2]


def half_pullback(dy, x):
    dx = np.zeros_like(x)
    dx[:, ::2, ::2] = dy
    return dx


def half_shape(shape):
    n, h, w, c = shape
    return n, (h + 1) // 2, (w + 1) // 2, c


def cube(x):
    return x**3


def cube_pullback(dy, x):
    return 3 * dy * x**2


class Scale(cl.Layer):
    """y = scale·x, with a fault of choice."""

    parameter_names = ("scale",)

    def __init__(self, channels, fault=None):
        self.scale = cl.Parameter(np.full(channels, 1.5, np.float32), kind="norm", name="scale")
        self.fault = fault

    def forward(self, x):
        if self.fault == "writes x":
            x *= 2

        def pullback(dy):
            if self.fault == "writes dy":
                dy *= 2
            self.scale.accumulate((dy * x).sum(axis=tuple(range(x.ndim - 1))))
            dx = dy * self.scale.value
            faults = {
                "dx shape": lambda: dx[..., :1],
                "dx dtype": lambda: dx.astype(np.float32),
                "dx None": lambda: None,
            }
            return faults.get(self.fault, lambda: dx)()

        y = x * self.scale.value
        faults = {
            "no tuple": lambda: y,
            "no pullback": lambda: (y, None),
            "y dtype": lambda: (y.astype(np.float32), pullback),
            "y a list": lambda: (y.tolist(), pullback),
            "y by value": lambda: (y[:, : 1 + int(abs(x.flat[0]) * 1e6) % 3], pullback),
        }
        return faults.get(self.fault, lambda: (y, pullback))()


class Mean(cl.Layer):
    """The mean of the pixels, which says what it takes."""

    def output_shape(self, shape):
        if len(shape) != 4:
            raise ValueError(f"Mean: expected images, got {shape}")
        return shape[0], shape[3]

    def forward(self, x):
        assert x.flat[0] != 1, "not called to learn a shape"
        count = x.shape[1] * x.shape[2]
        return x.mean(axis=(1, 2)), lambda dy: np.broadcast_to(
            dy[:, np.newaxis, np.newaxis] / count, x.shape
        )


# ---------------------------------------------------------------- gradients

ABOVE = {
    "Concat": lambda: [cl.Concat(cl.Conv2d(3, 2, 1), cl.Conv2d(3, 5, 3, padding=1))],
    "Concat of one": lambda: [cl.Concat(cl.Conv2d(3, 2, 1))],
    "Concat with x itself": lambda: [cl.Concat(cl.Sequential(), cl.ReLU(), cl.BatchNorm(3))],
    "Concat of rows": lambda: [cl.Flatten(), cl.Concat(cl.Linear(90, 2), cl.Linear(90, 1))],
    "Concat in Concat": lambda: [cl.Concat(cl.Concat(cl.ReLU(), cl.ReLU()), cl.ReLU())],
    "Lambda": lambda: [cl.Lambda(cube, cube_pullback)],
    "Lambda of another shape": lambda: [cl.Lambda(half, half_pullback)],
    "Lambda that says its shape": lambda: [cl.Lambda(half, half_pullback, output_shape=half_shape)],
    "Lambda that is the identity": lambda: [cl.Lambda(lambda x: x, lambda dy, x: dy)],
    "own layer": lambda: [Scale(3)],
    "own layer without parameters": lambda: [Mean()],
    "own layer in Residual": lambda: [cl.Residual(Scale(3), Scale(3))],
    "own layer in Concat": lambda: [cl.Concat(Scale(3), Scale(3))],
}


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("name", ABOVE)
def test_gradients_above_a_trainable_layer(name, frozen):
    """Every composition passes gradients to x, its parameters and those of the layer below."""
    model = double(cl.Conv2d(2, 3, 1), *ABOVE[name]())
    if frozen:
        for layer in model[1:]:
            layer.freeze()

    assert gradcheck(model, images(2, 5, 6, 2)) <= 1e-7
    y, pullback = model.vjp(images(2, 5, 6, 2))
    pullback(y)
    assert [not frozen] * (len(model.parameters()) - 2) == [
        bool(p.grad.any()) for layer in model[1:] for p in layer.parameters()
    ]


@pytest.mark.parametrize("name", ABOVE)
def test_input_gradient_is_left_out_when_not_wanted(name):
    """Without input_grad the pullback returns None, and parameters get the same gradients."""
    model = double(cl.Conv2d(2, 3, 1), *ABOVE[name]())
    x = images(2, 5, 6, 2)
    grads = []
    for input_grad in (True, False):
        y, pullback = model.vjp(x, input_grad=input_grad)
        dx = pullback(y)
        grads.append([p.grad.copy() for p in model.parameters()])
        for p in model.parameters():
            p.grad[...] = 0
        assert (x.shape if input_grad else None) == getattr(dx, "shape", None)
    for layer in model:
        y, pullback = layer.vjp(x, input_grad=False)
        assert pullback(y) is None
        x = y

    for with_dx, without in zip(*grads, strict=True):
        np.testing.assert_array_equal(with_dx, without)


# ---------------------------------------------------------------- Concat


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_concat_is_its_definition(dtype):
    """Both doors join what the branches give, and the pullback adds what comes back."""
    branches = [cl.Conv2d(3, 2, 1, rng=0), cl.Sequential(), cl.Conv2d(3, 4, 3, padding=1, rng=1)]
    layer = cl.Concat(*branches).astype(dtype)
    x, dy = images(2, 4, 5, 3, dtype=dtype), images(2, 4, 5, 9, seed=2, dtype=dtype)
    expected = reference.concat(*(branch(x) for branch in layer.branches))
    y, pullback = layer.vjp(x)
    parts = reference.concat_backward(dy, (2, 3, 4))
    dxs = [branch.vjp(x)[1](part) for branch, part in zip(layer.branches, parts, strict=True)]

    assert layer.output_shape(x.shape) == y.shape == (2, 4, 5, 9)
    np.testing.assert_array_equal(expected, y)
    np.testing.assert_array_equal(expected, layer(x))
    np.testing.assert_array_equal(dxs[0] + dxs[1] + dxs[2], pullback(dy))


def test_concat_of_many_branches_leaves_out_frozen_ones():
    """Frozen branches get no gradient, among more branches than any other operator has inputs."""
    layer = cl.Concat(*(cl.Linear(3, 1 + i % 4, rng=i) for i in range(20)))
    x, dy = images(5, 3, dtype=np.float32), images(5, 50, seed=2, dtype=np.float32)
    for branch in layer.branches[::3]:
        branch.freeze()
    y, pullback = layer.vjp(x, input_grad=False)
    pullback(dy)
    parts = reference.concat_backward(dy, [branch.weight.shape[1] for branch in layer.branches])

    np.testing.assert_array_equal(reference.concat(*(branch(x) for branch in layer.branches)), y)
    for i, (branch, part) in enumerate(zip(layer.branches, parts, strict=True)):
        expected = x.T @ part if i % 3 else np.zeros((3, part.shape[1]))
        np.testing.assert_allclose(branch.weight.grad, expected, rtol=1e-5, atol=1e-5)


def test_concat_reference_gradient():
    """The definition of Concat passes a check by finite differences."""
    xs = images(2, 3, 2), images(2, 3, 1, seed=2), images(2, 3, 4, seed=3)

    def backward(dy, *xs):
        return reference.concat_backward(dy, [x.shape[-1] for x in xs])

    assert gradcheck(reference.concat, xs, backward) <= 1e-7


def test_concat_of_a_shared_branch_adds_up():
    """A branch that comes twice has one set of parameters, and gets the sum of both gradients."""
    shared = cl.Linear(3, 2, rng=0)
    model = cl.Concat(shared, shared).astype("float64")
    x, dy = images(4, 3), images(4, 4, seed=2)
    model.vjp(x)[1](dy)

    assert ["0.weight", "0.bias"] == list(model.state_dict())
    np.testing.assert_allclose(
        model.branches[0].weight.grad, x.T @ (dy[:, :2] + dy[:, 2:]), rtol=1e-13
    )
    assert gradcheck(model, x) <= 1e-7


def test_concat_counts_and_names_its_branches():
    """State is under the number of the branch; the summary ends with the join."""
    model = cl.Concat(cl.Linear(3, 2), cl.Sequential(cl.Linear(3, 1)))

    assert ["0.weight", "0.bias", "1.0.weight", "1.0.bias"] == list(model.state_dict())
    rows = model.summary((5, 3)).rows
    assert [("0", 8), ("1.0", 4), ("concat", 0)] == [(r["path"], r["parameters"]) for r in rows]
    assert (5, 3) == rows[-1]["output_shape"]
    expected = "Concat(\n    Linear(3, 2),\n    Sequential(\n        Linear(3, 1),\n    ),\n)"
    assert expected == repr(model)
    assert repr(model) == repr(eval(repr(model), vars(cl)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cl.Concat(), ValueError, "at least one branch, got none"),
        (lambda: cl.Concat(cl.ReLU(), np.sin), TypeError, "a layer as branch 1, got ufunc"),
        (lambda: cl.Concat([cl.ReLU()]), TypeError, "branch 0, got list; several are one as"),
    ],
)
def test_concat_refuses_what_is_no_layer(make, error, message):
    """It takes one layer or more, and says what it got."""
    with pytest.raises(error, match=message):
        make()


def test_concat_refuses_images_of_different_sizes():
    """Branches that disagree are an error at both doors, before anything has run."""
    norm = cl.BatchNorm(3)
    model = cl.Sequential(norm, cl.Concat(cl.ReLU(), cl.Conv2d(3, 4, 3)))
    x = images(2, 5, 5, 3, dtype=np.float32)
    message = r"layer 1 of Sequential, Concat.*\(2, 5, 5, 3\) from branch 0 and \(2, 3, 3, 4\)"
    for door in (model, model.vjp):
        with pytest.raises(ValueError, match=message):
            door(x)
    with pytest.raises(ValueError, match=r"branch 1 of Concat, Conv2d\(3, 4, 3\): expected"):
        model[1](x[:, :2])

    assert 0 == norm.count


def test_concat_names_the_branch_of_a_failing_norm():
    """A norm that meets infinite statistics is named with its branch, and nothing is committed."""
    first = cl.BatchNorm(2)
    model = cl.Concat(first, cl.Sequential(cl.Lambda(np.exp, cube_pullback), cl.BatchNorm(2)))
    x = np.full((3, 2), 500, np.float32)
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="branch 1 of Concat"):
        model.vjp(x)

    assert 0 == first.count


# ---------------------------------------------------------------- Lambda and own layers


def test_lambda_is_its_functions():
    """y and dx are what the functions give, in float32 as in float64, and both doors agree."""
    layer = cl.Lambda(cube, cube_pullback)
    for dtype in (np.float32, np.float64):
        x, dy = images(3, 4, dtype=dtype), images(3, 4, seed=2, dtype=dtype)
        y, pullback = layer.vjp(x)
        dx = pullback(dy)

        assert (dtype, dtype) == (y.dtype, dx.dtype)
        for door in (y, layer(x)):
            np.testing.assert_array_equal(x**3, door)
        np.testing.assert_array_equal(3 * dy * x**2, dx)


def test_lambda_wrong_pullback_is_found():
    """gradcheck holds a Lambda against finite differences."""
    assert gradcheck(cl.Lambda(np.sin, lambda dy, x: dy * np.cos(x)), images(2, 3)) <= 1e-7
    with pytest.raises(AssertionError, match="gradient of x is wrong"):
        gradcheck(cl.Lambda(np.sin, lambda dy, x: dy * np.sin(x)), images(2, 3))


def test_shapes_are_known_before_anything_runs():
    """A model knows the shapes behind a Lambda, and refuses what does not fit at the door."""
    for options in ({}, {"output_shape": half_shape}):
        norm = cl.BatchNorm(3)
        model = cl.Sequential(norm, cl.Lambda(half, half_pullback, **options), cl.Conv2d(3, 4, 3))
        x = images(2, 4, 9, 3, dtype=np.float32)

        assert (2, 3, 3, 4) == model.output_shape((2, 9, 9, 3))
        assert (2, 3, 3, 4) == model(images(2, 9, 9, 3, dtype=np.float32)).shape
        with pytest.raises(ValueError, match="layer 2 of Sequential, Conv2d"):
            model.vjp(x)
        assert 0 == norm.count


def test_forward_is_measured_once_for_each_shape():
    """Ones of a new shape go through forward once; later calls cost one call each."""
    calls = []

    def forward(x):
        calls.append(x.shape)
        return 2 * x

    layer = cl.Lambda(forward, lambda dy, x: 2 * dy)
    for _ in range(3):
        layer(images(2, 3))
    layer(images(4, 3))

    assert [(2, 3)] * 4 + [(4, 3)] * 2 == calls
    assert (2, 3) == layer.output_shape((2, 3))
    for n in range(200):
        layer.output_shape((n, 3))
    assert len(layer._shapes) <= 64


def test_a_layer_that_says_its_shape_is_not_measured():
    """output_shape replaces the measuring, and its ValueError is raised at the door."""
    model = cl.Sequential(cl.BatchNorm(3), Mean())
    x = images(2, 4, 5, 3, dtype=np.float32)

    np.testing.assert_allclose(model.vjp(x)[0].sum(axis=0), 0, atol=1e-5)
    with pytest.raises(ValueError, match="layer 1 of Sequential, Mean: expected images, got"):
        model.vjp(x[0, 0])
    assert 1 == model[0].count


def test_own_layer_is_a_layer_like_any_other():
    """State, summary, freezing, astype, copies and an optimizer all know its parameter."""
    model = cl.Sequential(cl.Linear(3, 2), Scale(2), rng=0)
    x = images(4, 3, dtype=np.float32)
    y, pullback = model.vjp(x)
    pullback(y)
    optimizer = cl.SGD(model.parameters(), lr=0.1)
    before = model[1].scale.value.copy()
    optimizer.step()

    assert ["0.weight", "0.bias", "1.scale"] == list(model.state_dict())
    assert 10 == model.summary((4, 3)).parameters
    assert "Scale(...)" in repr(model)
    np.testing.assert_allclose(model[1].scale.value, before - 0.1 * model[1].scale.grad, rtol=1e-6)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model(x), twin(x))
    other = cl.Sequential(cl.Linear(3, 2), Scale(2), rng=1)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(model(x), other(x))
    assert np.float64 == model.astype("float64")(x.astype(np.float64)).dtype


def test_frozen_own_layer_gets_no_gradient():
    """accumulate passes over a frozen parameter, so a pullback need not look."""
    layer = Scale(3)
    layer.freeze()
    y, pullback = layer.vjp(images(2, 3, dtype=np.float32))
    pullback(y)

    assert not layer.scale.grad.any()


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("no tuple", TypeError, "expected forward to return (y, pullback), got ndarray"),
        ("no pullback", TypeError, "expected forward to return (y, pullback), got tuple"),
        ("y dtype", TypeError, "expected forward to give y of float64, as x is, got float32"),
        ("y a list", TypeError, "forward's y must be an array, got list: use np.asarray(y, np"),
        ("y by value", ValueError, "its shape may depend on that of x alone"),
        ("writes x", ValueError, "read-only"),
        ("writes dy", ValueError, "read-only"),
        ("dx shape", ValueError, "its pullback to give dx of shape (2, 3), as x has, got (2, 1)"),
        ("dx dtype", TypeError, "its pullback to give dx of float64, as x is, got float32"),
        (
            "dx None",
            TypeError,
            "its pullback's dx must be an array, got NoneType: use np.asarray(dx, np",
        ),
    ],
)
def test_broken_promises_are_named(fault, error, message):
    """What a layer of one's own gets wrong is an error that names the layer and the promise."""
    layer = Scale(3, fault).astype("float64")
    x = np.full((2, 3), 0.100001)
    with pytest.raises(error, match=re.escape(message)):
        layer.vjp(x)[1](np.ones((2, 3)))


def test_a_layer_without_forward_says_so():
    """A class that gives nothing is told what it needs."""

    class Empty(cl.Layer):
        pass

    with pytest.raises(TypeError, match=r"Empty\(\.\.\.\): a layer of your own needs a method"):
        Empty()(images(2, 3))


def test_what_would_not_be_trained_is_refused():
    """A parameter without its name, and a layer in one that holds none, are errors at once."""

    class Forgets(cl.Layer):
        def __init__(self):
            self.scale = cl.Parameter(np.ones(3, np.float32))

    class Holds(cl.Layer):
        def __init__(self, inner):
            self.inner = inner

    class Whole(cl.Sequential):
        def __init__(self):
            self.inner = cl.Linear(3, 2)
            super().__init__(self.inner, cl.ReLU())

    message = r"Forgets: scale .*name it in parameter_names, as in parameter_names = \('scale',\)"
    with pytest.raises(TypeError, match=message):
        Forgets()
    layer, parameter = cl.Linear(3, 2), cl.Parameter(np.ones(3))
    for inner in (layer, [layer], (1, layer), {"a": layer}, [parameter]):
        with pytest.raises(TypeError, match=r"Holds: what inner holds .*Sequential, Residual and"):
            Holds(inner)
    assert (3, 2) == Holds((3, 2)).inner
    assert 2 == len(Whole().parameters())


def test_a_parameter_that_is_named_and_missing():
    """The error names the parameter, and not what asked for it."""

    class Misses(cl.Layer):
        parameter_names = ("scale",)

    for ask in (lambda: Misses().dtype, lambda: Misses().trainable, lambda: Misses().parameters()):
        with pytest.raises(AttributeError, match="'Misses' object has no attribute 'scale'"):
            ask()


def test_a_parameter_is_not_replaced_by_an_array():
    """Numbers go to `value`; a parameter, or None for no bias, may take a parameter's place."""
    layer = cl.Linear(3, 2, rng=0)
    with pytest.raises(TypeError, match=r"Linear: expected weight to be a Parameter.*weight.value"):
        layer.weight = np.ones((3, 2), np.float32)
    layer.bias = None
    layer.weight = cl.Parameter(np.ones((3, 2), np.float32))

    np.testing.assert_array_equal(np.full((1, 2), 3), layer(np.ones((1, 3), np.float32)))


@pytest.mark.parametrize("base", [cl.Linear, cl.Conv2d, cl.Sequential, cl.Residual])
def test_a_forward_that_would_be_ignored_is_refused(base):
    """Layers of this package do not run by forward, so a class of its own cannot change theirs."""
    with pytest.raises(TypeError, match=f"forward would never be called, since {base.__name__}"):
        type("Net", (base,), {"forward": lambda self, x: (x, None)})


def test_lambda_refuses_what_cannot_be_called():
    """Its arguments are functions."""
    with pytest.raises(TypeError, match="Lambda: forward must be callable, got 3"):
        cl.Lambda(3, cube_pullback)
    with pytest.raises(TypeError, match="Lambda: pullback must be callable, got None"):
        cl.Lambda(cube, None)
    with pytest.raises(TypeError, match=r"output_shape must be None or callable, got \(2, 3\)"):
        cl.Lambda(cube, cube_pullback, output_shape=(2, 3))


def test_identity_gives_memory_of_its_own():
    """A forward that returns x, or a view, leaves x to the caller and y to whoever gets it."""
    x = images(2, 4, 4, 1)
    for forward in (lambda x: x, half, lambda x: x.reshape(2, 16)):
        y, pullback = cl.Lambda(forward, lambda dy, x: np.broadcast_to(dy.flat[0], x.shape)).vjp(x)
        dx = pullback(y)

        assert not np.shares_memory(x, y)
        assert y.flags.carray
        assert dx.flags.carray


def test_representation_of_a_lambda():
    """It names its functions."""
    assert "Lambda(cube, cube_pullback)" == repr(cl.Lambda(cube, cube_pullback))
    layer = cl.Lambda(half, half_pullback, output_shape=half_shape)
    assert "Lambda(half, half_pullback, output_shape=half_shape)" == repr(layer)
    assert repr(cl.Lambda(functools.partial(np.power, 2), cube)).startswith("Lambda(functools.par")


# ---------------------------------------------------------------- nesting and sharing


def test_nesting_changes_nothing():
    """Sequentials in Sequentials give the bits, gradients and statistics of the flat model."""

    def layers():
        return [
            cl.Conv2d(2, 3, 3),
            cl.BatchNorm(3),
            cl.ReLU(),
            cl.Conv2d(3, 4, 1),
            cl.Flatten(),
            cl.Linear(48, 2),
        ]

    a, b, c, d, e, f = layers()
    nested = cl.Sequential(
        cl.Sequential(a, cl.Sequential(b, c)), cl.Sequential(), cl.Sequential(d, e, f), rng=0
    )
    flat = cl.Sequential(*layers(), rng=0)
    x = images(3, 5, 6, 2, dtype=np.float32)
    results = []
    for model in (flat, nested):
        y, pullback = model.vjp(x)
        dx = pullback(y)
        grads = [p.grad for p in model.parameters()]
        results.append([y, dx, model(x), *grads, *model.state_dict().values()])

    assert ["0.0.weight", "0.0.bias", "0.1.0.gamma"] == list(nested.state_dict())[:3]
    for left, right in zip(*results, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_layer_shared_across_containers_is_one():
    """A layer in a branch, a body and the model has one state and gets every gradient."""
    shared = cl.Linear(3, 3, rng=0)
    model = cl.Sequential(
        shared,
        cl.Lambda(np.tanh, lambda dy, x: dy / np.cosh(x) ** 2),
        cl.Residual(cl.Sequential(shared)),
        cl.Concat(shared, cl.Sequential()),
    ).astype("float64")

    assert 2 == len(model.parameters())
    assert ["0.weight", "0.bias"] == list(model.state_dict())
    assert gradcheck(model, images(4, 3)) <= 1e-7
    assert model[0] is model[2].body[0]
    assert copy.deepcopy(model)[0] is not model[0]
    twin = copy.deepcopy(model)
    assert twin[0] is twin[2].body[0] is twin[3].branches[0]


def test_one_layer_in_two_models():
    """A layer that two models hold learns from both, and is packed by the first."""
    trunk = cl.Linear(3, 4, rng=0)
    first, second = cl.Sequential(trunk, cl.Linear(4, 2, rng=1)), cl.Sequential(trunk, cl.ReLU())
    place = first.parameters()[0].value
    x = images(5, 3, dtype=np.float32)
    for model in (first, second):
        y, pullback = model.vjp(x)
        pullback(np.ones_like(y))
    alone = copy.deepcopy(trunk)
    alone.weight.grad[...] = 0
    y, pullback = alone.vjp(x)
    pullback((y > 0).astype(np.float32))

    assert second.parameters()[0].value is place
    dy = np.ones((5, 2), np.float32) @ first[1].weight.value.T
    np.testing.assert_allclose(trunk.weight.grad, x.T @ dy + alone.weight.grad, rtol=1e-5)


def test_calls_may_interleave():
    """Two passes before either pullback give the gradients of one after the other."""
    model = double(cl.Conv2d(2, 3, 1), cl.Concat(Scale(3), cl.ReLU()))
    xs = images(2, 3, 3, 2), images(4, 2, 5, 2, seed=5)
    expected = []
    for x in xs:
        y, pullback = model.vjp(x)
        expected.append(pullback(np.ones_like(y)))
    grads = [p.grad.copy() for p in model.parameters()]
    for p in model.parameters():
        p.grad[...] = 0
    passes = [model.vjp(x) for x in xs]
    got = [pullback(np.ones_like(y)) for y, pullback in passes]

    got += [p.grad for p in model.parameters()]
    for left, right in zip(expected + grads, got, strict=True):
        np.testing.assert_array_equal(left, right)
