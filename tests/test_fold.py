"""Folded models: the results of the inference door, one call, and nothing that changes them."""

import array as standard_array
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convlet as cl
from convlet import _core, models
from convlet.planner import program
from networks import assert_allocates_nothing_later, images


def unit(channels, out, kernel=3, **options):
    conv = cl.Conv2d(channels, out, kernel, padding=kernel // 2, **options)
    return [conv, cl.BatchNorm(out, eps=0.25)]


def residual(shortcut=None):
    body = cl.Sequential(*unit(4, 4), cl.ReLU(), *unit(4, 4, use_bias=False))
    return cl.Sequential(cl.Conv2d(3, 4, 1), cl.Residual(body, shortcut), cl.ReLU())


# name: (model for images (N, 8, 6, 3), whether it is one call)
MODELS = {
    "convolution": (lambda: cl.Conv2d(3, 4, 3), True),
    "convolution, norm": (lambda: cl.Sequential(*unit(3, 4)), True),
    "convolution of groups, norm": (lambda: cl.Sequential(*unit(3, 6, groups=3)), True),
    "ReLU, norm": (
        lambda: cl.Sequential(*unit(3, 4, activation="relu")),
        True,
    ),
    "norm first": (lambda: cl.Sequential(cl.BatchNorm(3), cl.ReLU(), cl.Conv2d(3, 4, 3)), True),
    "two norms": (lambda: cl.Sequential(*unit(3, 4), cl.BatchNorm(4)), True),
    "norm without parameters": (
        lambda: cl.Sequential(cl.Conv2d(3, 4, 1), cl.BatchNorm(4, affine=False)),
        True,
    ),
    "norm of the batch": (
        lambda: cl.Sequential(cl.Conv2d(3, 4, 1), cl.BatchNorm(4, track_running_stats=False)),
        False,
    ),
    "identity shortcut": (residual, True),
    "convolution as shortcut": (lambda: residual(cl.Sequential(*unit(4, 4, 1))), True),
    "norm as shortcut": (lambda: residual(cl.BatchNorm(4)), True),
    "sums, other activations": (
        lambda: cl.Sequential(
            cl.Residual(cl.Conv2d(3, 3, 1)),
            cl.ReLU6(),
            cl.Residual(cl.Conv2d(3, 3, 1)),
            cl.LeakyReLU(),
        ),
        True,
    ),
    "x as a summand": (
        lambda: cl.Sequential(cl.Residual(cl.Sequential(*unit(3, 3)))),
        True,
    ),
    "sum of pools": (
        lambda: cl.Sequential(
            cl.Residual(cl.MaxPool2d(3, stride=1, padding=1), cl.AvgPool2d(3, stride=1, padding=1)),
            cl.ReLU(),
        ),
        True,
    ),
    "classifier": (
        lambda: cl.Sequential(
            *unit(3, 4),
            cl.ReLU(),
            cl.MaxPool2d(2),
            cl.Dropout(0.5),
            cl.Flatten(),
            cl.Linear(48, 5),
            cl.BatchNorm(5),
            cl.ReLU(),
            cl.Linear(5, 4),
            cl.Softmax(),
        ),
        True,
    ),
    "functions": (
        lambda: cl.Sequential(
            *unit(3, 4),
            cl.ReLU6(),
            *unit(4, 4),
            cl.LeakyReLU(0.25),
            *unit(4, 4),
            cl.ELU(0.5),
            cl.Sigmoid(),
            cl.Tanh(),
            cl.GELU(),
            cl.GELU("tanh"),
            cl.SiLU(),
            cl.HardSwish(),
            cl.Softplus(),
            cl.LeakyReLU(),
            cl.ReLU6(),
        ),
        True,
    ),
    "global average": (lambda: cl.Sequential(*unit(3, 4), cl.GlobalAvgPool2d()), True),
    "global maximum": (lambda: cl.Sequential(*unit(3, 4), cl.GlobalMaxPool2d()), True),
    "softmax of rows": (lambda: cl.Sequential(cl.Conv2d(3, 4, 1), cl.Softmax(axis=1)), False),
    "concatenation": (
        lambda: cl.Sequential(cl.Concat(cl.Sequential(*unit(3, 4)), cl.Sequential())),
        True,
    ),
    "concatenations": (
        lambda: cl.Sequential(
            cl.Concat(cl.Sequential(*unit(3, 4), cl.ReLU()), cl.ReLU(), cl.Conv2d(3, 1, 1)),
            cl.Concat(cl.Concat(cl.Sequential(*unit(8, 2))), cl.Dropout(0.5), cl.Sequential()),
            *unit(18, 4),
        ),
        True,
    ),
    "pad shortcut": (
        lambda: cl.Sequential(
            cl.Residual(
                cl.Sequential(*unit(3, 6), cl.MaxPool2d(1, stride=2)), models.PadShortcut(6, 2)
            ),
            cl.ReLU(),
            models.PadShortcut(7),
        ),
        True,
    ),
    "a layer of a user": (
        lambda: cl.Sequential(*unit(3, 4), cl.Lambda(np.abs, lambda dy, x: dy), *unit(4, 4)),
        False,
    ),
    "norm of samples alone": (lambda: cl.GroupNorm(3, 3), True),
    "nothing": (cl.Sequential, False),
    "flat": (cl.Flatten, False),
    "padded": (lambda: cl.Sequential(cl.Pad2d(1), *unit(3, 4)), False),
    "upsampled": (
        lambda: cl.Sequential(cl.Upsample2d(2), *unit(3, 4), cl.Upsample2d((1, 2), "bilinear")),
        True,
    ),
    "transposed convolutions, norms": (
        lambda: cl.Sequential(
            cl.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
            cl.BatchNorm(4),
            cl.ReLU(),
            cl.ConvTranspose2d(4, 6, (2, 3), groups=2, use_bias=False),
            cl.BatchNorm(6),
        ),
        True,
    ),
    "norms of samples": (
        lambda: cl.Sequential(
            *[cl.Conv2d(3, 6, 3), cl.GroupNorm(3, 6), cl.LayerNorm(6), cl.InstanceNorm(6)],
            *[cl.LayerNorm((6, 4, 6)), cl.Flatten(), cl.LayerNorm(144, affine=False)],
        ),
        True,
    ),
}


def drawn(make, dtype, seed=0):
    """A model with parameters and statistics that are anything but 0 and 1."""
    model = cl.Sequential(make(), rng=seed).astype(dtype)
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.value += 0.1 * rng.standard_normal(p.shape).astype(dtype)
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            state[name] = rng.standard_normal(value.shape).astype(dtype)
        if name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2, value.shape).astype(dtype)
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_folded_is_the_inference_door(name, dtype):
    """A folded model gives what the model gives, within rounding, as one call where it can."""
    make, one_call = MODELS[name]
    model = drawn(make, dtype)
    folded = model.fold()
    # a few roundings of values near 1 in each of at most eight layers
    bound = 2e-5 if dtype == np.float32 else 1e-13
    for n in (0, 1, 5):
        if n == 0 and name == "norm of the batch":
            continue
        x = images(n, 8, 6, 3, dtype=dtype)
        before, y = x.copy(), folded(x)

        assert model(x).dtype == y.dtype
        np.testing.assert_allclose(y, model(x), rtol=bound, atol=bound)
        np.testing.assert_array_equal(before, x)
        assert one_call == folded.plan(x.shape).one_call


