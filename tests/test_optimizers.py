"""Optimizers: their steps against the reference, groups, functions of t, state and errors."""

import copy
import re

import numpy as np
import pytest

import convlet as cl
from convlet import reference

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]
STEPS = 6


def close(actual, expected):
    """Hold an array to its reference: a few roundings a step, relative to numbers of order 1."""
    bound = 1e-5 if actual.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [cl.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]


def packed(dtype="float32"):
    """Parameters of a model, side by side in one block."""
    model = cl.Sequential(cl.Linear(3, 4), cl.BatchNorm(4), cl.Linear(4, 2), rng=0).astype(dtype)
    return model.parameters()


def gradients(ps, t):
    """Draw the gradients of step t, some of them 0."""
    rng = np.random.default_rng(t)
    for p in ps:
        p.grad = (rng.standard_normal(p.shape) * (rng.random(p.shape) > 0.2)).astype(p.dtype)


def values(ps):
    return [p.value.copy() for p in ps]


def number(option, t):
    return option(t) if callable(option) else option


# ---------------------------------------------------------------- against the reference

SGD_OPTIONS = {
    "plain": {},
    "l2": {"l2": 0.1},
    "weight decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "dampened": {"momentum": 0.9, "dampening": 0.3, "l2": 0.01},
    "nesterov": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    "functions": {
        "lr": lambda t: 0.1 / t,
        "momentum": lambda t: 1 - 1 / (t + 1),
        "l2": lambda t: 0.01 * t,
    },
    "momentum from 0": {"momentum": lambda t: (t - 1) / (t + 2), "l2": 0.1, "nesterov": True},
}
ADAM_OPTIONS = {
    "plain": {},
    "l2": {"l2": 0.1},
    "eps": {"eps": 0.1},
    "betas": {"betas": (0.5, 0.6)},
    "no eps": {"eps": 0.0},
    "functions": {
        "lr": lambda t: 0.1 / np.sqrt(t),
        "betas": (lambda t: 0.9 * (1 - 1 / t), lambda t: 1 - 1 / t),
        "eps": lambda t: 0.1 / t,
    },
}
ADAGRAD_OPTIONS = {
    "plain": {},
    "no eps": {"eps": 0.0},
    "l2": {"l2": 0.1, "eps": lambda t: 0.1 / t},
    "decay": {"lr_decay": 0.3, "initial_accumulator": 0.5},
}


