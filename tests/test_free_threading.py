"""Threads of Python at work at once, with the GIL and without it."""

import hashlib
import sysconfig
import threading

import numpy as np
import pytest

import convlet as cl
from processes import run_python

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def test_import_leaves_the_gil_as_it_is():
    """A free-threaded Python stays so, without a warning: the extension says that it may."""
    program = (
        "import convlet, sys; print(getattr(sys, '_is_gil_enabled', lambda: True)()); "
        "print(convlet.models.digits, convlet.data.digits)"
    )
    done = run_python(program, options=("-W", "error"), unset=("PYTHON_GIL",))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == str(not FREE_THREADED)


def weights_after_training(seed):
    """Train a network of every kind of kernel for some steps and return a digest of its weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((12, 12, 12, 3), np.float32)
    labels = rng.integers(0, 5, 12)
    model = cl.Sequential(
        cl.Conv2d(3, 8, 3, padding="same", use_bias=False),
        cl.BatchNorm(8),
        cl.ReLU(),
        cl.Residual(cl.Sequential(cl.Conv2d(8, 8, 3, padding="same"), cl.GroupNorm(2, 8))),
        cl.Dropout(0.2, rng=seed),
        cl.MaxPool2d(2),
        cl.GELU(),
        cl.Flatten(),
        cl.Linear(8 * 36, 5),
        rng=seed,
    )
    optimizer = cl.Adam(model.parameters(), lr=1e-2)
    for _ in range(5):
        logits, pullback = model.vjp(x, input_grad=False)
        pullback(cl.softmax_cross_entropy(logits, labels)[1])
        optimizer.step(zero_grad=True, max_norm=1.0)
    outputs = model(x), model.fold()(x)
    arrays = [p.value for p in model.parameters()] + list(outputs)
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def in_threads(work, count):
    """Run work(0), work(1), ... in threads that begin together, and return what they return."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(i):
        barrier.wait()
        results[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("team", [1, 2])
def test_training_in_many_threads(team):
    """Models that are trained at once, each in its thread, end in the bits of one at a time."""
    expected = [weights_after_training(seed % 3) for seed in range(6)]

    def work(i):
        with cl.num_threads(team):
            if i == 5:
                cl.clear_cache()
            return weights_after_training(i % 3)

    assert expected == in_threads(work, 6)


def test_one_model_in_many_threads():
    """A fresh model, whose plans are made by whoever comes first, infers alike in all threads."""
    x = np.random.default_rng(0).standard_normal((8, 8, 8, 1), np.float32)
    expected = cl.models.digits(rng=0)(x)
    for _ in range(5):
        model = cl.models.digits(rng=0)
        folded = model.fold()
        want = folded(x)
        results = in_threads(lambda i: (model(x), folded(x)), 6)  # noqa: B023 (done by then)

        assert all(np.array_equal(expected, y) and np.array_equal(want, z) for y, z in results)
