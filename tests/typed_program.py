"""A program as users write it, with the types that a checker is to find in it.

`mypy --strict` reads it, and `tests/test_typing.py` runs it.
"""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np

import convlet as cl
from convlet import data, models, training
from convlet.gradcheck import gradcheck


class Scale(cl.Layer):
    """A layer as `convlet.Layer` describes it."""

    parameter_names = ("scale",)

    def __init__(self, channels: int) -> None:
        self.scale = cl.Parameter(np.ones(channels, np.float32), kind="norm", name="scale")

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        def pullback(dy: np.ndarray) -> np.ndarray:
            self.scale.accumulate((dy * x).sum(axis=(0, 1, 2)))
            dx: np.ndarray = dy * self.scale.value
            return dx

        return x * self.scale.value, pullback

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def main() -> None:
    (x, y), test = data.digits()
    model = cl.Sequential(
        cl.Conv2d(1, 4, (3, 3), padding=((1, 1), (1, 1)), activation=("leaky_relu", 0.1)),
        cl.BatchNorm(4),
        Scale(4),
        cl.Residual(cl.Conv2d(4, 4, 3, padding="same")),
        cl.MaxPool2d(2),
        cl.Flatten(),
        cl.Linear(64, 10),
        rng=0,
    )
    assert_type(model[0], cl.Layer)
    assert_type(model[:2], cl.Sequential)
    assert_type(model.summary((1, 8, 8, 1)).parameters, int)
    assert_type(model.astype("float64"), cl.Sequential)

    def rate(t: int) -> float:
        return 0.1 / t

    groups = cl.optimizers.group(model.parameters(), "bias", l2=0.0)
    optimizer = cl.SGD(groups, rate, momentum=0.9, l2=lambda t: 1e-4)
    for images, labels in data.Batches(x[:64], y[:64], 32, rng=0, last="merge"):
        logits, pullback = model.vjp(images, input_grad=False)
        assert_type(logits, np.ndarray)
        loss, dlogits = cl.softmax_cross_entropy(logits, labels, label_smoothing=0.1)
        assert_type(loss, float | Any)
        assert_type(dlogits, np.ndarray)
        pullback(dlogits)
        optimizer.step(zero_grad=True, max_norm=1.0)

    def weighted(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        return cl.softmax_cross_entropy(logits, labels, class_weight=np.ones(10))

    history = training.fit(
        model,
        optimizer,
        x[:64],
        y[:64],
        epochs=1,
        batch_size=32,
        test=test,
        loss=weighted,
        augment=lambda images: data.random_shift(images, 1, rng=0),
        max_norm=1.0,
    )
    assert_type(history, dict[str, list[float]])
    assert_type(model(x[:3]), np.ndarray)
    assert_type(model.fold()(x[:3]), np.ndarray)
    model.load_state_dict(assert_type(model.state_dict(), dict[str, np.ndarray]))
    assert_type(model.named_parameters(), list[tuple[str, cl.Parameter]])
    model[0].trainable = False
    assert_type(model.trainable, bool)
    assert_type(cl.schedules.cosine(0.1, steps=10, final=0.01)(1), float)
    theirs = {"weight": np.ones((2, 3)), "bias": np.ones(2)}
    linear = cl.Linear(3, 2)
    linear.load_state_dict(cl.states.from_pytorch(linear, theirs))
    assert_type(np.asarray(linear.weight).sum(), Any)

    weights = cl.init.he_normal((3, 3, 1, 4), rng=0)
    assert_type(cl.conv2d(x[:2], weights, stride=(1, 2), algorithm="im2col"), np.ndarray)
    dx, dw, _ = cl.ops.conv2d_backward(np.ones((2, 6, 6, 4), np.float32), x[:2], weights)
    assert dx.shape == (2, 8, 8, 1)
    assert dw.shape == weights.shape
    assert_type(models.resnet20("pad"), cl.Sequential)
    assert_type(gradcheck(cl.Linear(2, 3).astype(np.float64), np.ones((1, 2))), float)


if __name__ == "__main__":
    main()