@pytest.mark.parametrize("make", [parameters, lambda d: packed(np.dtype(d))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SGD_OPTIONS)
def test_sgd_steps(make, dtype, name):
    """SGD takes the steps of the reference, apart or side by side in memory."""
    options = {"lr": 0.1} | SGD_OPTIONS[name]
    ps = make(dtype)
    optimizer = cl.SGD(ps, **options)
    expected = [(w.astype(np.float64), None) for w in values(ps)]
    for t in range(1, STEPS + 1):
        gradients(ps, t)
        now = {key: number(option, t) for key, option in options.items()}
        expected = [
            reference.sgd_step(w, p.grad.astype(np.float64), velocity, **now)
            for (w, velocity), p in zip(expected, ps, strict=True)
        ]
        optimizer.step()

        for p, (w, _) in zip(ps, expected, strict=True):
            close(p.value, w)


@pytest.mark.parametrize("make", [parameters, lambda d: packed(np.dtype(d))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ADAM_OPTIONS)
def test_adam_steps(make, dtype, name):
    """Adam takes the steps of the reference, and keeps its moments and products."""
    options = {"lr": 0.1} | ADAM_OPTIONS[name]
    ps = make(dtype)
    optimizer = cl.Adam(ps, **options)
    expected = [(w.astype(np.float64), 0.0, 0.0, (1.0, 1.0)) for w in values(ps)]
    for t in range(1, STEPS + 1):
        gradients(ps, t)
        now = {key: number(option, t) for key, option in options.items()}
        if "betas" in options:
            now["betas"] = tuple(number(beta, t) for beta in options["betas"])
        expected = [
            reference.adam_step(w, p.grad.astype(np.float64), m, v, products, **now)
            for (w, m, v, products), p in zip(expected, ps, strict=True)
        ]
        optimizer.step()

        state = optimizer.state_dict()
        assert t == state["step"]
        for i, (w, m, v, products) in enumerate(expected):
            close(ps[i].value, w)
            close(state[f"m.{i}"], m)
            close(state[f"v.{i}"], v)
            np.testing.assert_allclose(state["beta_products"][i], products, rtol=1e-15)


@pytest.mark.parametrize("make", [parameters, lambda d: packed(np.dtype(d))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ADAGRAD_OPTIONS)
def test_adagrad_steps(make, dtype, name):
    """AdaGrad takes the steps of the reference."""
    options = {"lr": 0.1} | ADAGRAD_OPTIONS[name]
    ps = make(dtype)
    optimizer = cl.AdaGrad(ps, **options)
    now = dict(options)
    start, decay = now.pop("initial_accumulator", 0.0), now.pop("lr_decay", 0.0)
    expected = [(w.astype(np.float64), start) for w in values(ps)]
    for t in range(1, STEPS + 1):
        gradients(ps, t)
        at_t = {key: number(option, t) for key, option in now.items()}
        at_t["lr"] /= 1 + (t - 1) * decay
        expected = [
            reference.adagrad_step(w, p.grad.astype(np.float64), total, **at_t)
            for (w, total), p in zip(expected, ps, strict=True)
        ]
        optimizer.step()

        for i, (w, total) in enumerate(expected):
            close(ps[i].value, w)
            close(optimizer.state_dict()[f"v.{i}"], total)


MAKERS = {
    "SGD": lambda ps, **o: cl.SGD(ps, **({"lr": 0.1, "momentum": 0.9} | o)),
    "Adam": lambda ps, **o: cl.Adam(ps, **({"lr": 0.1} | o)),
    "AMSGrad": lambda ps, **o: cl.Adam(ps, **({"lr": 0.1, "amsgrad": True} | o)),
    "AdaGrad": lambda ps, **o: cl.AdaGrad(ps, **({"lr": 0.1} | o)),
    "RMSProp": lambda ps, **o: cl.RMSProp(
        ps, **({"lr": 0.1, "momentum": 0.9, "centered": True} | o)
    ),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


# ---------------------------------------------------------------- memory


def test_neighbours_are_stepped_as_one(make):
    """Parameters of a model that are alike come to the core as one segment, others as their own."""
    ps = packed()
    assert [1] == [len(segments) for _, _, segments in make(ps)._batches()]
    assert [2] == [len(segments) for _, _, segments in make([ps[0], ps[1], ps[3]])._batches()]
    assert [3] == [len(segments) for _, _, segments in make(ps[2::-1])._batches()]
    groups = [{"params": ps[:2]}, {"params": ps[2:], "lr": 0.2}]
    assert [1, 1] == [len(segments) for _, _, segments in make(groups)._batches()]
    ps[2].trainable = False
    assert [2] == [len(segments) for _, _, segments in make(ps)._batches()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layout_in_memory_does_not_change_a_bit(make, dtype):
    """Side by side, in another order or each for itself, parameters get the same bits."""
    together = packed(np.dtype(dtype))
    apart = [cl.Parameter(p.value) for p in together]
    turned = [cl.Parameter(p.value) for p in together]
    optimizers = [make(together), make(apart), make(turned[::-1])]
    for t in range(1, STEPS + 1):
        for ps in (together, apart, turned):
            gradients(ps, t)
        for optimizer in optimizers:
            optimizer.step()

    for a, b, c in zip(together, apart, turned, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
        np.testing.assert_array_equal(a.value, c.value)


def test_parameters_that_a_model_packs_later(make):
    """An optimizer made before the model was packed steps the memory that the model uses."""
    model = cl.Sequential(cl.Linear(3, 2), cl.Linear(2, 2), rng=0)
    optimizer = make([model[1].weight, model[0].weight])
    gradients([model[1].weight, model[0].weight], 1)
    optimizer.step()
    before = values(model.parameters())
    gradients(model.parameters(), 2)
    optimizer.step()
    moved = [
        not np.array_equal(b, p.value) for b, p in zip(before, model.parameters(), strict=True)
    ]

    assert [True, False, True, False] == moved


def test_zero_grad_fills_with_zeros_in_place(make):
    """Gradients become 0, also where they were NaN, in the same memory."""
    ps = packed()
    arrays = [p.grad for p in ps]
    for g in arrays:
        g[...] = np.nan
    make(ps).zero_grad()

    assert all(p.grad is g and not g.any() for p, g in zip(ps, arrays, strict=True))


# ---------------------------------------------------------------- groups and functions


def test_groups_have_their_own_options(make):
    """A group's options go before those of the optimizer, as two optimizers would have it."""
    ps, left, right = parameters(), parameters()[:2], parameters()[2:]
    groups = make([{"params": ps[:2]}, {"params": ps[2:], "lr": 0.5, "l2": 0.2}])
    single, other = make(left), make(right, lr=0.5, l2=0.2)
    for t in range(1, STEPS + 1):
        gradients(ps, t)
        for p, q in zip(ps, left + right, strict=True):
            q.grad = p.grad
        for optimizer in (groups, single, other):
            optimizer.step()

    for p, q in zip(ps, left + right, strict=True):
        np.testing.assert_array_equal(q.value, p.value)


def test_functions_are_called_once_a_step(make):
    """A function sees t = 1, 2, ... once each, however many groups share it."""
    seen = []
    ps = parameters()
    optimizer = make(
        [{"params": [p]} for p in ps], lr=lambda t: seen.append(t) or 0.1, l2=lambda t: 0.0
    )
    assert [] == seen
    for _ in range(3):
        optimizer.step()

    assert [1, 2, 3] == seen


def test_types_may_be_mixed(make):
    """One optimizer steps parameters of both types."""
    ps = parameters(np.float64)[:2] + parameters(np.float32)[2:]
    twins = copy.deepcopy(ps)
    optimizers = [make(ps), make(twins[:2]), make(twins[2:])]
    for t in range(1, STEPS + 1):
        for group in (ps, twins):
            gradients(group, t)
        for optimizer in optimizers:
            optimizer.step()

    for p, q in zip(ps, twins, strict=True):
        np.testing.assert_array_equal(q.value, p.value)


def test_non_finite_gradients_propagate(make):
    """A NaN is not skipped silently: it arrives in the weight, and only there."""
    (p,) = parameters()[1:2]
    before = p.value.copy()
    p.grad[...] = [1, np.nan, 1, 1, 1]
    make([p]).step()

    np.testing.assert_array_equal([False, True, False, False, False], np.isnan(p.value))
    assert (p.value[[0, 2, 3, 4]] != before[[0, 2, 3, 4]]).all()


@pytest.mark.parametrize("size", [1e-38, 3.3e38])
def test_a_momentum_from_0_on_is_no_error_of_numpy(size):
    """Where NumPy raises, a step still takes numbers that float32 does not hold once scaled."""
    p = cl.Parameter(np.full(3, size, np.float32))
    p.grad[...] = size
    twin = copy.deepcopy(p)
    for parameter, errors in ((p, "raise"), (twin, "ignore")):
        optimizer = cl.SGD([parameter], lr=0.1, momentum=lambda t: (t - 1) / t, l2=0.1)
        with np.errstate(all=errors):
            optimizer.step()

    np.testing.assert_array_equal(p.value, twin.value)


# ---------------------------------------------------------------- freezing


def test_frozen_parameters_are_skipped(make):
    """Neither the value nor the moments of a frozen parameter change, decay included."""
    ps = parameters()
    ps[1].trainable = False
    optimizer = make(ps, l2=0.1)
    before, state = values(ps), optimizer.state_dict()
    gradients(ps, 1)
    optimizer.step()

    assert [True, False, True, True] == [
        not np.array_equal(b, p.value) for b, p in zip(before, ps, strict=True)
    ]
    for key, value in optimizer.state_dict().items():
        if key.endswith(".1"):
            np.testing.assert_array_equal(state[key], value)


def test_a_parameter_that_joins_later_starts_afresh(make):
    """After unfreezing, the first steps are those of a new optimizer: corrected as the first."""
    ps, late = parameters(), parameters()[:1]
    optimizer, fresh = make(ps), make(late)
    ps[0].trainable = False
    for t in range(1, 4):
        gradients(ps, t)
        optimizer.step()
    ps[0].trainable = True
    for t in range(4, 7):
        gradients(ps, t)
        late[0].grad = ps[0].grad
        optimizer.step()
        fresh.step()

        np.testing.assert_array_equal(late[0].value, ps[0].value)


def test_everything_frozen_is_no_error(make):
    """A step of frozen parameters only counts."""
    ps = parameters()
    optimizer = make(ps)
    for p in ps:
        p.trainable = False
    before = values(ps)
    optimizer.step()

    assert 1 == optimizer.state_dict()["step"]
    assert all(np.array_equal(b, p.value) for b, p in zip(before, ps, strict=True))


# ---------------------------------------------------------------- state


def test_state_round_trip(make, tmp_path):
    """An optimizer goes on from a saved state bit for bit, functions of t included."""
    options = {"lr": lambda t: 0.1 / t}
    ps = parameters()
    ps[3].trainable = False
    optimizer = make(ps, **options)
    for t in range(1, 4):
        gradients(ps, t)
        optimizer.step()
    np.savez(tmp_path / "state.npz", **optimizer.state_dict())
    twins = [cl.Parameter(p.value) for p in ps]
    other = make(twins, **options)
    with np.load(tmp_path / "state.npz") as saved:
        other.load_state_dict(saved)
    ps[3].trainable = True
    for t in range(4, 7):
        for group in (ps, twins):
            gradients(group, t)
        optimizer.step()
        other.step()

        for p, q in zip(ps, twins, strict=True):
            np.testing.assert_array_equal(p.value, q.value)
    assert 6 == other.state_dict()["step"]


def test_state_dict_is_a_copy(make):
    """Later steps do not change a state that was taken."""
    ps = parameters()
    optimizer = make(ps)
    gradients(ps, 1)
    optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.step()

    assert kept.keys() == state.keys()
    assert all(np.array_equal(kept[key], state[key]) for key in kept)


def test_plain_sgd_keeps_no_arrays_of_parameters():
    """Without momentum there is nothing to remember but the steps."""
    assert ["step", "started"] == list(cl.SGD(parameters(), lr=0.1).state_dict())


def test_load_state_dict_is_strict(make):
    """All that is wrong with a state is named in one error, and nothing is written."""
    ps = parameters()
    optimizer = make(ps)
    gradients(ps, 1)
    optimizer.step()
    state = optimizer.state_dict()
    (name,) = (n for n in ("m", "v") if f"{n}.0" in state and (n == "m" or "m.0" not in state))
    broken = dict(state) | {"step": 9, "extra": np.zeros(1)}
    del broken[f"{name}.0"]
    broken[f"{name}.1"] = np.ones(4)
    broken[f"{name}.3"] = np.ones(SHAPES[3], np.float32)
    with pytest.raises(ValueError, match="nothing was loaded") as caught:
        optimizer.load_state_dict(broken)

    problems = [
        f"missing {name}.0",
        "unexpected extra",
        f"{name}.1: expected shape (5,), got (4,)",
        f"{name}.3: expected float64, got float32",
    ]
    assert problems == [line.strip() for line in str(caught.value).splitlines()[1:]]
    for wrong in (-1, 1.5, "three"):
        with pytest.raises(ValueError, match="step: expected"):
            optimizer.load_state_dict(state | {"step": wrong})
    with pytest.raises(TypeError, match=f"{name}.0 is a masked array"):
        optimizer.load_state_dict(state | {f"{name}.0": np.ma.masked_array(state[f"{name}.0"])})
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(state[key], value)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        ("SGD", {"lr": [0.1]}, TypeError, r"SGD: expected lr to be a number, got \[0.1\]"),
        ("SGD", {"momentum": (0.9,)}, TypeError, r"momentum to be a number, got \(0.9,\)"),
        (
            "Adam",
            {"learning_rate": 0.1},
            TypeError,
            r"\['learning_rate'\]; expected lr, betas, eps",
        ),
        ("SGD", {"lr": -0.1}, ValueError, "SGD: expected lr to be at least 0 and finite, got -0.1"),
        ("SGD", {"lr": np.nan}, ValueError, "lr .* got nan"),
        ("SGD", {"lr": np.inf}, ValueError, "lr .* got inf"),
        ("SGD", {"lr": "fast"}, TypeError, "lr to be a number, got 'fast'"),
        ("SGD", {"lr": True}, TypeError, "lr to be a number, got True"),
        ("SGD", {"momentum": -1}, ValueError, "momentum"),
        ("SGD", {"weight_decay": -1}, ValueError, "weight_decay"),
        ("SGD", {"momentum": 0.0, "nesterov": True}, ValueError, "nesterov"),
        ("SGD", {"dampening": 0.1, "nesterov": True}, ValueError, "nesterov"),
        ("SGD", {"nesterov": "no"}, TypeError, "nesterov to be True or False, got 'no'"),
        ("Adam", {"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] to be at least 0 and below 1"),
        ("Adam", {"betas": (-0.1, 0.9)}, ValueError, r"betas\[0\]"),
        ("Adam", {"betas": 0.9}, TypeError, "betas to be a pair, got 0.9"),
        ("Adam", {"betas": (0.9,)}, TypeError, "betas to be a pair"),
        ("Adam", {"eps": -1e-8}, ValueError, "eps"),
        ("Adam", {"weight_decay": 0.1}, TypeError, "l2=.*AdamW"),
        ("AdaGrad", {"lr_decay": -1}, ValueError, "lr_decay"),
        ("AdaGrad", {"initial_accumulator": -1}, ValueError, "initial_accumulator"),
        ("AdaGrad", {"initial_accumulator": lambda t: 0}, TypeError, "initial_accumulator"),
    ],
)
def test_options_out_of_range(kind, options, error, message):
    """An option that makes no sense is an error that names it and the value."""
    with pytest.raises(error, match=message):
        MAKERS[kind](parameters(), **options)


def test_options_cannot_be_set(make):
    """What would have no effect, such as a new lr, is an error with the cure."""
    optimizer = make(parameters())
    with pytest.raises(AttributeError, match=r"lr cannot be set; .* function of the step t"):
        optimizer.lr = 0.01


def test_repr():
    """The representation names each group's size and options."""
    ps = parameters()
    optimizer = cl.SGD([{"params": ps[:1], "l2": 0.5}, {"params": ps[1:]}], lr=0.1)

    options = "momentum=0.0, dampening=0.0, nesterov=False"
    expected = (
        f"SGD(1 parameters: lr=0.1, {options}, l2=0.5, weight_decay=0.0; "
        f"3 parameters: lr=0.1, {options}, l2=0.0, weight_decay=0.0)"
    )
    assert expected == repr(optimizer)


def test_lists_that_are_no_parameters(make):
    """What is not a list of distinct parameters is refused, with the cure."""
    p, model = parameters()[0], cl.Sequential(cl.Linear(2, 2))
    for wrong, error, message in [
        ([], ValueError, "at least one parameter"),
        ([{"params": []}], ValueError, "at least one parameter"),
        ([p, p], ValueError, "parameter 1 is also parameter 0"),
        ([{"params": [p]}, {"params": [p]}], ValueError, "parameter 1 is also parameter 0"),
        (p, TypeError, "list of parameters"),
        (model, TypeError, re.escape("model.parameters()")),
        (3, TypeError, "list of parameters"),
        ([p.value], TypeError, "got ndarray"),
        ([{"params": [p]}, p], TypeError, "group 1"),
        ([{"parameters": [p]}], TypeError, "'params'"),
        ([{"params": [p], "learning_rate": 1}], TypeError, "learning_rate.*'lr'"),
    ]:
        with pytest.raises(error, match=message):
            make(wrong)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, None])
def test_functions_are_checked_before_anything_is_written(make, bad):
    """A function that gives no usable number fails with its name and t, and no step is taken."""
    ps = parameters()
    groups = [{"params": ps[:2]}, {"params": ps[2:], "l2": lambda t: 0.1 if t < 3 else bad}]
    optimizer = make(groups)
    for t in (1, 2):
        gradients(ps, t)
        optimizer.step()
    before, state = values(ps), optimizer.state_dict()
    with pytest.raises((ValueError, TypeError), match=f"l2 .*at t = 3, got {bad}"):
        optimizer.step()

    for b, p in zip(before, ps, strict=True):
        np.testing.assert_array_equal(b, p.value)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(state[key], value)


def test_an_exception_in_a_function_writes_nothing(make):
    """What a function raises comes out, and no step has been taken."""
    ps = parameters()
    gradients(ps, 1)
    before = values(ps)
    with pytest.raises(ZeroDivisionError):
        make(ps, lr=lambda t: 1 / (t - 1)).step()

    assert all(np.array_equal(b, p.value) for b, p in zip(before, ps, strict=True))
