"""Adam's relatives, RMSProp, NAdam and Lion: a hundred steps against the reference, and options."""

import functools

import numpy as np
import pytest

import convlet as cl
from convlet import reference
from same_bits import assert_same_bits, needs_fma

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]
KINDS = ["weight", "bias", "norm", "weight"]
STEPS = 100


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [
        cl.Parameter(rng.standard_normal(shape).astype(dtype), kind=kind)
        for shape, kind in zip(SHAPES, KINDS, strict=True)
    ]


def gradients(ps, t):
    """Draw the gradients of step t, of many sizes, some of them 0."""
    rng = np.random.default_rng(t)
    for p in ps:
        size = np.exp(rng.standard_normal(p.shape)) * (rng.random(p.shape) > 0.2)
        p.grad = np.asarray(rng.standard_normal(p.shape) * size, p.dtype)


def at(option, t):
    if isinstance(option, tuple):
        return tuple(at(entry, t) for entry in option)
    return option(t) if callable(option) else option


# ---------------------------------------------------------------- against the reference


class AdamState:
    def __init__(self, p, amsgrad=False, **options):
        self.moments = [np.zeros(p.shape), np.zeros(p.shape)]
        self.products, self.options, self.kind = (1.0, 1.0), options, p.kind
        self.v_max = np.zeros(p.shape) if amsgrad else None

    def step(self, w, g, t):
        options = {name: at(option, t) for name, option in self.options.items()}
        w, *self.moments, self.products = reference.adam_step(
            w, g, *self.moments, self.products, v_max=self.v_max, **options
        )[:4]
        if self.v_max is not None:
            self.v_max = np.maximum(self.v_max, self.moments[1])
        return w

    def names(self):
        return dict(zip("mv", self.moments, strict=True)) | (
            {} if self.v_max is None else {"v_max": self.v_max}
        )


class AdamWState(AdamState):
    def step(self, w, g, t):
        options = {name: at(option, t) for name, option in self.options.items()}
        if self.kind not in options.pop("decay_kinds", ("weight",)):
            options["weight_decay"] = 0.0
        w, *self.moments, self.products = reference.adamw_step(
            w, g, *self.moments, self.products, **options
        )
        return w


class NAdamState(AdamState):
    def step(self, w, g, t):
        options = {name: at(option, t) for name, option in self.options.items()}
        w, *self.moments, self.products = reference.nadam_step(
            w, g, *self.moments, self.products, t=t, **options
        )
        return w


class RMSPropState:
    def __init__(self, p, centered=False, **options):
        self.squares, self.options = np.zeros(p.shape), options
        self.mean = np.zeros(p.shape) if centered else None
        self.velocity = np.zeros(p.shape) if "momentum" in options else None

    def step(self, w, g, t):
        options = {name: at(option, t) for name, option in self.options.items()}
        w, self.squares, self.mean, self.velocity = reference.rmsprop_step(
            w, g, self.squares, self.mean, self.velocity, **options
        )
        return w

    def names(self):
        second = self.squares if self.mean is None else self.squares - np.square(self.mean)
        named = {"v": second, "mean": self.mean, "m": self.velocity}
        return {name: value for name, value in named.items() if value is not None}


class LionState:
    def __init__(self, p, **options):
        self.m, self.options = np.zeros(p.shape), options

    def step(self, w, g, t):
        options = {name: at(option, t) for name, option in self.options.items()}
        w, self.m = reference.lion_step(w, g, self.m, **options)
        return w

    def names(self):
        return {"m": self.m}


def falling(t):
    return 0.1 / t