@pytest.mark.parametrize(
    "name", ["digits", "lenet", "resnet20", "resnet20 pad", "mobilenet_small", "resnet18"]
)
def test_networks_fold_to_one_call(name):
    """The networks of the package are one call, without a batch norm of its own."""
    shape = {"digits": (1, 8, 8, 1), "lenet": (1, 28, 28, 1)}.get(name, (1, 32, 32, 3))
    name, *options = name.split()
    model = drawn(lambda: getattr(models, name)(*options, rng=0), "float32")
    folded = model.fold()
    x = images(*shape, dtype=np.float32)
    y, plan = folded(x), folded.plan(shape)

    assert plan.one_call
    assert not any(row["kernel"].startswith("BatchNorm") for row in plan.rows)
    # logits of some thousand float32 products in up to 20 layers
    np.testing.assert_allclose(y, model(x), rtol=0, atol=1e-4 * max(1, np.abs(y).max()))


def test_resnet20_folds_its_sums():
    """Nine convolutions take norm, sum and ReLU, and all others their norm."""
    plan = models.resnet20().fold().plan((1, 32, 32, 3))

    assert 9 == plan.count("Conv2d+BatchNorm+add+ReLU")
    assert 10 == plan.count("Conv2d+BatchNorm+ReLU")
    assert 2 == plan.count("Conv2d+BatchNorm")


