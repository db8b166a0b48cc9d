"""Groups, gradient clipping, alone and within a step, and moving averages of weights."""

import math

import numpy as np
import pytest

import convlet as cl
from convlet import reference
from convlet.optimizers import EMA, clip_grad_norm, clip_grad_value, group

SHAPES = [(3, 4), (5,), (), (70, 100)]


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    ps = [cl.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]
    for p in ps:
        p.grad = rng.standard_normal(p.shape).astype(dtype)
    return ps


def packed():
    """Parameters of a model, side by side in one block."""
    model = cl.Sequential(cl.Linear(3, 4), cl.BatchNorm(4), cl.Linear(4, 2), rng=0)
    return model.astype("float32").parameters()


def draw(ps, t):
    """Draw the gradients of step t, some of them 0."""
    rng = np.random.default_rng(t)
    for p in ps:
        p.grad = (rng.standard_normal(p.shape) * (rng.random(p.shape) > 0.2)).astype(p.dtype)


def grads(ps):
    return [p.grad.copy() for p in ps]


def model_parameters():
    return cl.Sequential(
        cl.Conv2d(1, 2, 3), cl.BatchNorm(2), cl.Flatten(), cl.Linear(8, 2), rng=0
    ).parameters()


# ---------------------------------------------------------------- groups


def test_group_by_kind():
    """Parameters of the kinds come first, with the options; the others keep the optimizer's."""
    ps = model_parameters()
    first, rest = group(ps, by=("bias", "norm"), weight_decay=0.0)

    assert {"bias", "norm"} == {p.kind for p in first["params"]}
    assert {"weight"} == {p.kind for p in rest["params"]}
    assert 0.0 == first["weight_decay"]
    assert ["params"] == list(rest)
    assert len(ps) == len(first["params"]) + len(rest["params"])


def test_group_by_function_splits_groups():
    """A second call splits each group, and its options go before older ones."""
    ps = model_parameters()
    groups = group(ps, by="weight", lr=0.1, momentum=0.5)
    groups = group(groups, by=lambda p: p is ps[0] or p is ps[1], lr=0.2)

    assert [(0.2, 0.5), (0.2, None), (0.1, 0.5), (None, None)] == [
        (g.get("lr"), g.get("momentum")) for g in groups
    ]
    assert ps[0] in groups[0]["params"]
    assert ps[1] in groups[1]["params"]


def test_group_steps_as_it_says():
    """An optimizer uses the options of a group."""
    ps = model_parameters()
    for p in ps:
        p.grad.fill(1)
    before = [p.value.copy() for p in ps]
    cl.SGD(group(ps, by="weight", lr=0.5), lr=0.25).step()

    for p, w in zip(ps, before, strict=True):
        np.testing.assert_array_equal(w - np.float32(0.5 if p.kind == "weight" else 0.25), p.value)


def test_group_that_selects_nothing_or_all():
    """Groups without parameters are left out."""
    ps = model_parameters()

    assert [{"params": ps}] == group(ps, by=lambda p: False, lr=0.1)
    assert [{"params": ps, "lr": 0.1}] == group(ps, by=lambda p: True, lr=0.1)


def test_group_errors():
    """What cannot be meant is an error with the cure."""
    ps = model_parameters()
    with pytest.raises(TypeError, match="expected options"):
        group(ps, by="bias")
    with pytest.raises(ValueError, match=r"got \['gamma'\]"):
        group(ps, by="gamma", lr=0.1)
    with pytest.raises(TypeError, match="function or kinds"):
        group(ps, by=3, lr=0.1)
    with pytest.raises(ValueError, match="at least one parameter"):
        group([], by="bias", lr=0.1)
    with pytest.raises(TypeError, match="learning_rate"):
        cl.SGD(group(ps, by="bias", learning_rate=0.1), lr=0.1)


# ---------------------------------------------------------------- clipping


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad_value(dtype):
    """Every entry comes to lie within the limit; those that lie there keep their bits."""
    ps = parameters(dtype)
    before = grads(ps)
    clip_grad_value(ps, 0.5)

    for p, g in zip(ps, before, strict=True):
        np.testing.assert_array_equal(np.clip(g, -0.5, 0.5), p.grad)


