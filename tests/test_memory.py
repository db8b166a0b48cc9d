"""Whose memory is whose: results are the caller's, passes do not share, steps allocate nothing."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convlet as cl
from convlet import _core
from networks import assert_allocates_nothing_later


def network(rng=0):
    """A model with every layer that saves something for its pullback."""
    body = cl.Sequential(cl.Conv2d(8, 8, 3, padding=1), cl.BatchNorm(8))
    return cl.Sequential(
        cl.Conv2d(3, 8, 3, padding="same", activation="relu"),
        cl.BatchNorm(8),
        cl.ReLU(),
        cl.Residual(body),
        cl.MaxPool2d(2),
        cl.Conv2d(8, 6, 1),
        cl.AvgPool2d(2),
        cl.Flatten(),
        cl.Linear(54, 10),
        cl.Softmax(),
        rng=rng,
    )


def batch(seed, n=4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 12, 12, 3)).astype(np.float32)
    return x, rng.standard_normal((n, 10)).astype(np.float32)


def gradients(model):
    """Take the gradients of a model, leaving zeros."""
    taken = [p.grad.copy() for p in model.parameters()]
    for p in model.parameters():
        p.grad[...] = 0
    return taken


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_interleaved_passes_do_not_share_memory(order):
    """Two passes before either pullback give the bits of two passes apart."""
    alone = []
    for seed in range(2):
        model = network()
        x, dy = batch(seed)
        y, pullback = model.vjp(x)
        alone.append((y.copy(), pullback(dy), *gradients(model)))

    model = network()
    passes = [model.vjp(batch(seed)[0]) for seed in range(2)]
    for seed in order:
        y, pullback = passes[seed]
        together = (y, pullback(batch(seed)[1]), *gradients(model))
        for expected, actual in zip(alone[seed], together, strict=True):
            np.testing.assert_array_equal(expected, actual)


def test_a_pass_that_is_dropped_leaves_no_trace():
    """A pass whose pullback is never called changes no gradient of the next."""
    model, other = network(), network()
    x, dy = batch(0)
    model.vjp(batch(1)[0])
    for m in (model, other):
        m.vjp(x)[1](dy)

    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(q.grad, p.grad)


def test_results_are_never_written_again():
    """What training and inference returned is the same ten steps later."""
    model = network()
    optimizer = cl.Adam(model.parameters(), lr=1e-2)
    kept = []
    for seed in range(10):
        x, _ = batch(seed)
        y, pullback = model.vjp(x)
        _, dlogits = cl.softmax_cross_entropy(y, np.arange(4))
        dx = pullback(dlogits)
        optimizer.step()
        optimizer.zero_grad()
        kept += [(a, a.copy()) for a in (y, dlogits, dx, model(x))]

    for array, copy in kept:
        np.testing.assert_array_equal(copy, array)


class Keeping(cl.Layer):
    """Give copies of what comes by, and keep these as well."""

    def __init__(self):
        self.kept = []

    def keep(self, array):
        given = array.copy()
        self.kept.append((given, array.copy()))
        return given

    def forward(self, x):
        return self.keep(x), self.keep


def test_backward_writes_over_nothing_that_others_hold():
    """The caller's x and dy, and all that layers of one's own have given, stay as they were."""
    layers = [Keeping() for _ in range(4)]
    body = cl.Sequential(layers[0], cl.BatchNorm(8), layers[1], cl.BatchNorm(8))
    model = cl.Sequential(
        cl.BatchNorm(3),
        cl.Conv2d(3, 8, 3),
        cl.Residual(body),
        cl.ReLU(),
        layers[2],
        cl.Residual(cl.BatchNorm(8), layers[3]),
        rng=0,
    )
    x, _ = batch(0)
    y, pullback = model.vjp(x)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    copies = [(array, array.copy()) for array in (x, y, dy)]
    pullback(dy)

    assert all(len(layer.kept) >= 2 for layer in layers)
    for array, copy in [*copies, *(kept for layer in layers for kept in layer.kept)]:
        np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize("drawn", [True, False])
def test_threads_on_the_inference_door(drawn):
    """Eight threads on one model get the bits of serial calls, also when they are its first use."""
    model, serial = network(), network()
    if drawn:
        model.parameters()
    batches = [batch(seed, n=1 + seed % 5)[0] for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(model, batches))

    for x, y in zip(batches, results, strict=True):
        np.testing.assert_array_equal(serial(x), y)


@pytest.mark.parametrize("make", [cl.SGD, cl.Adam, cl.AdaGrad])
def test_training_allocates_nothing_after_the_first_step(make):
    """The cache's miss counter stands still from the second step on."""
    model = network()
    optimizer = make(model.parameters(), lr=1e-3)
    x, _ = batch(0)
    labels = np.arange(4)

    def step():
        y, pullback = model.vjp(x, input_grad=False)
        _, dlogits = cl.softmax_cross_entropy(y, labels)
        pullback(dlogits)
        optimizer.step()
        optimizer.zero_grad()

    cl.clear_cache()

    assert_allocates_nothing_later(step)


def test_inference_allocates_nothing_after_the_first_call():
    """The same batch size is served from the cache."""
    model = network()
    x, _ = batch(0)

    assert_allocates_nothing_later(lambda: model(x))


def test_cache_stays_below_its_limit():
    """Five hundred random shapes leave no more idle memory than the limit."""
    rng = np.random.default_rng(0)
    layer = cl.Sequential(cl.Conv2d(3, 5, 3, padding=1), cl.ReLU(), rng=0)
    for _ in range(500):
        n, h, w = rng.integers(1, 24, 3)
        layer(np.zeros((n, h, w, 3), np.float32))

    info = _core.cache_info()
    assert 0 <= info["idle_bytes"] <= info["limit"]