def test_values_share_buffers(monkeypatch):
    """A chain needs two buffers, and so does a residual network, whose sums replace a summand."""
    arenas = []
    places = program._places

    def spy(*arguments):
        arenas.append(places(*arguments)[1])
        return places(*arguments)

    monkeypatch.setattr(program, "_places", spy)
    image = 32 * 32 * 16
    chain = [cl.Conv2d(16, 16, 1) for _ in range(6)]
    cl.Sequential(*chain).fold()(np.zeros((1, 32, 32, 16), np.float32))
    models.resnet20().fold()(np.zeros((1, 32, 32, 3), np.float32))

    assert [2 * image, 2 * image] == arenas


# The inputs in whose place y may lie, by kind.
OVER = {
    "max_pool2d": lambda x: (),
    "relu": lambda x: (x,),
    "add": lambda x, z: (x, z),
    "conv2d": lambda x, z: (z,) if x != z else (),
}


def test_places_do_not_overlap_while_they_are_read():
    """No value lies where another one is still to be read, but for those that y may replace."""
    rng = np.random.default_rng(4)
    replaced = set()
    for _ in range(300):
        count = int(rng.integers(2, 12))
        elements = [int(n) for n in rng.choice([7, 16, 40], count + 1)]
        ops = []
        for y in range(1, count + 1):
            kind, z = rng.choice(list(OVER)), int(rng.integers(max(0, y - 4), y))
            ops.append((kind, y, (y - 1, z) if kind in ("add", "conv2d") else (y - 1,)))
        found, arena = program._places(ops, elements, 16)
        for i, (kind, y, inputs) in enumerate(ops[:-1]):
            later = {v for op in ops[i + 1 :] for v in op[2]}
            begin, end = found[y], found[y] + elements[y]
            assert begin % 16 == 0
            assert end <= arena
            for v in [v for v in found if v < y and (v in later or v in inputs)]:
                apart = found[v] + elements[v] <= begin or end <= found[v]
                same = (found[v], elements[v]) == (begin, elements[y])
                assert apart or (same and v in OVER[kind](*inputs) and v not in later)
                replaced |= set() if apart else {kind}

    assert {"relu", "add", "conv2d"} == replaced


def test_folding_leaves_the_model_and_is_left_by_it():
    """Neither training the model nor throwing it away changes a folded copy."""
    model = drawn(residual, "float32")
    x = images(4, 8, 6, 3, dtype=np.float32)
    before = model.state_dict()
    folded = model.fold()
    y = folded(x)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(before[name], value)
    out, pullback = model.vjp(x)
    pullback(out)
    cl.SGD(model.parameters(), lr=0.1).step()

    assert not np.array_equal(y, model(x))
    np.testing.assert_array_equal(y, folded(x))
    assert not hasattr(folded, "vjp")


