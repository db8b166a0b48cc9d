"""The reference of the optimizers: hand-computed steps and the identities between them."""

import numpy as np
import pytest

from convlet import reference as ref


def test_sgd_is_a_step_down_the_gradient():
    """Without momentum w loses lr·(g + l2·w), after a decoupled decay of lr·weight_decay."""
    w, g = np.array([1.0, -2.0]), np.array([0.5, 4.0])

    new, _ = ref.sgd_step(w, g, lr=0.5, l2=1.0, weight_decay=0.25, dampening=0.5)

    assert new.tolist() == [0.875 - 0.75, -1.75 - 1.0]
    assert ref.sgd_step(w, g, g, lr=0.5, dampening=0.5)[0].tolist() == [0.75, -4.0]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_momentum_unrolled(nesterov):
    """v_t = Σ μ^{t-i} (1-τ) g_i with an undamped first gradient; Nesterov looks one step ahead."""
    gradients = np.random.default_rng(0).standard_normal((6, 3))
    w, velocity, mu, tau, lr = np.zeros(3), None, 0.9, 0.25, 0.1
    damped = gradients * np.array([1, *[1 - tau] * 5])[:, None]

    for t, g in enumerate(gradients, start=1):
        before = w
        w, velocity = ref.sgd_step(
            w, g, velocity, lr=lr, momentum=mu, dampening=tau, nesterov=nesterov
        )
        expected = sum(mu ** (t - i) * damped[i - 1] for i in range(1, t + 1))
        step = g + mu * expected if nesterov else expected

        assert np.allclose(velocity, expected, rtol=1e-13)
        assert np.allclose(before - w, lr * step, rtol=1e-12)


def test_adam_unrolled():
    """m_t = (1-β₁) Σ β₁^{t-i} g_i and v_t alike; the step divides by 1 - β^t."""
    gradients = np.random.default_rng(0).standard_normal((20, 4))
    w, m, v, products = np.zeros(4), np.zeros(4), np.zeros(4), (1.0, 1.0)
    b1, b2, t = 0.9, 0.99, len(gradients)

    for g in gradients:
        before = w
        w, m, v, products = ref.adam_step(w, g, m, v, products, lr=0.1, betas=(b1, b2))

    powers = np.arange(t - 1, -1, -1.0)[:, None]
    expected_m = (1 - b1) * (b1**powers * gradients).sum(axis=0)
    expected_v = (1 - b2) * (b2**powers * gradients**2).sum(axis=0)
    step = 0.1 * expected_m / (1 - b1**t) / (np.sqrt(expected_v / (1 - b2**t)) + 1e-8)
    assert np.allclose(m, expected_m, rtol=1e-13)
    assert np.allclose(v, expected_v, rtol=1e-13)
    assert np.allclose(before - w, step, rtol=1e-12)


def test_adam_contains_adagrad():
    """With β₁ = 0, β₂(t) = 1 - 1/t, η(t) = η₀/√t and ε = 0 Adam's step is AdaGrad's."""
    rng = np.random.default_rng(0)
    adam = adagrad = rng.standard_normal(5)
    m, v, total, products = np.zeros(5), np.zeros(5), np.zeros(5), (1.0, 1.0)

    for t in range(1, 501):
        g = rng.standard_normal(5)
        g[0] = 0
        g[1] *= t > 50
        lr, betas = 0.1 / np.sqrt(t), (0.0, 1 - 1 / t)
        adam, m, v, products = ref.adam_step(adam, g, m, v, products, lr=lr, betas=betas, eps=0.0)
        adagrad, total = ref.adagrad_step(adagrad, g, total, lr=0.1, eps=0.0)

        assert np.allclose(adam, adagrad, rtol=1e-12, atol=0)
        assert np.allclose(v * t, total, rtol=1e-12, atol=0)


def test_adam_amsgrad_keeps_the_largest_v():
    """AMSGrad divides by the largest v so far."""
    w, m, v, products, v_max = np.zeros(1), np.zeros(1), np.zeros(1), (1.0, 1.0), np.zeros(1)
    largest = 0.0

    for t, g in enumerate((3.0, 0.1, 0.0), start=1):
        before = w
        w, m, v, products, v_max = ref.adam_step(
            w, np.array([g]), m, v, products, lr=1.0, betas=(0.5, 0.5), v_max=v_max
        )
        largest = max(largest, v.item())
        correction = 1 - 0.5**t
        step = m / correction / (np.sqrt(largest / correction) + 1e-8)

        assert v_max.item() == largest
        assert np.allclose(before - w, step, rtol=1e-12)


def test_adam_eps_modes():
    """At the first step |g| = 1 gives 1/(1 + ε), or 1/(1 + ε/√(1-β₂)) with ε before correction."""
    zeros = np.zeros(1)
    steps = {
        mode: -ref.adam_step(zeros, np.ones(1), zeros, zeros, lr=1.0, eps=0.5, eps_mode=mode)[0]
        for mode in ("paper", "hat")
    }

    assert steps["paper"].item() == pytest.approx(1 / 1.5)
    assert steps["hat"].item() == pytest.approx(1 / (1 + 0.5 / np.sqrt(0.001)))
    with pytest.raises(ValueError, match="eps_mode must be"):
        ref.adam_step(zeros, zeros, zeros, zeros, eps_mode="keras")


def test_a_zero_denominator_is_a_zero_update():
    """With ε = 0 and gradients that are 0 neither Adam nor AdaGrad moves."""
    w, zeros = np.ones(2), np.zeros(2)

    assert ref.adam_step(w, zeros, zeros, zeros, eps=0.0)[0].tolist() == [1, 1]
    assert ref.adagrad_step(w, zeros, zeros, eps=0.0)[0].tolist() == [1, 1]


def test_l2_adds_to_the_gradient():
    """l2=λ is the same as a gradient of g + λw, for each optimizer."""
    w, g, s = np.array([1.0, -2.0]), np.array([0.5, 4.0]), np.ones(2)

    assert np.array_equal(
        ref.sgd_step(w, g, s, lr=0.1, momentum=0.9, l2=0.5)[0],
        ref.sgd_step(w, g + 0.5 * w, s, lr=0.1, momentum=0.9)[0],
    )
    assert np.array_equal(
        ref.adam_step(w, g, s, s, l2=0.5)[0], ref.adam_step(w, g + 0.5 * w, s, s)[0]
    )
    assert np.array_equal(
        ref.adagrad_step(w, g, s, l2=0.5)[0], ref.adagrad_step(w, g + 0.5 * w, s)[0]
    )
