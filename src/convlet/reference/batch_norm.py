"""Batch norm."""

import numpy as np

from .activation import activate, relu_backward


def all_but_last(x):
    """Return the axes that statistics of channels are taken over."""
    return tuple(range(x.ndim - 1))


def batch_norm(x, gamma, beta, *, eps=1e-5, residual=None, activation=None):
    """Normalise each channel by its own batch; returns (y, mean, var), var being the biased one.

    mean = Σx / N,  var = Σ(x - mean)² / N  over all axes but channels
    y = act(γ (x - mean)/√(var + ε) + β + residual)
    """
    if x.size == 0:
        raise ValueError(f"batch_norm needs at least one value per channel, got x {x.shape}")
    mean = x.mean(axis=all_but_last(x))
    var = np.square(x - mean).mean(axis=all_but_last(x))
    y = batch_norm_inference(
        x, gamma, beta, mean, var, eps=eps, residual=residual, activation=activation
    )
    return y, mean, var


def batch_norm_inference(x, gamma, beta, mean, var, *, eps=1e-5, residual=None, activation=None):
    """Normalise each channel by given statistics.

    y = act(γ (x - mean)/√(var + ε) + β + residual)
    """
    y = gamma * (x - mean) / np.sqrt(var + eps) + beta
    if residual is not None:
        y = y + residual
    return activate(y, activation)


def batch_norm_backward(
    dy,
    x,
    gamma,
    mean,
    var,
    *,
    eps=1e-5,
    beta=None,
    y=None,
    activation=None,
    residual=False,
    frozen=False,
):
    """Gradients (dx, dgamma, dbeta), and dresidual with residual=True, of Σ dy·batch_norm(...)[0].

        dz = dy · [y > 0] with activation="relu", else dy;  dresidual = dz
        x̂ = (x - mean)/√(var + ε);  dβ = Σ dz;  dγ = Σ dz·x̂
        dx = γ/√(var + ε) · (dz - dβ/N - x̂·dγ/N);  frozen (given mean and var): γ/√(var + ε) · dz

    An activation needs y, or beta to recompute it; with a residual, y.
    """
    scale = 1 / np.sqrt(var + eps)
    x_hat = (x - mean) * scale
    dz = dy.copy()
    if activation is not None:
        if y is None and (beta is None or residual):
            raise ValueError("activation needs y, or beta when there is no residual")
        y = activate(gamma * x_hat + beta, activation) if y is None else y
        dz = relu_backward(dy, y)
    dbeta = dz.sum(axis=all_but_last(x))
    dgamma = (dz * x_hat).sum(axis=all_but_last(x))
    dx = gamma * scale * dz
    if not frozen:
        count = max(x.size // x.shape[-1], 1)
        dx = gamma * scale * (dz - dbeta / count - x_hat * (dgamma / count))
    return (dx, dgamma, dbeta, dz) if residual else (dx, dgamma, dbeta)