def test_small_weights_fold_whatever_numpy_makes_of_them():
    """Weights that are below the least float32 once folded are no error: they become 0."""
    model = cl.Sequential(cl.Conv2d(1, 1, 1), cl.BatchNorm(1))
    model[0].weight.value[...] = model[1].gamma.value[...] = 1e-30
    x = np.ones((1, 1, 1, 1), np.float32)
    with np.errstate(all="raise"):
        assert model.fold()(x) == 0


def test_a_shared_convolution_folds_with_each_norm():
    """One convolution before two norms has two sets of folded weights."""
    conv = cl.Conv2d(3, 3, 1)

    def make():
        return cl.Sequential(conv, cl.BatchNorm(3), conv, cl.BatchNorm(3), conv)

    model = drawn(make, "float64")
    x = images(2, 4, 4, 3)

    np.testing.assert_allclose(model.fold()(x), model(x), rtol=0, atol=1e-13)


def test_the_same_bits_for_any_number_of_threads():
    """One, two and three threads, and eight callers at once, give the same bits."""
    folded = drawn(lambda: models.resnet20(rng=0), "float32").fold()
    batches = [images(n, 32, 32, 3, seed=n, dtype=np.float32) for n in (1, 2, 3, 1)] * 4
    with cl.num_threads(1):
        serial = [folded(x) for x in batches]
    for threads in (2, 3):
        with cl.num_threads(threads):
            for x, y in zip(batches, serial, strict=True):
                np.testing.assert_array_equal(y, folded(x))
    fresh = drawn(lambda: models.resnet20(rng=0), "float32").fold()
    with ThreadPoolExecutor(8) as pool:
        for y, together in zip(serial, pool.map(fresh, batches), strict=True):
            np.testing.assert_array_equal(y, together)


@pytest.mark.parametrize("again", [lambda f: f, lambda f: pickle.loads(pickle.dumps(f))])
def test_parameters_lie_side_by_side(again):
    """Those of a folded model share one block, each on a cache line, and have no gradients."""
    model = cl.Sequential(cl.Linear(5, 3), cl.Tanh(), cl.Linear(3, 7), rng=0)
    parameters = again(model.fold())._model._all_parameters()
    (block,) = {id(p.value.base): p.value.base for p in parameters}.values()

    assert [0, 64, 128, 256] == [
        p.value.ctypes.data - parameters[0].value.ctypes.data for p in parameters
    ]
    assert all(np.may_share_memory(block, p.value) for p in parameters)
    assert 0 == parameters[0].value.ctypes.data % 64
    for mine, theirs in zip(parameters, model.parameters(), strict=True):
        np.testing.assert_array_equal(theirs.value, mine.value)


def test_copies_and_pickles():
    """A folded model is copied and pickled like any object."""
    folded = drawn(residual, "float32").fold()
    x = images(2, 8, 6, 3, dtype=np.float32)
    for duplicate in (copy.deepcopy(folded), pickle.loads(pickle.dumps(folded))):
        np.testing.assert_array_equal(folded(x), duplicate(x))


def test_errors_are_those_of_the_model():
    """Wrong input is refused as it is at the door of the model, by every call."""
    folded = cl.Sequential(*unit(3, 4)).fold()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"layer 0 of Sequential, Conv2d.*3 channels|channels"):
            folded(np.zeros((1, 4, 4, 2), np.float32))
        with pytest.raises(TypeError, match="float64"):
            folded(np.zeros((1, 4, 4, 3)))
        with pytest.raises(TypeError, match="array"):
            folded(None)
    assert (2, 4, 4, 4) == folded.output_shape((2, 4, 4, 3))


def test_options_hold_at_the_call():
    """Forbidding Winograd gives the bits of the direct engine."""
    model = drawn(lambda: cl.Sequential(*unit(3, 32), *unit(32, 32)), "float32")
    for layer in (model[0][0], model[0][2]):
        layer.algorithm = "im2col"
    direct = model.fold()
    for layer in (model[0][0], model[0][2]):
        layer.algorithm = "auto"
    folded = model.fold()
    x = images(1, 16, 16, 3, dtype=np.float32)
    folded(x)
    with cl.options(winograd=False):
        np.testing.assert_array_equal(direct(x), folded(x))


