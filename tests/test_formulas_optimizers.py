"""The formulas of docs/theory.md, sections 6 and 7: Adam, unrolled, and the AdaGrad in it.

The equation numbers in the docstrings are those of the page. Everything runs in float64, and
"relative" means relative to the largest entry of the expected array.
"""

import math

import numpy as np
import pytest

import convlet as cl
from formulas import ROUNDING, assert_close

# ---------------------------------------------------------------- 6. Adam unrolled


def moments(optimizer, parameters):
    """The first and second moments of every parameter, from the optimizer's state."""
    state = optimizer.state_dict()
    positions = range(len(parameters))
    return [state[f"m.{i}"] for i in positions], [state[f"v.{i}"] for i in positions]


def run(make, start, gradients):
    """Yield (t, optimizer, parameters) after each step of make(parameters) on the gradients."""
    parameters = [cl.Parameter(value) for value in start]
    optimizer = make(parameters)
    for t, step_gradients in enumerate(gradients, start=1):
        for parameter, gradient in zip(parameters, step_gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        yield t, optimizer, parameters


def history(rng, steps):
    """Two parameters to start from, and a gradient of each for every step."""
    shapes = [(3, 2), (5,)]
    start = [rng.standard_normal(shape) for shape in shapes]
    return start, [[rng.standard_normal(shape) for shape in shapes] for _ in range(steps)]


def weighted_sum(betas, values):
    """Equation (6.7): each value times 1 - beta of its step and every later beta."""
    return sum(
        (1 - beta) * math.prod(betas[i + 1 :]) * value
        for i, (beta, value) in enumerate(zip(betas, values, strict=True))
    )


def plain_adam(w, gradients, lr, beta1, beta2, eps):
    """Adam of one number by (6.1), (6.2) and (6.9) in Python floats; arguments depend on t."""
    m = v = 0.0
    product1 = product2 = 1.0
    for t, g in enumerate(gradients, start=1):
        m = beta1(t) * m + (1 - beta1(t)) * g
        v = beta2(t) * v + (1 - beta2(t)) * g * g
        product1 *= beta1(t)
        product2 *= beta2(t)
        w -= lr(t) * (m / (1 - product1)) / (math.sqrt(v / (1 - product2)) + eps(t))
    return w


def check_weights(rng, steps, lr, beta1, beta2, eps, make):
    """Compare every weight after the last step with plain_adam on its own gradients."""
    start, gradients = history(rng, steps)
    *_, (_, _, parameters) = run(make, start, gradients)
    for position, parameter in enumerate(parameters):
        expected = np.empty_like(start[position])
        for index in np.ndindex(*expected.shape):
            own = [float(step[position][index]) for step in gradients]
            expected[index] = plain_adam(start[position][index], own, lr, beta1, beta2, eps)

        assert_close(parameter.value, expected, ROUNDING)


def test_adam_unrolled(rng):
    """With constant betas, m and v are the sums (6.3) over all gradients so far."""
    beta1, beta2 = 0.9, 0.99
    start, gradients = history(rng, 60)
    for t, optimizer, parameters in run(
        lambda p: cl.Adam(p, lr=1e-2, betas=(beta1, beta2)), start, gradients
    ):
        assert optimizer.state_dict()["step"] == t
        for position, (m, v) in enumerate(zip(*moments(optimizer, parameters), strict=True)):
            g = [step[position] for step in gradients[:t]]
            powers = range(t - 1, -1, -1)
            m_sum = (1 - beta1) * sum(beta1**k * g for k, g in zip(powers, g, strict=True))
            v_sum = (1 - beta2) * sum(beta2**k * g * g for k, g in zip(powers, g, strict=True))

            assert_close(m, m_sum, ROUNDING)
            assert_close(v, v_sum, ROUNDING)


def test_adam_bias_corrected_recursion(rng):
    """The corrected second moment obeys (6.6), whose factor is 999 at the first step only."""
    beta2 = 0.999
    start, gradients = history(rng, 30)
    before = [np.zeros_like(value) for value in start]
    for t, optimizer, parameters in run(lambda p: cl.Adam(p, betas=(0.9, beta2)), start, gradients):
        _, after = moments(optimizer, parameters)
        after = [v.copy() for v in after]
        correction = 1 - beta2**t
        for v, v_before, g in zip(after, before, gradients[t - 1], strict=True):
            corrected = beta2 / correction * v_before + (1 - beta2) / correction * g * g

            assert_close(v / correction, corrected, ROUNDING)
        before = after


def test_adam_weights(rng):
    """Adam's weights are those of (6.2), computed one number at a time in plain Python."""
    check_weights(
        rng,
        100,
        lr=lambda t: 1e-2,
        beta1=lambda t: 0.9,
        beta2=lambda t: 0.999,
        eps=lambda t: 1e-8,
        make=lambda p: cl.Adam(p, lr=1e-2, betas=(0.9, 0.999), eps=1e-8),
    )


def beta1_of(t):
    """A first beta that rises from 0.5 to 0.9."""
    return 0.9 - 0.4 / t


def beta2_of(t):
    """A second beta that is neither constant nor 0 at any step."""
    return 1 - (t + 1) ** -0.8


def test_adam_varying_betas_unrolled(rng):
    """With varying betas, m and v are the sums (6.7), whose weights add up as in (6.8)."""
    start, gradients = history(rng, 60)
    for t, optimizer, parameters in run(
        lambda p: cl.Adam(p, lr=1e-2, betas=(beta1_of, beta2_of)), start, gradients
    ):
        betas1 = [beta1_of(i) for i in range(1, t + 1)]
        betas2 = [beta2_of(i) for i in range(1, t + 1)]

        # 60 additions of numbers below 1.
        assert weighted_sum(betas1, [1] * t) == pytest.approx(1 - math.prod(betas1), rel=1e-14)
        assert weighted_sum(betas2, [1] * t) == pytest.approx(1 - math.prod(betas2), rel=1e-14)
        for position, (m, v) in enumerate(zip(*moments(optimizer, parameters), strict=True)):
            g = [step[position] for step in gradients[:t]]

            assert_close(m, weighted_sum(betas1, g), ROUNDING)
            assert_close(v, weighted_sum(betas2, [x * x for x in g]), ROUNDING)


def test_adam_varying_betas_weights(rng):
    """With every hyper-parameter a function of t, the correction divides as in (6.9)."""
    check_weights(
        rng,
        100,
        lr=lambda t: 1e-2 / t,
        beta1=beta1_of,
        beta2=beta2_of,
        eps=lambda t: 1e-3 / t,
        make=lambda p: cl.Adam(
            p, lr=lambda t: 1e-2 / t, betas=(beta1_of, beta2_of), eps=lambda t: 1e-3 / t
        ),
    )


# ---------------------------------------------------------------- 7. Adam contains AdaGrad


def reciprocal_beta(t):
    """The second beta 1 - 1/t, under which Adam averages the whole past."""
    return 1 - 1 / t


def test_adam_reciprocal_beta_is_the_mean_of_squares(rng):
    """With beta2 = 1 - 1/t, v is the plain mean of squares (7.3), and not the form (6.3)."""
    start, gradients = history(rng, 60)
    for t, optimizer, parameters in run(
        lambda p: cl.Adam(p, betas=(0.0, reciprocal_beta)), start, gradients
    ):
        _, seconds = moments(optimizer, parameters)
        for position, v in enumerate(seconds):
            squares = np.stack([np.square(step[position]) for step in gradients[:t]])
            weights = (1 / t) * reciprocal_beta(t) ** np.arange(t - 1, -1, -1.0)

            assert_close(v, squares.mean(axis=0), ROUNDING)
            if t > 1:  # the constant-beta weights add up to 1 - (1 - 1/t)^t, at most 3/4
                constant = np.tensordot(weights, squares, 1)

                assert weights.sum() <= 0.75
                assert np.abs(constant - v).max() > 1e-2 * v.max()


def check_adam_against_adagrad(rng, adam, adagrad):
    """Run both for 500 steps and compare the weights, also while a denominator is still zero."""
    steps = 500
    scale = 10.0 ** np.arange(-3, 4)
    gradients = rng.standard_normal((steps, len(scale))) * scale
    gradients[:, 0] = 0
    gradients[:50, 1] = 0
    start = rng.standard_normal(len(scale))
    history = [[g] for g in gradients]
    pairs = zip(run(adam, [start], history), run(adagrad, [start], history), strict=True)
    for (t, _, (by_adam,)), (_, _, (by_adagrad,)) in pairs:
        for weights in (by_adam.value, by_adagrad.value):
            assert np.all(np.isfinite(weights))
            assert weights[0] == start[0]
            assert weights[1] == start[1] or t > 50
        # 1 - beta2 = 1/t is exact to t roundings, so after 500 steps a step is to 1e-13, and the
        # steps, each below lr0 = 0.01, amount to less than 5: 5e-13 if every error had one sign.
        np.testing.assert_allclose(by_adam.value, by_adagrad.value, rtol=0, atol=5e-13)
    assert np.all(by_adam.value[1:] != start[1:])


def test_adam_contains_adagrad(rng):
    """Adam with beta1 = 0, beta2 = 1 - 1/t, lr0/sqrt(t) and eps = 0 takes the steps (7.1)."""
    lr0 = 0.01

    check_adam_against_adagrad(
        rng,
        adam=lambda p: cl.Adam(
            p, lr=lambda t: lr0 / np.sqrt(t), betas=(0.0, lambda t: 1 - 1 / t), eps=0.0
        ),
        adagrad=lambda p: cl.AdaGrad(p, lr=lr0, eps=0.0),
    )


def test_adam_contains_adagrad_with_epsilon(rng):
    """With eps0/sqrt(t) for Adam's epsilon the steps are those of AdaGrad with eps0."""
    lr0, eps0 = 0.01, 0.1

    check_adam_against_adagrad(
        rng,
        adam=lambda p: cl.Adam(
            p,
            lr=lambda t: lr0 / np.sqrt(t),
            betas=(0.0, lambda t: 1 - 1 / t),
            eps=lambda t: eps0 / np.sqrt(t),
        ),
        adagrad=lambda p: cl.AdaGrad(p, lr=lr0, eps=eps0),
    )