CASES = {
    "amsgrad": (cl.Adam, AdamState, {"lr": 0.01, "amsgrad": True, "l2": 0.1}),
    "hat": (cl.Adam, AdamState, {"lr": 0.01, "eps": 1e-3, "eps_mode": "hat"}),
    "hat amsgrad": (
        cl.Adam,
        AdamState,
        {"lr": 0.01, "eps": 1e-3, "eps_mode": "hat", "amsgrad": True, "betas": (0.5, 0.6)},
    ),
    "adamw": (cl.AdamW, AdamWState, {"lr": 0.01, "weight_decay": 0.1}),
    "adamw all": (
        cl.AdamW,
        AdamWState,
        {"lr": falling, "weight_decay": 0.1, "decay_kinds": ("weight", "bias", "norm")},
    ),
    "nadam": (cl.NAdam, NAdamState, {"lr": 0.01}),
    "nadam functions": (
        cl.NAdam,
        NAdamState,
        {
            "lr": falling,
            "betas": (lambda t: 0.9 * (1 - 1 / t), lambda t: 1 - 1 / t),
            "momentum_decay": lambda t: 0.01 * t,
            "eps": 1e-3,
        },
    ),
    "rmsprop": (cl.RMSProp, RMSPropState, {"lr": 0.01, "l2": 0.1}),
    "rmsprop momentum": (cl.RMSProp, RMSPropState, {"lr": 0.01, "momentum": 0.9, "eps": 1e-3}),
    "rmsprop centered": (cl.RMSProp, RMSPropState, {"lr": 0.01, "centered": True, "eps": 1e-3}),
    "rmsprop functions": (
        cl.RMSProp,
        RMSPropState,
        {
            "lr": falling,
            "centered": True,
            "alpha": lambda t: 1 - 1 / (t + 1),
            "momentum": lambda t: 0.5 - 0.5 / t,
            "eps": 1e-2,
        },
    ),
    "lion": (cl.Lion, LionState, {"lr": 0.01, "weight_decay": 0.1}),
    "lion functions": (cl.Lion, LionState, {"lr": falling, "betas": (0.5, lambda t: 1 - 1 / t)}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps(name, dtype):
    """Weights and moments are those of the reference in float64, up to a few roundings a step."""
    make, state_of, options = CASES[name]
    ps = parameters(dtype)
    optimizer = make(ps, **options)
    states = [state_of(p, **options) for p in ps]
    expected = [p.value.astype(np.float64) for p in ps]
    bound = 5e-5 if dtype == np.float32 else 1e-12
    for t in range(1, STEPS + 1):
        gradients(ps, t)
        expected = [
            state.step(w, p.grad.astype(np.float64), t)
            for state, w, p in zip(states, expected, ps, strict=True)
        ]
        optimizer.step()

    found = optimizer.state_dict()
    for i, (state, w, p) in enumerate(zip(states, expected, ps, strict=True)):
        np.testing.assert_allclose(p.value, w, rtol=0, atol=bound)
        for key, moment in state.names().items():
            np.testing.assert_allclose(found[f"{key}.{i}"], moment, rtol=bound, atol=bound)


def test_amsgrad_with_v_that_never_falls_is_adam():
    """Where gradients grow, the largest v is v, and the steps are Adam's bit for bit."""
    (p,), (q,) = parameters()[:1], parameters()[:1]
    optimizers = cl.Adam([p], amsgrad=True), cl.Adam([q])
    for t in range(1, 20):
        for each, optimizer in zip((p, q), optimizers, strict=True):
            each.grad.fill(t)
            optimizer.step()

    np.testing.assert_array_equal(q.value, p.value)


def test_reference_adamw_is_adam_and_a_decay():
    """AdamW's step is Adam's, and the weights shrink by lr times the decay."""
    w, g = np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.0, -1.0])
    zeros = np.zeros(3)
    plain = reference.adam_step(w, g, zeros, zeros, lr=0.1)[0]

    np.testing.assert_allclose(
        reference.adamw_step(w, g, zeros, zeros, lr=0.1, weight_decay=0.5)[0],
        plain - 0.1 * 0.5 * w,
        rtol=1e-15,
    )


def test_reference_rmsprop_unrolled():
    """After some steps the mean of squares and the mean are weighted sums over the gradients."""
    rng = np.random.default_rng(0)
    history, alpha = rng.standard_normal((7, 5)), 0.8
    state = np.ones(5), np.zeros(5), np.zeros(5), None
    for g in history:
        state = reference.rmsprop_step(state[0], g, *state[1:], alpha=alpha)
    weights = (1 - alpha) * alpha ** np.arange(6, -1, -1)

    np.testing.assert_allclose(state[1], weights @ np.square(history), rtol=1e-13)
    np.testing.assert_allclose(state[2], weights @ history, rtol=1e-13)


def test_reference_nadam_without_momentum_is_adam():
    """With a first beta of 0 nothing is left of the momentum."""
    rng = np.random.default_rng(0)
    options = {"lr": 0.1, "betas": (0.0, 0.9)}
    adam = nadam = rng.standard_normal(5), np.zeros(5), np.zeros(5), (1.0, 1.0)
    for t in range(1, 6):
        g = rng.standard_normal(5)
        adam = reference.adam_step(adam[0], g, *adam[1:], **options)
        nadam = reference.nadam_step(nadam[0], g, *nadam[1:], t=t, **options)

        np.testing.assert_allclose(nadam[0], adam[0], rtol=1e-14)