def test_inference_allocates_nothing_after_the_first_call():
    """Workspace and result come from the cache."""
    folded = models.digits(rng=0).fold()
    x = images(3, 8, 8, 1, dtype=np.float32)

    assert_allocates_nothing_later(lambda: folded(x))


# ---------------------------------------------------------------- programs of the core


def a_program(code="f", **changes):
    """Build y = relu(x w + b) from 3 to 2 features in two operators."""
    weights = np.ones((3, 2), code), np.zeros(2, code)
    parts = {
        "values": [(3, 0), (2, 0), (2, 0)],
        "ops": [("linear", 2, (0,), (1, 3, 2), weights), ("relu", 1, (2,), (), ())],
        "arena": 2,
    } | changes
    return _core.Program(code, parts["values"], parts["ops"], parts["arena"])


def test_a_program_runs():
    """It computes what its operators say, for both types."""
    for code in "fd":
        y, x = np.full((1, 2), np.nan, code), np.array([[1, 2, -1]], code)
        a_program(code).run(y, x, 1)

        np.testing.assert_array_equal([[2, 2]], y)


W, B = np.ones((3, 2), np.float32), np.zeros(2, np.float32)


def test_a_program_holds_its_arrays_while_it_lives():
    """An array of the standard library may only be read meanwhile, and grow afterwards."""
    w = standard_array.array("f", W.ravel())
    w_read = memoryview(w).toreadonly()
    program = a_program(ops=[("linear", 1, (0,), (1, 3, 2), (w_read, B))])
    del w_read
    with pytest.raises(BufferError):
        w.append(1.0)
    del program
    w.append(1.0)

    assert len(w) == 7


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "q"}, ValueError),
        ({"ops": []}, ValueError),
        ({"values": [(3, 0)]}, ValueError),
        ({"values": [(4, 0), (2, 0), (2, 0)]}, ValueError),
        ({"values": [(3, 0), (2, 0), (2, 1)]}, ValueError),
        ({"arena": 1}, ValueError),
        ({"ops": [("no such", 1, (0,), (), ())]}, KeyError),
        ({"ops": [("relu", 1, (7,), (), ())]}, ValueError),
        ({"ops": [("linear", 1, (0,), (1, 3, 2), (W[:2], B))]}, ValueError),
        ({"ops": [("linear", 1, (0,), (1, 3, 2), (W, B[:1]))]}, ValueError),
        ({"ops": [("linear", 1, (0,), (1, 3, 2), (W.astype("d"), B))]}, TypeError),
        ({"ops": [("linear", 1, (0,), (1, 3), (W, B))]}, ValueError),
        ({"ops": [("linear", 1, (0,), (1, 3, 2), (None, B))]}, TypeError),
        ({"ops": [("linear", 1, (0,), (-1, 3, 2), (W, B))]}, ValueError),
    ],
)
def test_programs_that_are_refused(changes, error):
    """What does not go together is an error when it is made; nothing is run."""
    with pytest.raises(error):
        a_program(**changes)


@pytest.mark.parametrize(
    ("y", "x", "error"),
    [
        (np.zeros((1, 2), "f"), np.zeros((1, 4), "f"), ValueError),
        (np.zeros((1, 3), "f"), np.zeros((1, 3), "f"), ValueError),
        (np.zeros((1, 2), "d"), np.zeros((1, 3), "f"), TypeError),
        (np.zeros((1, 2), "f"), np.zeros((1, 3), "d"), TypeError),
        (None, np.zeros((1, 3), "f"), TypeError),
    ],
)
def test_arrays_that_are_refused(y, x, error):
    """A program takes its own type and number of elements."""
    with pytest.raises(error):
        a_program().run(y, x, 1)
