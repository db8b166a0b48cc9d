"""Optimizers, gradient clipping and averages of weights: one step as a function of its inputs."""

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


def adamw_step(
    w, g, m, v, products=(1.0, 1.0), *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    """One step of AdamW on parameters that decay: new (w, m, v, products).

        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  Πᵢ ← βᵢ Πᵢ
        w ← (1 - lr·weight_decay) w - lr·(m/(1 - Π₁)) / (√(v/(1 - Π₂)) + ε)

    m and v start at 0, the products at 1. Where the denominator is 0 only the decay is left.
    """
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * np.square(g)
    products = (products[0] * betas[0], products[1] * betas[1])
    update = quotient(m / (1 - products[0]), np.sqrt(v / (1 - products[1])) + eps)
    return (1 - lr * weight_decay) * w - lr * update, m, v, products


def nadam_step(
    w,
    g,
    m,
    v,
    products=(1.0, 1.0),
    *,
    t,
    lr=2e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    momentum_decay=4e-3,
):
    """One step of NAdam, the t-th: new (w, m, v, products).

        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  μ(t) = β₁ (1 - ½·0.96^(t·momentum_decay))
        Π₁ ← μ(t) Π₁;  Π₂ ← β₂ Π₂;  d = (1 - μ(t)) g/(1 - Π₁) + μ(t+1) m/(1 - μ(t+1) Π₁)
        w ← w - lr·d / (√(v/(1 - Π₂)) + ε)

    m and v start at 0, the products at 1. Where the denominator is 0 the update is 0.
    """
    mu, next_mu = (betas[0] * (1 - 0.5 * 0.96 ** (when * momentum_decay)) for when in (t, t + 1))
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * np.square(g)
    products = (products[0] * mu, products[1] * betas[1])
    direction = (1 - mu) * g / (1 - products[0]) + next_mu * m / (1 - products[0] * next_mu)
    w = w - lr * quotient(direction, np.sqrt(v / (1 - products[1])) + eps)
    return w, m, v, products


def rmsprop_step(
    w, g, squares, mean=None, velocity=None, *, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, l2=0.0
):
    """One step of RMSProp: new (w, squares, mean, velocity).

        g ← g + l2·w;  s ← α s + (1 - α) g²;  mean ← α mean + (1 - α) g
        u = g / (√(s - mean²) + ε), without mean² unless centered;  velocity ← μ velocity + u
        w ← w - lr·velocity

    s is the mean of squares and μ the momentum; all start at 0. A mean of None is not centered, a
    velocity of None has no momentum. Where the denominator is 0 the update is 0.
    """
    g = g + l2 * w
    squares = alpha * squares + (1 - alpha) * np.square(g)
    second = squares
    if mean is not None:
        mean = alpha * mean + (1 - alpha) * g
        second = squares - np.square(mean)
    update = quotient(g, np.sqrt(second) + eps)
    if velocity is not None:
        velocity = update = momentum * velocity + update
    return w - lr * update, squares, mean, velocity


def lion_step(w, g, m, *, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    """One step of Lion: new (w, m).

    w ← (1 - lr·weight_decay) w - lr·sign(β₁ m + (1 - β₁) g);  m ← β₂ m + (1 - β₂) g

    m starts at 0; the sign of 0 is 0.
    """
    direction = np.sign(betas[0] * m + (1 - betas[0]) * g)
    return (1 - lr * weight_decay) * w - lr * direction, betas[1] * m + (1 - betas[1]) * g


def clip_grad_norm(gradients, max_norm):
    """Gradients of a global norm of at most max_norm, and the norm before: (list, norm).

    norm = √(Σ g²) over all;  g ← g·max_norm/norm where norm > max_norm
    """
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
    factor = max_norm / norm if norm > max_norm else 1.0
    return [factor * g for g in gradients], norm


def ema_step(average, w, *, decay):
    """One update of a moving average: average ← decay·average + (1 - decay)·w."""
    return decay * average + (1 - decay) * w
