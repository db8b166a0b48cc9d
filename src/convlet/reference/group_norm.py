"""Group, instance and layer norm."""

import math

import numpy as np


def group_norm(x, gamma, beta, *, groups, eps=1e-5):
    """Normalise the values of each group of channels of each sample; returns (y, mean, var).

    mean[n,g] = Σx / M,  var[n,g] = Σ(x - mean)² / M  over the C/groups channels of g and all pixels
    y = γ (x - mean)/√(var + ε) + β; gamma and beta may be None for 1 and 0.
    """
    n, c = x.shape[0], x.shape[-1]
    grouped = x.reshape(n, math.prod(x.shape[1:-1]), groups, c // groups)
    mean = grouped.mean(axis=(1, 3))
    var = np.square(grouped - _spread(mean)).mean(axis=(1, 3))
    x_hat = (grouped - _spread(mean)) / np.sqrt(_spread(var) + eps)
    return _affine(x_hat.reshape(x.shape), gamma, beta), mean, var


def group_norm_backward(dy, x, gamma, mean, var, *, eps=1e-5):
    """Gradients (dx, dgamma, dbeta) of Σ dy·group_norm(...)[0].

    x̂ = (x - mean)/√(var + ε);  dβ = Σ dy;  dγ = Σ dy·x̂  over all axes but channels
    dx̂ = γ dy;  dx = (dx̂ - Σdx̂/M - x̂ Σ(dx̂·x̂)/M)/√(var + ε),  sums over the M values of a group
    """
    n, c, groups = x.shape[0], x.shape[-1], mean.shape[1]
    shape = (n, math.prod(x.shape[1:-1]), groups, c // groups)
    scale = 1 / np.sqrt(_spread(var) + eps)
    x_hat = (x.reshape(shape) - _spread(mean)) * scale
    dx_hat = (dy if gamma is None else gamma * dy).reshape(shape)
    dx = scale * (
        dx_hat
        - dx_hat.mean(axis=(1, 3), keepdims=True)
        - x_hat * (dx_hat * x_hat).mean(axis=(1, 3), keepdims=True)
    )
    rows = tuple(range(x.ndim - 1))
    dgamma = (dy * x_hat.reshape(x.shape)).sum(axis=rows)
    return dx.reshape(x.shape), dgamma, dy.sum(axis=rows)


def instance_norm(x, gamma=None, beta=None, *, eps=1e-5):
    """Normalise each channel of each sample; group norm with as many groups as channels."""
    return group_norm(x, gamma, beta, groups=x.shape[-1], eps=eps)


def instance_norm_backward(dy, x, gamma, mean, var, *, eps=1e-5):
    """Gradients (dx, dgamma, dbeta) of Σ dy·instance_norm(...)[0]."""
    return group_norm_backward(dy, x, gamma, mean, var, eps=eps)


def layer_norm(x, gamma, beta, *, normalized_shape=None, eps=1e-5):
    """Normalise over the trailing axes of normalized_shape; returns (y, mean, var).

    normalized_shape None is the shape of gamma, else of beta, else the last axis.
    """
    if normalized_shape is None:
        given = [a for a in (gamma, beta) if a is not None]
        normalized_shape = given[0].shape if given else x.shape[-1:]
    axes = tuple(range(x.ndim - np.size(normalized_shape), x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    var = np.square(x - mean).mean(axis=axes, keepdims=True)
    y = _affine((x - mean) / np.sqrt(var + eps), gamma, beta)
    return y, mean.squeeze(axes), var.squeeze(axes)


def layer_norm_backward(dy, x, gamma, mean, var, *, eps=1e-5):
    """Gradients (dx, dgamma, dbeta) of Σ dy·layer_norm(...)[0], over the axes that mean lacks.

    dx̂ = γ dy;  dx = (dx̂ - Σdx̂/D - x̂ Σ(dx̂·x̂)/D)/√(var + ε),  sums over the D trailing values
    """
    leading, axes = tuple(range(mean.ndim)), tuple(range(mean.ndim, x.ndim))
    scale = 1 / np.sqrt(np.expand_dims(var, axes) + eps)
    x_hat = (x - np.expand_dims(mean, axes)) * scale
    dx_hat = dy if gamma is None else gamma * dy
    dx = scale * (
        dx_hat
        - dx_hat.mean(axis=axes, keepdims=True)
        - x_hat * (dx_hat * x_hat).mean(axis=axes, keepdims=True)
    )
    return dx, (dy * x_hat).sum(axis=leading), dy.sum(axis=leading)


def _affine(x_hat, gamma, beta):
    y = x_hat if gamma is None else gamma * x_hat
    return y if beta is None else y + beta


def _spread(statistic):
    """(N, groups) over the axes (N, pixels, groups, channels of a group)."""
    return statistic[:, None, :, None]