def test_centered_rmsprop_keeps_the_variance_of_steady_gradients():
    """Gradients of 1000 ± 1 have a variance of 1, also in float32, where squares swallow it."""
    single, double = (cl.Parameter(np.zeros(2, dtype)) for dtype in (np.float32, np.float64))
    for p in (single, double):
        optimizer = cl.RMSProp([p], alpha=0.9, centered=True)
        for t in range(400):
            p.grad[...] = 1000 + (-1) ** t
            optimizer.step()
        p.grad[...] = optimizer.state_dict()["v.0"]

    np.testing.assert_allclose(single.grad, double.grad, rtol=1e-4)
    assert 0.5 < double.grad[0] < 1.5


# ---------------------------------------------------------------- options


def test_adamw_decays_the_kinds_it_is_told():
    """With gradients of 0 exactly the parameters of these kinds shrink, in their group."""
    ps = parameters()
    groups = [{"params": ps[:2]}, {"params": ps[2:], "decay_kinds": ("norm",), "lr": 0.25}]
    before = [p.value.copy() for p in ps]
    cl.AdamW(groups, lr=0.5, weight_decay=0.5).step()

    for p, w, factor in zip(ps, before, (0.75, 1, 0.875, 1), strict=True):
        np.testing.assert_array_equal(factor * w, p.value)


def test_lion_keeps_zeros_and_nan():
    """A direction of 0 moves nothing, and a NaN is not turned into a sign."""
    p = cl.Parameter(np.ones(4))
    p.grad[...] = [0, np.nan, np.inf, -np.inf]
    cl.Lion([p], lr=0.5).step()

    np.testing.assert_array_equal([1, np.nan, 0.5, 1.5], p.value)


def test_state_of_groups_with_and_without_amsgrad():
    """One group may have AMSGrad and another not; each takes its own steps."""
    ps, left, right = parameters(), parameters()[:2], parameters()[2:]
    both = cl.Adam([{"params": ps[:2], "amsgrad": True}, {"params": ps[2:], "eps_mode": "hat"}])
    single, other = cl.Adam(left, amsgrad=True), cl.Adam(right, eps_mode="hat")
    for t in range(1, 7):
        gradients(ps, t)
        for p, q in zip(ps, left + right, strict=True):
            q.grad = p.grad
        for optimizer in (both, single, other):
            optimizer.step()

    for p, q in zip(ps, left + right, strict=True):
        np.testing.assert_array_equal(q.value, p.value)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (cl.Adam, {"eps_mode": "keras"}, ValueError, "'paper' .*'hat'.*got 'keras'"),
        (cl.Adam, {"amsgrad": 1}, TypeError, "amsgrad to be True or False, got 1"),
        (cl.Adam, {"decay_kinds": ("bias",)}, TypeError, "decay_kinds"),
        (cl.AdamW, {"l2": 0.1}, TypeError, "l2"),
        (cl.AdamW, {"weight_decay": -1}, ValueError, "weight_decay .* got -1"),
        (cl.AdamW, {"decay_kinds": "weight"}, TypeError, r"\('weight',\), got 'weight'"),
        (cl.AdamW, {"decay_kinds": ("weights",)}, ValueError, r"got \['weights'\]"),
        (cl.AdamW, {"amsgrad": "no"}, TypeError, "AdamW: expected amsgrad"),
        (cl.NAdam, {"betas": 0.9}, TypeError, "NAdam: expected betas to be a pair, got 0.9"),
        (cl.NAdam, {"momentum_decay": -1}, ValueError, "momentum_decay"),
        (cl.RMSProp, {"alpha": 1.0}, ValueError, "alpha to be at least 0 and below 1, got 1.0"),
        (cl.RMSProp, {"momentum": -0.1}, ValueError, "momentum"),
        (cl.RMSProp, {"centered": None}, TypeError, "centered to be True or False, got None"),
        (cl.Lion, {"betas": (0.9, 1.5)}, ValueError, r"betas\[1\]"),
        (cl.Lion, {"betas": [0.9]}, TypeError, "Lion: expected betas to be a pair"),
        (cl.Lion, {"l2": 0.1}, TypeError, "l2"),
    ],
)
def test_options_out_of_range(make, options, error, message):
    """An option that makes no sense is an error that names it and the value."""
    with pytest.raises(error, match=message):
        make(parameters(), **options)


# ---------------------------------------------------------------- memory and state

