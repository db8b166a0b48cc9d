"""Schedules: their formulas, ends, combinations and errors."""

import copy
import math
import pickle

import numpy as np
import pytest

import convlet as cl
from convlet import schedules

T = range(1, 40)


def close(f, expected):
    """Hold a schedule to a formula over the first steps."""
    np.testing.assert_allclose([f(t) for t in T], [expected(t) for t in T], rtol=1e-13, atol=1e-15)


def test_constant():
    """A constant is one number at any step."""
    close(schedules.constant(0.3), lambda t: 0.3)


def test_step():
    """The factor is applied once for each full stretch of steps."""
    close(schedules.step(0.3, 7, factor=0.5), lambda t: 0.3 * 0.5 ** ((t - 1) // 7))


def test_multi_step():
    """The factor is applied after each milestone."""
    close(
        schedules.multi_step(0.3, [5, 9, 20], factor=0.5),
        lambda t: 0.3 * 0.5 ** sum(t > m for m in (5, 9, 20)),
    )


def test_exponential():
    """The factor is applied at every step but the first."""
    close(schedules.exponential(0.3, 0.9), lambda t: 0.3 * 0.9 ** (t - 1))


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
def test_polynomial(power):
    """A power of what is left of the way, and the final value from there on."""
    close(
        schedules.polynomial(0.3, 20, power=power, final=0.1),
        lambda t: 0.1 + 0.2 * max(0, 1 - (t - 1) / 20) ** power,
    )


def test_inverse_sqrt():
    """The root of the step, counted from the timescale."""
    close(schedules.inverse_sqrt(0.3), lambda t: 0.3 / math.sqrt(t))
    close(schedules.inverse_sqrt(0.3, 10), lambda t: 0.3 * math.sqrt(10 / (9 + t)))


def test_cosine():
    """Half a cosine, and the final value from there on."""
    close(
        schedules.cosine(0.3, 20, final=0.1),
        lambda t: 0.1 + 0.1 * (1 + math.cos(math.pi * min(t - 1, 20) / 20)),
    )


def test_cosine_with_restarts():
    """Rounds of 3, 6 and 12 steps each begin at the initial value."""
    f = schedules.cosine(0.3, 3, restarts=True, growth=2)
    rounds = [(0, 3), (3, 6), (9, 12), (21, 24)]

    def expected(t):
        begin, length = max(r for r in rounds if r[0] <= t - 1)
        return 0.15 * (1 + math.cos(math.pi * (t - 1 - begin) / length))

    close(f, expected)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_warm_up(shape):
    """The rise ends where the other schedule begins, which then counts from 1."""
    then = schedules.exponential(0.3, 0.9)

    def expected(t):
        if t > 8:
            return 0.3 * 0.9 ** (t - 9)
        part = (t - 1) / 8
        return 0.1 + 0.2 * (part if shape == "linear" else (1 - math.cos(math.pi * part)) / 2)

    close(schedules.warm_up(then, 8, start=0.1, shape=shape), expected)


def test_warm_up_to_a_number():
    """A number is a constant schedule."""
    close(schedules.warm_up(0.4, 4), lambda t: min(t - 1, 4) / 10)


def test_transformer_schedule():
    """Warm-up to an inverse square root of the same length is that of the Transformer paper."""
    f = schedules.warm_up(schedules.inverse_sqrt(1.0, 10), 10)
    close(f, lambda t: min(((t - 1) / 10), math.sqrt(10 / max(t - 1, 1))))


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_one_cycle(shape):
    """It rises over the first part, peaks between steps 9 and 10, and ends at step 35."""

    def way(a, b, part):
        return a + (b - a) * (part if shape == "linear" else (1 - math.cos(math.pi * part)) / 2)

    def expected(t):
        if t - 1 < 9.5:
            return way(0.3 / 25, 0.3, (t - 1) / 9.5)
        return way(0.3, 0.3 / 25e4, min((t - 10.5) / 24.5, 1))

    f = schedules.one_cycle(0.3, 35, shape=shape)
    close(f, expected)
    assert f(35) == f(1000)


def test_one_cycle_of_a_momentum():
    """With other ends above the peak the cycle falls and rises, as a momentum's."""
    f = schedules.one_cycle(0.85, 10, start=0.95, final=0.95, warm_fraction=0.5)

    assert [0.95, 0.85, 0.95] == [f(1), f(5), f(10)]


def test_one_cycle_of_few_steps():
    """The peak may be the first step, and the one before the last."""
    first, third = (
        schedules.one_cycle(8.0, 4, final=0, warm_fraction=part, shape="linear")
        for part in (0.25, 0.75)
    )

    assert [8, 0] == [first(1), first(4)]
    assert [8, 0] == [third(3), third(4)]


def test_sequential():
    """Each schedule counts its own steps."""
    f = schedules.sequential([lambda t: t, schedules.exponential(0.3, 0.9), lambda t: t], [4, 9])

    def expected(t):
        return t if t <= 4 else 0.3 * 0.9 ** (t - 5) if t <= 9 else t - 9

    close(f, expected)


def test_chained():
    """Schedules are multiplied, numbers too."""
    f = schedules.chained(2.0, schedules.exponential(0.3, 0.9), lambda t: 1 / t)
    close(f, lambda t: 0.6 * 0.9 ** (t - 1) / t)


def test_plateau_falls_after_patience():
    """More updates than the patience without an improvement, and the value falls once."""
    f = schedules.Plateau(1.0, factor=0.5, patience=2)
    seen = []
    for loss in [3, 2, 2, 2, 2, 1.9999, 1, 1, 1, 1, 1, 1, 1]:
        f.update(loss)
        seen.append(f(7))

    assert [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125] == seen


def test_plateau_of_what_should_grow():
    """In mode max a larger metric is better, negative ones included, down to the least value."""
    f = schedules.Plateau(1.0, factor=0.1, patience=0, mode="max", least=0.05)
    seen = []
    for accuracy in [-2.0, -1.0, -1.5, 0.5, 0.5, 0.6]:
        f.update(accuracy)
        seen.append(f(1))

    assert [1, 1, 0.1, 0.1, 0.05, 0.05] == seen
    assert repr(f).startswith("Plateau(0.05, factor=0.1, patience=0, mode='max', ")


def test_plateau_cooldown():
    """After a fall the updates of the cooldown are not counted."""
    f = schedules.Plateau(1.0, factor=0.5, patience=0, cooldown=2)
    seen = []
    for _ in range(8):
        f.update(1.0)
        seen.append(f(1))

    assert [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125] == seen
    assert "mode='min'" in repr(f)


def test_plateau_without_a_threshold():
    """Any smaller metric is better then, and an equal one is not."""
    f = schedules.Plateau(1.0, factor=0.5, patience=0, threshold=0)
    seen = []
    for loss in [1.0, 1 - 1e-9, 1 - 1e-9]:
        f.update(loss)
        seen.append(f(1))

    assert [1, 1, 0.5] == seen


def test_plateau_round_trip():
    """A plateau goes on from a saved state."""
    f, g = (schedules.Plateau(1.0, factor=0.5, patience=2, mode="max") for _ in range(2))
    for _ in range(3):
        f.update(0.25)
    g.load_state_dict(f.state_dict())
    for each in (f, g):
        each.update(0.25)

    assert 0.5 == f(1) == g(1)
    assert f.state_dict() == g.state_dict()
    with pytest.raises(ValueError, match="value"):
        g.load_state_dict({"value": 1.0})


@pytest.mark.parametrize(
    "text",
    [
        "constant(0.1)",
        "step(8.0, every=2, factor=0.5)",
        "multi_step(8.0, (2, 4))",
        "exponential(8.0, 0.5)",
        "polynomial(8.0, 4, power=2)",
        "inverse_sqrt(8.0)",
        "cosine(8.0, 4, restarts=True)",
        "warm_up(cosine(8.0, 4), 3)",
        "one_cycle(8.0, 11)",
        "sequential((1.0, exponential(8.0, 0.5)), (2,))",
        "chained(constant(3), warm_up(1.0, 2, start=0.5))",
    ],
)
def test_schedules_print_as_they_are_made_and_are_pickled(text):
    """A schedule's text makes it again, and its copies give the same numbers, in optimizers too."""
    f = eval(text, vars(schedules))
    optimizer = cl.SGD([cl.Parameter(np.ones(2))], f)

    assert text == repr(f)
    assert f"lr={text}," in repr(optimizer)
    for copy_ in (copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))):
        same = copy_(f)
        assert text == repr(same)
        assert [f(t) for t in range(1, 20)] == [same(t) for t in range(1, 20)]
        assert repr(optimizer) == repr(copy_(optimizer))


