"""Optimizers, schedules and whole training runs against the golden vectors of PyTorch."""

import numpy as np
import pytest

import convlet as cl
import golden
from convlet import schedules
from golden import draw

OPTIMIZERS = golden.load("optimizers")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    """The weights after 1, 2, 3, 10 and 100 steps are PyTorch's, to 1e-12."""
    _, _, kind, options = golden.OPTIMIZERS[name]
    w = cl.Parameter(draw("optimizer/w", golden.OPTIMIZED_SHAPE))
    optimizer = getattr(cl.optimizers, kind)([w], **options)
    for t in range(1, golden.STEPS + 1):
        w.grad = golden.gradient(t, w.value)
        optimizer.step()

        if t in golden.KEPT_STEPS:
            expected = OPTIMIZERS[name][f"w {t}"]
            np.testing.assert_allclose(w.value, expected, rtol=1e-12, atol=1e-12)


LR = golden.SCHEDULED_LR
RATES = golden.load("schedules")
SCHEDULES = {
    "step": schedules.step(LR, 7, factor=0.5),
    "multi step": schedules.multi_step(LR, [5, 20, 60], factor=0.3),
    "exponential": schedules.exponential(LR, 0.95),
    "polynomial": schedules.polynomial(LR, 60, power=2.0),
    "line": schedules.polynomial(LR, 40, final=LR / 10),
    "cosine": schedules.cosine(LR, 100, final=0.01),
    "cosine with restarts": schedules.cosine(LR, 10, final=0.01, restarts=True, growth=2),
    "warm-up": schedules.warm_up(LR, 15, start=LR / 4),
    "one cycle": schedules.one_cycle(LR, 100),
    "one cycle of lines": schedules.one_cycle(
        LR, 100, start=LR / 10, final=LR / 500, warm_fraction=0.2, shape="linear"
    ),
    "sequential": schedules.sequential(
        [schedules.warm_up(LR, 15, start=LR / 4), schedules.exponential(LR, 0.9)], [15]
    ),
    "chained": schedules.chained(
        schedules.exponential(LR, 0.9), schedules.warm_up(1.0, 15, start=0.25)
    ),
}
PLATEAUS = {
    "plateau": {"factor": 0.5, "patience": 3, "least": 0.01},
    "plateau with cooldown": {
        "mode": "max",
        "factor": 0.7,
        "patience": 1,
        "threshold": 0.02,
        "cooldown": 4,
    },
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    """The rates of 100 steps are PyTorch's, which multiplies them up from step to step."""
    rates = [SCHEDULES[name](t) for t in range(1, golden.STEPS + 1)]

    np.testing.assert_allclose(rates, RATES[name]["lr"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", PLATEAUS)
def test_plateau(name):
    """The rates of 100 steps, each followed by a metric, are PyTorch's."""
    schedule, rates = schedules.Plateau(LR, **PLATEAUS[name]), []
    for t in range(1, golden.STEPS + 1):
        rates.append(schedule(t))
        schedule.update(golden.metric(t))

    np.testing.assert_allclose(rates, RATES[name]["lr"], rtol=1e-14)


# In these ten steps PyTorch's float32 losses are up to 4e-7 from its float64 ones.
BOUNDS = {"float32": 3e-6, "float64": 1e-13}


@pytest.mark.parametrize("dtype", BOUNDS)
def test_resnet20(dtype):
    """Ten training steps of ResNet-20 have PyTorch's losses, and end at its parameters.

    In the second step a value lies so near to a kink of ReLU that a change of 1e-6 in the weights,
    in float64, parts the losses for good; the direct engine rounds as little as PyTorch.
    """
    expected = golden.load("resnet")[dtype]
    model = cl.models.resnet20("pad", rng=0).astype(dtype)
    starts = {
        name: golden.resnet_start(name, value.shape, dtype)
        for name, value in model.state_dict().items()
        if name.rsplit(".", 1)[1] in ("weight", "bias", "gamma", "beta")
    }
    model.load_state_dict(model.state_dict() | starts)
    optimizer = cl.SGD(model.parameters(), **golden.RESNET_SGD)
    losses = []
    with cl.options(winograd=False):
        for t in range(golden.RESNET_STEPS):
            x, labels = golden.resnet_batch(t, dtype)
            logits, pullback = model.vjp(x, input_grad=False)
            loss, dlogits = cl.softmax_cross_entropy(logits, labels)
            losses.append(loss)
            pullback(dlogits)
            optimizer.step()
            optimizer.zero_grad()

    np.testing.assert_allclose(losses, expected.pop("losses"), rtol=BOUNDS[dtype])
    state = model.state_dict()
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(state[name], value, rtol=0, atol=10 * BOUNDS[dtype] * scale)
