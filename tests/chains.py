"""Small models whose layers a plan joins, for the tests of the planner."""

import numpy as np

import convlet as cl
from convlet import models


def unit(channels, out, kernel=3, stride=1):
    conv = cl.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, use_bias=False)
    return [conv, cl.BatchNorm(out)]


def block(body, shortcut=None, *, relu=True):
    """A residual block of 4 channels on top of a trainable stem."""
    after = [cl.ReLU()] if relu else []
    return cl.Sequential(cl.Conv2d(3, 4, 3), cl.Residual(body, shortcut), *after, rng=0)


def body(*after):
    return cl.Sequential(*unit(4, 4), cl.ReLU(), *unit(4, 4), *after)


# What is around a residual body, and what its end and the ReLU after it become.
CHAINS = {
    "identity": lambda: block(body()),
    "convolution": lambda: block(body(), cl.Conv2d(4, 4, 1)),
    "convolution and norm": lambda: block(body(), cl.Sequential(*unit(4, 4, 1))),
    "two norms, no ReLU": lambda: block(body(), cl.Sequential(*unit(4, 4, 1)), relu=False),
    "norms of one value": lambda: block(cl.BatchNorm(4), cl.BatchNorm(4, eps=1e-3)),
    "norm, convolution": lambda: block(body(), cl.Sequential(cl.BatchNorm(4), cl.Conv2d(4, 4, 1))),
    "convolution, norm, ReLU": lambda: block(body(), cl.Sequential(*unit(4, 4, 1), cl.ReLU())),
    "pad": lambda: block(body(), models.PadShortcut(4)),
    "ReLU on the way around": lambda: block(
        body(), cl.Sequential(cl.Conv2d(4, 4, 1), cl.ReLU()), relu=False
    ),
    "norm on the way around": lambda: block(cl.Conv2d(4, 4, 1), cl.BatchNorm(4)),
    "no ReLU after": lambda: block(body(), relu=False),
    "norm of two readers": lambda: cl.Sequential(
        *unit(3, 4), cl.Residual(body()), cl.ReLU(), rng=0
    ),
    "ReLU inside": lambda: block(body(cl.ReLU())),
    "twice": lambda: block(cl.Residual(body()), cl.Sequential(*unit(4, 4, 1))),
    "branches": lambda: block(
        cl.Sequential(cl.Concat(cl.Sequential(*unit(4, 1), cl.ReLU()), cl.Conv2d(4, 3, 1)))
    ),
    "norms, convolution": lambda: cl.Sequential(
        cl.BatchNorm(3), cl.BatchNorm(3), cl.ReLU(), cl.Conv2d(3, 2, 1), rng=0
    ),
    "pool after ReLU": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 3),
        cl.ReLU(),
        cl.MaxPool2d(3, stride=2, padding=1),
        cl.Conv2d(4, 4, 1),
        rng=0,
    ),
    "two readers of ReLU": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 3, activation="relu"),
        cl.Residual(cl.MaxPool2d(3, stride=1, padding=1)),
        cl.ReLU(),
        rng=0,
    ),
    "large pool": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 1), cl.ReLU(), cl.MaxPool2d(17, stride=2, padding=8), rng=0
    ),
    "pool after norm": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 3),
        cl.BatchNorm(4),
        cl.ReLU(),
        cl.MaxPool2d(3, stride=2, padding=1),
        cl.Conv2d(4, 4, 1),
        cl.BatchNorm(4),
        cl.MaxPool2d(2, ceil_mode=True),
        rng=0,
    ),
    "large pool after norm": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 1),
        cl.BatchNorm(4),
        cl.ReLU(),
        cl.MaxPool2d(17, stride=2, padding=8),
        rng=0,
    ),
    "other activations": lambda: cl.Sequential(
        cl.Conv2d(3, 4, 3),
        cl.ReLU6(),
        cl.Conv2d(4, 4, 3, padding=1),
        cl.LeakyReLU(0.25),
        cl.Conv2d(4, 4, 1),
        cl.LeakyReLU(0.5),
        cl.MaxPool2d(2),
        cl.BatchNorm(4),
        cl.ReLU6(),
        rng=0,
    ),
    "pre-activation": lambda: block(
        cl.Sequential(cl.BatchNorm(4), cl.ReLU(), cl.Conv2d(4, 4, 3, padding=1)), relu=False
    ),
}


def trained(model, fuse, *, steps, dtype, shape=(6, 8, 8, 3), input_grad=True):
    """Everything that training leaves behind: losses, input gradients, the state."""
    rng = np.random.default_rng(5)
    optimizer = cl.SGD(model.parameters(), lr=0.02, momentum=0.9)
    seen = []
    with cl.options(fuse=fuse):
        for _ in range(steps):
            x = rng.standard_normal(shape).astype(dtype)
            y, pullback = model.vjp(x, input_grad=input_grad)
            dy = y / y.size
            seen += [y.copy(), pullback(dy)]
            np.testing.assert_array_equal(y / y.size, dy)
            optimizer.step()
            optimizer.zero_grad()
        seen.append(model(x))
    return [a for a in [*seen, *model.state_dict().values()] if a is not None]
