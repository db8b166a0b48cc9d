"""Children of fork(), from parents that have used the package, or use it in other threads."""

import os

import pytest

from processes import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")

# What a child computes, and how it is waited for: one that hangs is ended, and told by its status.
COMMON = """
import hashlib, os, signal, sys, threading
import numpy as np
import convlet as cl

x = np.random.default_rng(0).standard_normal((16, 16, 16, 8), np.float32)

def weights():
    model = cl.Sequential(cl.Conv2d(8, 16, 3), cl.BatchNorm(16), cl.ReLU(), cl.Flatten(),
                          cl.Linear(16 * 196, 10), rng=0)
    optimizer = cl.Adam(model.parameters())
    with cl.num_threads(3):
        for _ in range(3):
            logits, pullback = model.vjp(x)
            pullback(cl.softmax_cross_entropy(logits, np.arange(16) % 10)[1])
            optimizer.step()
        outputs = model(x).tobytes() + model.fold()(x).tobytes()
    values = b"".join(p.value.tobytes() for p in model.parameters())
    return hashlib.sha256(values + outputs).hexdigest()

def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def statuses(program):
    """Run a program after COMMON; return the exit statuses of children that it prints."""
    done = run_python(COMMON + program, CONVLET_ADAPTIVE="0")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_child_trains_to_the_same_bits():
    """A child of a parent whose threads have worked computes what it does, and so do its own."""
    program = """
expected = weights()
print(in_child(lambda: weights() == expected))
print(in_child(lambda: in_child(lambda: weights() == expected) == 0))
print(in_child(lambda: weights() == expected) if weights() == expected else "parent")
"""

    assert ["0", "0", "0"] == statuses(program)


def test_a_child_begun_while_another_thread_draws():
    """A thread that draws parameters as the process forks does not keep the child from drawing."""
    program = """
drawing, go_on = threading.Event(), threading.Event()

def draw(shape):
    drawing.set()
    go_on.wait()
    return np.zeros(shape)

expected = weights()
thread = threading.Thread(target=lambda: cl.Parameter.drawn(draw, (3,)).value)
thread.start()
drawing.wait()
print(in_child(lambda: weights() == expected))
go_on.set()
thread.join()
"""

    assert ["0"] == statuses(program)


def test_children_begun_while_others_compute():
    """Children that begin while other threads train compute as the parent does."""
    program = """
expected, stop = weights(), threading.Event()

def compute():
    while not stop.is_set():
        weights()

threads = [threading.Thread(target=compute) for _ in range(2)]
for thread in threads:
    thread.start()
print(*(in_child(lambda: weights() == expected) for _ in range(10)))
stop.set()
for thread in threads:
    thread.join()
"""

    assert ["0"] * 10 == statuses(program)
