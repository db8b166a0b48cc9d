"""Plans: they follow the model, are made once, and keep no more than they need."""

import numpy as np
import pytest

import convlet as cl
from chains import CHAINS, trained, unit
from convlet.planner import plan as plan_module
from networks import assert_allocates_nothing_later, images


def test_a_layer_used_twice_is_joined_twice():
    """A shared batch norm moves its statistics twice, and its gradients add up."""
    runs = []
    for fuse in (True, False):
        shared = cl.Sequential(*unit(3, 3, 1), rng=0)
        model = cl.Sequential(
            cl.Residual(shared), cl.ReLU(), cl.Residual(shared), cl.ReLU(), rng=0
        ).astype("float64")
        runs.append(trained(model, fuse, steps=3, dtype=np.float64))
        assert 6 == model[0].body[1].count

    for joined, apart in zip(*runs, strict=True):
        np.testing.assert_allclose(joined, apart, rtol=0, atol=1e-12)


def change_shortcut(model):
    model[1].shortcut = cl.Conv2d(4, 4, 1, rng=3)


def change_activation(model):
    model[0].activation = "relu"


def change_stride(model):
    model[0].stride = (2, 2)


def tie_weights(model):
    model[1].body[3].weight = model[1].body[0].weight


def freeze(model):
    model[1].freeze()


def freeze_one(model):
    model[1].body[0].weight.trainable = False


@pytest.mark.parametrize(
    "change",
    [change_shortcut, change_activation, change_stride, tie_weights, freeze, freeze_one],
)
def test_plans_follow_changes_of_the_model(change):
    """A model that has run and is then changed does what one changed at first does."""
    x = images(4, 9, 9, 3, dtype=np.float32)
    results = []
    for run_before in (True, False):
        model = CHAINS["identity"]()
        if run_before:
            model(x)
            model.vjp(x)[1](model(x))
            for p in model.parameters():
                p.grad[...] = 0
            for norm in (model[1].body[1], model[1].body[4]):
                norm.running_mean, norm.running_var = np.zeros(4, "f"), np.ones(4, "f")
        change(model)
        y, pullback = model.vjp(x)
        results.append([y, pullback(y), model(x), *(p.grad for p in model.parameters())])

    for after, fresh in zip(*results, strict=True):
        np.testing.assert_array_equal(after, fresh)


def test_plans_are_made_once():
    """The second call on a shape finds the plan of the first, whatever layers of users count."""

    class Counting(cl.Layer):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x.copy(), lambda dy: dy

    model = cl.Sequential(cl.Conv2d(3, 4, 3), cl.BatchNorm(4), Counting(), rng=0)
    x = images(2, 5, 5, 3, dtype=np.float32)
    model.vjp(x)
    planned = model._plans
    before = dict(planned._plans)
    for _ in range(3):
        model.vjp(x)

    assert planned is model._plans
    assert all(before[key] is plan for key, plan in planned._plans.items())


def test_plans_are_bounded():
    """Any number of shapes leaves a bounded number of plans."""
    model = cl.Sequential(cl.Conv2d(1, 1, 1), cl.ReLU(), rng=0)
    for n in range(200):
        model(np.zeros((1, 1 + n, 1, 1), np.float32))

    assert 1 <= len(model._plans._plans) <= 64


def test_training_with_activations_made_again_allocates_nothing(monkeypatch):
    """Steps that make activations again find all their memory in the cache."""
    monkeypatch.setattr(plan_module, "REMADE_FROM", 0)
    model = CHAINS["convolution and norm"]()
    x = images(4, 12, 12, 3, dtype=np.float32)

    def step():
        y, pullback = model.vjp(x, input_grad=False)
        pullback(y)

    cl.clear_cache()

    assert_allocates_nothing_later(step)
