"""Training gives the same bits on every instruction set with FMA and for any number of threads."""

import numpy as np
import pytest

from same_bits import assert_same_bits, needs_fma

# 9 and 17 images of 9x9 with 65 channels, and sums over more than 640 terms in every pass.
PROGRAM = """
import numpy as np
import convlet as cl
from convlet import _core, training

rng = np.random.default_rng(0)
body = cl.Sequential(cl.Conv2d(65, 65, 3, padding=1, use_bias=False), cl.BatchNorm(65))
model = cl.Sequential(
    cl.Conv2d(3, 65, 3, padding="same"),
    cl.BatchNorm(65),
    cl.ReLU(),
    cl.Residual(body, cl.Sequential(cl.Conv2d(65, 65, 1), cl.BatchNorm(65))),
    cl.ReLU(),
    cl.Conv2d(65, 33, 5, stride=2, padding=2, activation="relu"),
    cl.AvgPool2d(3, stride=2, padding=1),
    cl.MaxPool2d(2, padding=1),
    cl.Flatten(),
    cl.Linear(33 * 4, 10),
    rng=0,
).astype(np.dtype("{dtype}"))
optimizers = [
    cl.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, l2=1e-3),
    cl.Adam(model.parameters(), lr=lambda t: 1e-3 / t),
    cl.AdaGrad(model.parameters(), lr=1e-3),
]
for step, n in enumerate([9, 17, 9]):
    x = rng.standard_normal((n, 9, 9, 3)).astype("{dtype}")
    logits, pullback = model.vjp(x)
    loss, dlogits = cl.softmax_cross_entropy(logits, np.arange(n) % 10)
    pullback(dlogits)
    optimizers[step].step()
    optimizers[step].zero_grad()
print(_core.isa(), training.weights_sha256(model), loss.hex(), float(model(x).sum()).hex())
"""


@needs_fma
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_an_odd_model_gives_the_same_bits(dtype):
    """Weights, loss and predictions agree for 1, 2 and 3 threads on every level."""
    assert_same_bits(PROGRAM.replace("{dtype}", dtype))


def test_repeating_a_step_repeats_its_bits():
    """In one process too, the same model on the same batch has the same gradients."""
    import convlet as cl

    x = np.random.default_rng(1).standard_normal((17, 9, 9, 5)).astype(np.float32)
    seen = []
    for _ in range(2):
        model = cl.Sequential(cl.Conv2d(5, 65, 3), cl.BatchNorm(65), cl.GlobalAvgPool2d(), rng=3)
        y, pullback = model.vjp(x)
        seen.append([y, pullback(y), *(p.grad for p in model.parameters())])

    for a, b in zip(*seen, strict=True):
        np.testing.assert_array_equal(a, b)
