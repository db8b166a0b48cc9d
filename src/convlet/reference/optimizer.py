"""Optimizers: one step as a function of weights, gradient and state."""

import numpy as np


def quotient(a, b):
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def sgd_step(
    w,
    g,
    velocity=None,
    *,
    lr,
    momentum=0.0,
    dampening=0.0,
    nesterov=False,
    l2=0.0,
    weight_decay=0.0,
):
    """One step of gradient descent: new (w, velocity); velocity is None before the first step.

        g ← g + l2·w;  w ← (1 - lr·weight_decay) w
        v ← g at the first step, then μ v + (1 - τ) g;  w ← w - lr·(g + μ v if nesterov else v)

    μ is the momentum and τ the dampening, which counts only where μ is not 0.
    """
    g = g + l2 * w
    w = (1 - lr * weight_decay) * w
    gain = 1 - dampening if momentum else 1
    velocity = g if velocity is None else momentum * velocity + gain * g
    direction = g + momentum * velocity if nesterov else velocity
    return w - lr * direction, velocity


def adam_step(
    w,
    g,
    m,
    v,
    products=(1.0, 1.0),
    *,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    eps_mode="paper",
    v_max=None,
    l2=0.0,
):
    """One step of Adam: new (w, m, v, products), and v_max when it is given (AMSGrad).

        g ← g + l2·w
        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  Πᵢ ← βᵢ Πᵢ
        w ← w - lr·(m/(1 - Π₁)) / (√(v/(1 - Π₂)) + ε)

    m and v start at 0 and the products Π of the betas at 1, so varying betas are corrected exactly.
    AMSGrad keeps v_max ← max(v_max, v) and divides by it in place of v. eps_mode "hat" adds ε to √v
    before the correction. Where the denominator is 0 the update is 0.
    """
    if eps_mode not in ("paper", "hat"):
        raise ValueError(f"eps_mode must be 'paper' or 'hat', got {eps_mode!r}")
    g = g + l2 * w
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * np.square(g)
    products = (products[0] * betas[0], products[1] * betas[1])
    second = v if v_max is None else np.maximum(v_max, v)
    correction = (1 - products[1]) ** 0.5
    if eps_mode == "paper":
        denominator = np.sqrt(second) / correction + eps
    else:
        denominator = (np.sqrt(second) + eps) / correction
    w = w - lr * quotient(m / (1 - products[0]), denominator)
    return (w, m, v, products) if v_max is None else (w, m, v, products, second)


def adagrad_step(w, g, total, *, lr=1e-2, eps=1e-10, l2=0.0):
    """One step of AdaGrad: new (w, total); lr is what the decay has left of it at this step.

        g ← g + l2·w;  s ← s + g²;  w ← w - lr·g / (√s + ε)

    s is the running total, at first the initial accumulator. Where the denominator is 0 the update
    is 0.
    """
    g = g + l2 * w
    total = total + np.square(g)
    return w - lr * quotient(g, np.sqrt(total) + eps), total