def test_a_list_of_milestones_is_taken_as_it_is():
    """What the caller does with the list afterwards is in no copy."""
    milestones = [2, 4]
    f = schedules.multi_step(8.0, milestones, factor=0.5)
    milestones.append(5)

    assert [f(t) for t in range(1, 9)] == [copy.deepcopy(f)(t) for t in range(1, 9)]


def test_schedules_of_any_hyper_parameter():
    """An optimizer takes them for rates, momenta, betas and decays alike."""
    p, q = cl.Parameter(np.ones(3)), cl.Parameter(np.ones(3))
    optimizer = cl.SGD(
        [p],
        lr=schedules.cosine(0.5, 10),
        momentum=schedules.one_cycle(0.85, 10, start=0.95, final=0.95),
        weight_decay=schedules.Plateau(0.1),
    )
    adam = cl.Adam(
        [q], betas=(schedules.warm_up(0.9, 5), schedules.multi_step(0.999, [3])), eps=1e-3
    )
    for _ in range(5):
        p.grad.fill(1)
        q.grad.fill(1)
        optimizer.step()
        adam.step()

    assert (p.value < 1).all()
    assert (q.value < 1).all()


def test_reaching_the_end_of_a_rate_of_zero():
    """Where a schedule has come to 0, plain descent stands still."""
    p = cl.Parameter(np.ones(2))
    optimizer = cl.SGD([p], lr=schedules.polynomial(0.5, 2))
    p.grad.fill(1)
    for _ in range(2):
        optimizer.step()
    before = p.value.copy()
    optimizer.step()

    np.testing.assert_array_equal(before, p.value)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.constant("a"), TypeError, "constant: expected value .* got 'a'"),
        (lambda: schedules.constant(math.nan), ValueError, "finite, got nan"),
        (lambda: schedules.step(1.0, 0), ValueError, "every to be at least 1, got 0"),
        (lambda: schedules.step(1.0, 1.5), TypeError, "every to be a whole number, got 1.5"),
        (lambda: schedules.multi_step(1.0, [3, 3]), ValueError, r"increasing .* got \[3, 3\]"),
        (lambda: schedules.multi_step(1.0, [0]), ValueError, "at least 1, got 0"),
        (lambda: schedules.multi_step(1.0, 3), TypeError, "a list of milestones, got 3"),
        (lambda: schedules.exponential(True, 0.5), TypeError, "got True"),
        (lambda: schedules.polynomial(1.0, 4, power=0), ValueError, "power to be above 0, got 0"),
        (lambda: schedules.inverse_sqrt(1.0, -1), ValueError, "timescale .* got -1"),
        (lambda: schedules.cosine(1.0, 4, growth=0), ValueError, "growth to be at least 1, got 0"),
        (lambda: schedules.warm_up(1.0, 4, shape="square"), ValueError, "got 'square'"),
        (lambda: schedules.warm_up("x", 4), TypeError, "then to be a number, got 'x'"),
        (lambda: schedules.one_cycle(1.0, 1), ValueError, "steps to be at least 2, got 1"),
        (lambda: schedules.one_cycle(1.0, 10, warm_fraction=0.01), ValueError, "got 0.01 of 10"),
        (lambda: schedules.one_cycle(1.0, 10, warm_fraction=1), ValueError, "got 1 of 10"),
        (lambda: schedules.one_cycle(1.0, 10, shape="square"), ValueError, "got 'square'"),
        (lambda: schedules.sequential([1.0], [2]), ValueError, "1 schedules and 1 milestones"),
        (lambda: schedules.chained(), ValueError, "at least one"),
        (lambda: schedules.Plateau(1.0, mode="up"), ValueError, "got 'up'"),
        (lambda: schedules.Plateau(1.0, factor=1), ValueError, "factor .* got 1"),
        (lambda: schedules.Plateau(1.0, threshold=-1), ValueError, "threshold .* got -1"),
        (lambda: schedules.Plateau(1.0, patience=-1), ValueError, "patience .* got -1"),
        (lambda: schedules.Plateau(1e-4, least=1e-3), ValueError, "least .* 0.0001, got 0.001"),
        (lambda: schedules.Plateau(1.0).update(math.nan), ValueError, "metric .* got nan"),
    ],
)
def test_errors(make, error, message):
    """What makes no sense is an error that names the argument and the value."""
    with pytest.raises(error, match=message):
        make()
