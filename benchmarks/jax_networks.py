"""The networks of convlet.models in JAX, as functions of the same arrays: NHWC, HWIO, (in, out)."""

import jax
import jax.numpy as jnp
from jax import lax


class Arrays:
    """Parameters, and statistics of batch norm, handed out in the order of convlet's.

    Parameters
    ----------
    parameters : list of arrays
    statistics : list of running means and variances, or None to use those of the batch
    """

    def __init__(self, parameters, statistics=None):
        self._parameters = iter(parameters)
        self._statistics = None if statistics is None else iter(statistics)

    def take(self):
        """Return the next parameter."""
        return next(self._parameters)

    def moments(self, x):
        """Return the mean and variance that normalise x."""
        if self._statistics is None:
            return x.mean((0, 1, 2)), x.var((0, 1, 2))
        return next(self._statistics), next(self._statistics)


def conv(x, w, stride=1, padding=None, groups=1):
    """Convolve images, padded by half the kernel unless told otherwise."""
    padding = w.shape[0] // 2 if padding is None else padding
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def normalise(x, mean, var, gamma, beta, eps=1e-5):
    """Batch norm with these moments."""
    return (x - mean) * (lax.rsqrt(var + eps) * gamma) + beta


def max_pool(x, kernel=2, stride=2, padding=0):
    """Largest value of each window."""
    pads = (0, 0), (padding, padding), (padding, padding), (0, 0)
    window, strides = (1, kernel, kernel, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pads)


def cross_entropy(logits, labels):
    """Mean of the rows' cross-entropies."""
    rows = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(rows, labels[:, None], axis=1).mean()


def adam(parameters, grads, moments, t, lr):
    """Return parameters and moments after Adam's step t, from 1."""
    b1, b2 = 0.9, 0.999
    first = [b1 * m + (1 - b1) * g for m, g in zip(moments[0], grads, strict=True)]
    second = [b2 * v + (1 - b2) * g * g for v, g in zip(moments[1], grads, strict=True)]

    def move(p, m, v):
        return p - lr * (m / (1 - b1**t)) / (jnp.sqrt(v / (1 - b2**t)) + 1e-8)

    return list(map(move, parameters, first, second)), (first, second)


def _unit(x, a, stride=1, groups=1):
    x = conv(x, a.take(), stride, groups=groups)
    mean, var = a.moments(x)
    return normalise(x, mean, var, a.take(), a.take())


def _linear(x, a):
    return x @ a.take() + a.take()


def digits(x, a):
    """As convlet.models.digits."""
    x = jax.nn.relu(_unit(jax.nn.relu(_unit(x, a)), a))
    return _linear(max_pool(x).reshape(len(x), -1), a)


def lenet(x, a):
    """As convlet.models.lenet."""
    for _ in range(2):
        x = max_pool(jax.nn.relu(conv(x, a.take()) + a.take()))
    return _linear(jax.nn.relu(_linear(x.reshape(len(x), -1), a)), a)


def resnet20(x, a):
    """As convlet.models.resnet20."""
    return _resnet(jax.nn.relu(_unit(x, a)), a, 3, (16, 32, 64))


def resnet18(x, a):
    """As convlet.models.resnet18."""
    stem = max_pool(jax.nn.relu(_unit(x, a, 2)), 3, 2, 1)
    return _resnet(stem, a, 2, (64, 128, 256, 512))


def _resnet(x, a, blocks, widths):
    for stage, width in enumerate(widths):
        for i in range(blocks):
            stride = 2 if stage and not i else 1
            y = _unit(jax.nn.relu(_unit(x, a, stride)), a)
            changes = x.shape[-1] != width or stride != 1
            x = jax.nn.relu(y + (_unit(x, a, stride) if changes else x))
    return _linear(x.mean((1, 2)), a)


def mobilenet_small(x, a):
    """As convlet.models.mobilenet_small."""
    x = jax.nn.relu(_unit(x, a))
    for stride in (1, 2, 1, 2, 1):
        x = jax.nn.relu(_unit(x, a, stride, groups=x.shape[-1]))
        x = jax.nn.relu(_unit(x, a))
    return _linear(x.mean((1, 2)), a)