def test_clip_grad_value_of_what_is_not_finite():
    """Infinities are clipped as any number, NaN stays."""
    p = cl.Parameter(np.zeros(3))
    p.grad[...] = [np.nan, np.inf, -np.inf]
    clip_grad_value([p], 2)

    np.testing.assert_array_equal([np.nan, 2, -2], p.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad_norm(dtype):
    """Gradients are shortened together, as the reference has it; the norm before is returned."""
    ps = parameters(dtype)
    expected, norm = reference.clip_grad_norm([g.astype(np.float64) for g in grads(ps)], 2.0)
    found = clip_grad_norm(ps, 2.0)

    assert isinstance(found, float)
    assert abs(found - norm) <= 1e-12 * norm
    bound = 3 * np.finfo(dtype).eps
    for p, g in zip(ps, expected, strict=True):
        np.testing.assert_allclose(p.grad, g, rtol=bound)
    assert abs(clip_grad_norm(ps, math.inf) - 2.0) <= 2 * bound


def test_clip_grad_norm_of_short_gradients():
    """Gradients within the norm keep their bits."""
    ps = parameters()
    before = grads(ps)
    norm = clip_grad_norm(ps, math.inf)
    clip_grad_norm(ps, norm)

    for p, g in zip(ps, before, strict=True):
        np.testing.assert_array_equal(g, p.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad_norm_per_parameter(dtype):
    """Each gradient is shortened for itself, where it is longer."""
    ps = parameters(dtype)
    before = grads(ps)
    norms = clip_grad_norm(ps, 3.0, per_parameter=True)

    for p, g, norm in zip(ps, before, norms, strict=True):
        expected = np.linalg.norm(g.astype(np.float64))
        assert abs(norm - expected) <= 1e-12 * expected
        factor = 3.0 / expected if expected > 3 else 1.0
        np.testing.assert_allclose(p.grad, g * factor, rtol=3 * np.finfo(dtype).eps)
    assert any(norm > 3 for norm in norms)
    assert any(norm < 3 for norm in norms)


def test_the_norm_does_not_depend_on_order_or_packing():
    """The sum is the same bits for any order of the list, and for parameters of a model."""
    ps = parameters(np.float32)
    packed = cl.Sequential(cl.Linear(50, 60), cl.Linear(60, 30), rng=0).parameters()
    for i, p in enumerate(packed):
        p.grad = np.random.default_rng(i).standard_normal(p.shape).astype(np.float32)
    apart = [cl.Parameter(p.value) for p in packed]
    for p, q in zip(packed, apart, strict=True):
        q.grad = p.grad

    assert clip_grad_norm(ps, math.inf) == clip_grad_norm(ps[::-1], math.inf)
    assert clip_grad_norm(packed, math.inf) == clip_grad_norm(apart, math.inf)


def test_types_may_be_mixed():
    """One norm is over parameters of both types, each scaled in its own."""
    ps = parameters(np.float64)[:2] + parameters(np.float32)[2:]
    norm = clip_grad_norm(ps, 1.0)

    assert abs(norm - math.hypot(*(np.linalg.norm(g) for g in grads(parameters())))) < 1e-5
    assert abs(clip_grad_norm(ps, math.inf) - 1.0) < 1e-6


def test_norms_that_are_large_or_small():
    """Float32 gradients of any size have their norm; so have many float64 ones near overflow."""
    p = cl.Parameter(np.zeros(4, np.float32))
    for size in (1e-30, 1e30):
        p.grad.fill(size)
        assert abs(clip_grad_norm([p], math.inf) / size - 2) < 1e-6
    ps = [cl.Parameter(np.zeros(1)) for _ in range(16)]
    for p in ps:
        p.grad.fill(1e154)

    assert abs(clip_grad_norm(ps, math.inf) / 4e154 - 1) < 1e-15


def test_frozen_parameters_are_left_alone():
    """Gradients of parameters that do not train neither count nor change."""
    ps = parameters()
    ps[3].trainable = False
    before = grads(ps)
    expected = math.hypot(*(np.linalg.norm(g) for g in before[:3]))
    found = clip_grad_norm(ps, 1.0)
    clip_grad_value(ps, 1e-3)

    assert abs(found - expected) < 1e-12
    np.testing.assert_array_equal(before[3], ps[3].grad)


@pytest.mark.parametrize("per_parameter", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_gradients_without_a_norm_are_refused(bad, per_parameter):
    """A gradient whose norm is not finite is an error that names it, and nothing is scaled."""
    ps = parameters()
    ps[1].grad[2] = bad
    before = grads(ps)
    with pytest.raises(FloatingPointError, match=r"float64\[5\].*no gradient has been changed"):
        clip_grad_norm(ps, 1.0, per_parameter=per_parameter)

    for p, g in zip(ps, before, strict=True):
        np.testing.assert_array_equal(g, p.grad)


@pytest.mark.parametrize("clip", [clip_grad_value, clip_grad_norm])
def test_limits_and_lists_that_make_no_sense(clip):
    """Limits below 0 or no numbers, lists that are empty or repeat themselves are refused."""
    ps = parameters()
    for wrong, error in ((-1, ValueError), (np.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match=f"{clip.__name__}.*got"):
            clip(ps, wrong)
    with pytest.raises(ValueError, match="at least one parameter"):
        clip([], 1)
    with pytest.raises(ValueError, match="parameter 1 is also parameter 0"):
        clip([ps[0], ps[0]], 1)
    with pytest.raises(TypeError, match="list of parameters"):
        clip(ps[0], 1)
    with pytest.raises(ValueError, match="finite, got inf"):
        clip_grad_value(ps, np.inf)


# ---------------------------------------------------------------- gradients within the step

FUSED = {
    "SGD": lambda ps: cl.SGD(ps, 0.1),
    "SGD, momentum": lambda ps: cl.SGD(ps, 0.1, momentum=0.9, nesterov=True, l2=0.01),
    "SGD, momentum from 0": lambda ps: cl.SGD(ps, 0.1, momentum=lambda t: (t - 1) / (t + 2)),
    "Adam": lambda ps: cl.Adam(ps, 0.01, l2=0.1, amsgrad=True),
    "AdamW": lambda ps: cl.AdamW(ps, 0.01),
    "AdaGrad": lambda ps: cl.AdaGrad(ps, 0.1),
    "NAdam": lambda ps: cl.NAdam(ps),
    "RMSProp": lambda ps: cl.RMSProp(ps, 0.01, momentum=0.5, centered=True),
    "Lion": lambda ps: cl.Lion(ps),
}


@pytest.mark.parametrize("make", FUSED.values(), ids=FUSED)
@pytest.mark.parametrize("max_norm", [None, 0.5, 1e3])
def test_step_clips_and_zeroes_as_the_functions_do(make, max_norm):
    """One call gives the bits of clip_grad_norm, step and zero_grad."""
    apart, fused = packed(), packed()
    for ps in (apart, fused):
        ps[1].trainable = False
    one_by_one, at_once = make(apart), make(fused)
    for t in range(1, 4):
        draw(apart, t)
        draw(fused, t)
        norm = None
        if max_norm is not None:
            norm = clip_grad_norm(apart, max_norm)
        one_by_one.step()
        one_by_one.zero_grad()

        assert norm == at_once.step(zero_grad=True, max_norm=max_norm)
        for p, q in zip(apart, fused, strict=True):
            assert p.value.tobytes() == q.value.tobytes()
            assert not q.grad.any()


def test_step_with_a_norm_leaves_gradients_alone():
    """Without zero_grad the gradients stay as long as they were."""
    ps = parameters()
    before = grads(ps)

    cl.Adam(ps).step(max_norm=0.1)

    for p, g in zip(ps, before, strict=True):
        np.testing.assert_array_equal(p.grad, g)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_step_with_a_norm_refuses_gradients_without_one(bad):
    """A gradient that is not finite is an error, and nothing has been written."""
    ps = parameters()
    ps[0].grad[1, 2] = bad
    before = [p.value.copy() for p in ps]
    optimizer = cl.Adam(ps)

    with pytest.raises(FloatingPointError, match=r"Adam\.step: expected finite gradients"):
        optimizer.step(zero_grad=True, max_norm=1)

    for p, w in zip(ps, before, strict=True):
        np.testing.assert_array_equal(p.value, w)
    assert optimizer.state_dict()["step"] == 0
    with pytest.raises(ValueError, match="max_norm to be at least 0, got -1"):
        optimizer.step(max_norm=-1)


# ---------------------------------------------------------------- moving averages


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.9, lambda t: min(0.9, t / (t + 3))])
def test_ema(dtype, decay):
    """The averages are those of the reference after a hundred updates."""
    ps = parameters(dtype)
    ema = EMA(ps, decay)
    expected = [p.value.astype(np.float64) for p in ps]
    rng = np.random.default_rng(1)
    for t in range(1, 101):
        for p in ps:
            p.value[...] = rng.standard_normal(p.shape)
        ema.update()
        now = decay(t) if callable(decay) else decay
        expected = [
            reference.ema_step(a, p.value.astype(np.float64), decay=now)
            for a, p in zip(expected, ps, strict=True)
        ]

    bound = 20 * np.finfo(dtype).eps
    state = ema.state_dict()
    assert 100 == state["step"]
    for i, average in enumerate(expected):
        np.testing.assert_allclose(state[f"average.{i}"], average, rtol=0, atol=bound)


def test_averages_of_weights_at_rest_are_the_weights():
    """Weights that do not move are their own average, bit for bit."""
    ps = parameters(np.float32)
    ema = EMA(ps, 0.999)
    for _ in range(50):
        ema.update()
    for i, p in enumerate(ps):
        np.testing.assert_array_equal(p.value, ema.state_dict()[f"average.{i}"])


def test_averaged_swaps_and_restores():
    """Inside, the model has the averages; afterwards its own weights, also after an error."""
    model = cl.Sequential(cl.Linear(3, 2), rng=0)
    x = np.ones((1, 3), np.float32)
    ema = EMA(model.parameters(), 0.5)
    start = model(x)
    for p in model.parameters():
        p.value[...] = 0
    ema.update()

    def fail():
        with ema.averaged():
            np.testing.assert_array_equal(start / 2, model(x))
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    np.testing.assert_array_equal(np.zeros((1, 2)), model(x))
    with ema.averaged():
        with pytest.raises(RuntimeError, match="update"):
            ema.update()
        with pytest.raises(RuntimeError, match="already"), ema.averaged():
            pass
        np.testing.assert_array_equal(start / 2, model(x))


def test_ema_round_trip():
    """Averages go on from a saved state bit for bit."""
    ps, twins = parameters(), parameters()
    ema, other = EMA(ps, lambda t: 1 - 1 / t), EMA(twins, lambda t: 1 - 1 / t)
    for p in ps:
        p.value[...] = 3
    ema.update()
    other.load_state_dict(ema.state_dict())
    for p, q in zip(ps, twins, strict=True):
        p.value[...] = q.value[...] = 5
    ema.update()
    other.update()

    for key, value in ema.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[key])


def test_ema_load_state_dict_is_strict():
    """All that is wrong with a state is named in one error, and nothing is written."""
    ema = EMA(parameters(), 0.9)
    before = ema.state_dict()
    broken = dict(before) | {"step": -1, "extra": 0, "average.1": np.zeros(4)}
    del broken["average.0"]
    with pytest.raises(ValueError, match="nothing was loaded") as caught:
        ema.load_state_dict(broken)

    for problem in ("missing average.0", "unexpected extra", "average.1: expected", "step: "):
        assert problem in str(caught.value)
    with pytest.raises(TypeError, match=r"average\.0 is a masked array"):
        ema.load_state_dict(before | {"average.0": np.ma.masked_array(before["average.0"])})
    for key, value in ema.state_dict().items():
        np.testing.assert_array_equal(before[key], value)


def test_ema_decays_out_of_range():
    """A decay is a number from 0 to 1, as a function too."""
    ps = parameters()
    for wrong, error in ((1.5, ValueError), (np.nan, ValueError), ("x", TypeError)):
        with pytest.raises(error, match="decay"):
            EMA(ps, wrong)
        with pytest.raises(error, match="at t = 1"):
            EMA(ps, lambda t, wrong=wrong: wrong).update()
    with pytest.raises(ValueError, match="at least one parameter"):
        EMA([], 0.5)