MAKERS = {
    "Adam": functools.partial(cl.Adam, amsgrad=True, eps_mode="hat"),
    "AdamW": functools.partial(cl.AdamW, weight_decay=0.1),
    "NAdam": cl.NAdam,
    "RMSProp": functools.partial(cl.RMSProp, momentum=0.9, centered=True),
    "Lion": functools.partial(cl.Lion, weight_decay=0.1),
    "SGD": functools.partial(cl.SGD, momentum=0.9, dampening=0.1),
    "AdaGrad": functools.partial(cl.AdaGrad, initial_accumulator=0.1, lr_decay=0.1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MAKERS)
def test_state_round_trip(name, dtype, tmp_path):
    """From a saved state the next steps are the same bit for bit, a thawed parameter included.

    They are so too of an optimizer that has stepped before it loads the state.
    """
    ps = parameters(dtype)
    ps[3].trainable = False
    optimizer = MAKERS[name](ps, lr=falling)
    for t in range(1, 4):
        gradients(ps, t)
        optimizer.step()
    np.savez(tmp_path / "state.npz", **optimizer.state_dict())
    twins = [cl.Parameter(p.value, kind=p.kind) for p in ps]
    other = MAKERS[name](twins, lr=falling)
    gradients(twins, 1)
    other.step()
    for p, q in zip(ps, twins, strict=True):
        q.value = p.value
    with np.load(tmp_path / "state.npz") as saved:
        other.load_state_dict(saved)
    ps[3].trainable = True
    for t in range(4, 24):
        for each in (ps, twins):
            gradients(each, t)
        optimizer.step()
        other.step()

        for p, q in zip(ps, twins, strict=True):
            np.testing.assert_array_equal(p.value, q.value)


@pytest.mark.parametrize("name", MAKERS)
def test_layout_in_memory_does_not_change_a_bit(name):
    """Side by side in a model, or each for itself, parameters get the same bits.

    One that stays as it is lies between neighbours in the list, but not in memory.
    """
    model = cl.Sequential(cl.Linear(3, 4), cl.BatchNorm(4), cl.Linear(4, 2), rng=0)
    together = model.parameters()
    together.insert(1, cl.Parameter(np.ones(5, np.float32)))
    apart = [cl.Parameter(p.value, kind=p.kind) for p in together]
    together[1].trainable = apart[1].trainable = False
    optimizers = [MAKERS[name](ps, lr=0.1) for ps in (together, apart)]
    for t in range(1, 7):
        for ps, optimizer in zip((together, apart), optimizers, strict=True):
            gradients(ps, t)
            optimizer.step()

    for a, b in zip(together, apart, strict=True):
        np.testing.assert_array_equal(a.value, b.value)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "AdaGrad"])
def test_a_parameter_that_joins_later_starts_afresh(name):
    """After unfreezing, the steps are those of a new optimizer."""
    ps, late = parameters(), parameters()[-1:]
    optimizer, fresh = (MAKERS[name](each, lr=0.1) for each in (ps, late))
    ps[-1].trainable = False
    for t in range(1, 4):
        gradients(ps, t)
        optimizer.step()
    ps[-1].trainable = True
    for t in range(4, 8):
        gradients(ps, t)
        late[0].grad = ps[-1].grad
        optimizer.step()
        fresh.step()

        np.testing.assert_array_equal(late[0].value, ps[-1].value)


# ---------------------------------------------------------------- the same bits everywhere

PROGRAM = """
import hashlib
import numpy as np
import convlet as cl
from convlet import _core

rng = np.random.default_rng(0)
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    makers = [
        lambda p: cl.Adam(p, lr=0.1, amsgrad=True, eps_mode="hat"),
        lambda p: cl.AdamW(p, lr=lambda t: 0.1 / t),
        lambda p: cl.NAdam(p),
        lambda p: cl.RMSProp(p, momentum=0.9, centered=True, l2=0.01),
        lambda p: cl.Lion(p, lr=0.01, weight_decay=0.1),
    ]
    for make in makers:
        ps = [cl.Parameter(rng.standard_normal(n).astype(dtype)) for n in (300007, 13, 70001)]
        optimizer, ema = make(ps), cl.optimizers.EMA(ps, decay=0.9)
        for t in range(3):
            for p in ps:
                p.grad = rng.standard_normal(p.shape).astype(dtype)
            digest.update(cl.optimizers.clip_grad_norm(ps, 0.5).hex().encode())
            cl.optimizers.clip_grad_value(ps, 1e-3)
            optimizer.step()
            ema.update()
        for array in [*optimizer.state_dict().values(), *ema.state_dict().values()]:
            digest.update(np.asarray(array).tobytes())
        for p in ps:
            digest.update(p.value.tobytes())
print(_core.isa(), digest.hexdigest())
"""


@needs_fma
def test_the_same_bits_on_every_level_and_for_any_number_of_threads():
    """Steps, clipping, norms and averages do not depend on who computes them."""
    assert_same_bits(PROGRAM)
