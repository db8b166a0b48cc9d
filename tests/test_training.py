"""The training loop: its history, what an interruption leaves, and the checksum of the weights."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convlet as cl
from convlet import data, models, training

ROOT = Path(__file__).parent.parent


@pytest.fixture
def digits():
    """The first 160 training and 60 test images."""
    (x, y), (x_test, y_test) = data.digits()
    return (x[:160], y[:160]), (x_test[:60], y_test[:60])


def start(seed=0):
    """Return a fresh digits model and an optimizer over it."""
    model = models.digits(rng=seed)
    return model, cl.Adam(model.parameters(), lr=1e-2)


def test_digits_model_is_the_documented_one():
    """models.digits has the shapes of its docstring and draws from its generator."""
    model = models.digits(rng=0)
    shapes = [parameter.value.shape for parameter in model.parameters()]

    expected = [(3, 3, 1, 16), (16,), (16,), (3, 3, 16, 32), (32,), (32,), (512, 10), (10,)]
    assert expected == shapes
    assert model(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 10)
    assert training.weights_sha256(model) == training.weights_sha256(models.digits(rng=0))
    assert training.weights_sha256(model) != training.weights_sha256(models.digits(rng=1))


def test_fit_learns_and_keeps_a_history(digits):
    """The loss falls, and every list has one Python float per epoch."""
    train, test = digits
    model, optimizer = start()

    history = training.fit(model, optimizer, *train, epochs=6, batch_size=32, rng=0, test=test)

    assert list(history) == ["loss", "accuracy", "test_loss", "test_accuracy"]
    for values in history.values():
        assert [float] * 6 == [type(value) for value in values]
    assert history["loss"][-1] < history["loss"][0] / 4
    assert history["accuracy"][-1] > 0.9
    assert history["test_accuracy"][-1] == training.evaluate(model, *test)
    expected, _ = cl.softmax_cross_entropy(model(test[0]), test[1])
    assert history["test_loss"][-1] == pytest.approx(expected, rel=1e-6)


def test_fit_without_a_test_set_has_no_test_numbers(digits):
    """With nothing to evaluate on, the history makes no statement about it."""
    model, optimizer = start()

    history = training.fit(model, optimizer, *digits[0], epochs=1, batch_size=64, rng=0)

    assert list(history) == ["loss", "accuracy"]


def test_fit_repeats_itself_bit_for_bit(digits):
    """The same seeds give the same history and the same weights, other seeds other ones."""

    def run(seed):
        model, optimizer = start()
        history = training.fit(model, optimizer, *digits[0], epochs=2, batch_size=32, rng=seed)
        return history, training.weights_sha256(model)

    assert run(0) == run(0)
    assert run(0)[1] != run(1)[1]


def test_fit_is_the_two_doors_spelled_out(digits):
    """One epoch of fit leaves the weights of the loop written by hand, and tells its loss."""
    x, y = digits[0]
    model, optimizer = start()
    history = training.fit(model, optimizer, x, y, epochs=1, batch_size=50, rng=5)

    by_hand, optimizer = start()
    summed_loss, correct = 0.0, 0
    for x_batch, labels in data.Batches(x, y, 50, rng=5):
        logits, pullback = by_hand.vjp(x_batch, input_grad=False)
        loss, dlogits = cl.softmax_cross_entropy(logits, labels)
        pullback(dlogits)
        optimizer.step()
        optimizer.zero_grad()
        summed_loss += loss * len(labels)
        correct += int((logits.argmax(axis=-1) == labels).sum())
    assert training.weights_sha256(by_hand) == training.weights_sha256(model)
    assert {"loss": [summed_loss / len(y)], "accuracy": [correct / len(y)]} == history


def test_fit_reports_its_progress(digits):
    """The callback sees every batch, and the test set's numbers with the last of an epoch."""
    train, test = digits
    model, optimizer = start()
    seen = []

    history = training.fit(
        model,
        optimizer,
        *train,
        epochs=2,
        batch_size=100,
        rng=0,
        test=test,
        progress=seen.append,
    )

    assert [(p.epoch, p.images) for p in seen] == [(1, 100), (1, 160), (2, 100), (2, 160)]
    assert [seen[0].test_accuracy, seen[2].test_accuracy] == [None, None]
    assert history["test_accuracy"] == [seen[1].test_accuracy, seen[3].test_accuracy]
    assert [seen[0].test_loss, seen[2].test_loss] == [None, None]
    assert history["test_loss"] == [seen[1].test_loss, seen[3].test_loss]
    assert history["loss"] == [seen[1].loss, seen[3].loss]
    assert {(2, 160)} == {(p.epochs, p.total) for p in seen}


@pytest.mark.parametrize(
    ("last", "expected"), [("keep", [70, 140, 160]), ("drop", [70, 140]), ("merge", [70, 160])]
)
def test_fit_treats_the_last_batch_as_told(digits, last, expected):
    """What is left after whole batches is kept, dropped or merged, and an epoch counts the rest."""
    model, optimizer = start()
    seen = []
    history = training.fit(
        model,
        optimizer,
        *digits[0],
        epochs=1,
        batch_size=70,
        rng=0,
        last=last,
        progress=seen.append,
    )

    assert expected == [p.images for p in seen]
    assert {expected[-1]} == {p.total for p in seen}
    assert 1 == len(history["loss"])


@pytest.mark.parametrize(("calls", "completed"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_fit_ends_cleanly_when_interrupted(digits, calls, completed):
    """An interruption keeps the weights reached, zero gradients and the completed epochs."""
    train, test = digits
    model, optimizer = start()
    reached = []

    def interrupt(progress):
        reached.append(training.weights_sha256(model))
        if len(reached) == calls:
            raise KeyboardInterrupt

    history = training.fit(
        model,
        optimizer,
        *train,
        epochs=9,
        batch_size=100,
        rng=0,
        test=test,
        progress=interrupt,
    )

    assert {completed} == {len(values) for values in history.values()}
    assert reached[-1] == training.weights_sha256(model)
    assert all(not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("answer", [bool, np.bool_])
@pytest.mark.parametrize(("images", "completed"), [(100, 2), (160, 3)])
def test_fit_ends_where_its_callback_says_so(digits, images, completed, answer):
    """A callback that returns True ends the training after its batch, as for early stopping."""
    train, test = digits
    model, optimizer = start()
    seen = []

    def enough(reached):
        seen.append(reached)
        return answer((reached.epoch, reached.images) == (3, images))

    history = training.fit(
        model, optimizer, *train, epochs=9, batch_size=100, rng=0, test=test, progress=enough
    )

    assert (3, images) == (seen[-1].epoch, seen[-1].images)
    assert {completed} == {len(values) for values in history.values()}


def test_fit_goes_on_whatever_else_its_callback_returns(digits):
    """A callback that returns something without meaning to, as a progress bar, ends nothing."""
    model, optimizer = start()

    history = training.fit(
        model, optimizer, *digits[0], epochs=2, batch_size=100, rng=0, progress=lambda _: 1
    )

    assert 2 == len(history["loss"])


def test_fit_interrupted_within_a_step_zeroes_the_gradients(digits):
    """An interruption between pullback and step leaves no gradient for a later training."""
    model, optimizer = start()

    def interrupt(**options):
        raise KeyboardInterrupt

    optimizer.step = interrupt
    before = [parameter.value.copy() for parameter in model.parameters()]
    history = training.fit(model, optimizer, *digits[0], epochs=1, batch_size=32, rng=0)

    assert history == {"loss": [], "accuracy": []}
    for parameter, value in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(value, parameter.value)
        assert not parameter.grad.any()


@pytest.mark.parametrize(
    ("number", "cure"),
    [(np.nan, "x holds numbers that are not finite"), (3e38, "a smaller learning rate may help")],
)
def test_fit_stops_at_a_loss_that_is_not_finite(number, cure):
    """That is an error that names the place and the cure, and the step on it is not taken."""
    model = cl.Sequential(cl.Flatten(), cl.Linear(4, 3), rng=0)
    optimizer = cl.SGD(model.parameters(), lr=0.1)
    before = training.weights_sha256(model)
    x = np.full((6, 2, 2, 1), number, np.float32)

    with pytest.raises(FloatingPointError, match=rf"loss is \w+ in epoch 1 after 0 images; {cure}"):
        training.fit(model, optimizer, x, np.zeros(6, int), epochs=1, batch_size=2, rng=0)
    assert before == training.weights_sha256(model)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"y": np.zeros(3, int)}, ValueError, "fit: .*, got 6 examples and 3 labels"),
        ({"x": np.zeros((0, 2, 2, 1), np.float32)}, ValueError, "at least one example"),
        ({"test": np.zeros((2, 2, 2, 1))}, TypeError, r"a pair \(x, y\) or None, got ndarray"),
        ({"test": (np.zeros((2, 2, 2, 1)),)}, TypeError, r"a pair \(x, y\) or None, got tuple"),
        ({"y": np.zeros(6, np.float32)}, TypeError, "y has dtype float32, expected integer labels"),
        ({"y": np.zeros((6, 3), np.float32)}, ValueError, r"one-hot, use y.argmax\(axis=-1\)"),
        ({"y": np.zeros((6, 1), int)}, ValueError, r"y must have shape \(6,\).*: use y\[..., 0\]"),
        ({"y": np.full(6, "cat")}, TypeError, r"use classes, y = np.unique\(y, return_inverse"),
        ({"y": np.arange(6)}, ValueError, "y has 3 at index 3, expected labels from 0 to 2"),
        ({"y": np.array([0, 0, -1, 0, 0, 0])}, ValueError, "y has -1 at index 2"),
        ({"x": np.zeros((6, 2, 3, 1), np.float32)}, ValueError, r"got \(1, 6\)"),
        (
            {"test": (np.zeros((2, 2, 2, 1), np.float32), np.zeros(1, int))},
            ValueError,
            "test: .* got 2 examples and 1 labels",
        ),
        (
            {"test": (np.zeros((2, 3, 2, 1), np.float32), np.zeros(2, int))},
            ValueError,
            r"got \(1, 6\)",
        ),
        (
            {"test": (np.zeros((2, 2, 2, 1)), np.zeros(2, int))},
            TypeError,
            "expected x of float32, as its parameters are, got float64",
        ),
        (
            {"test": (np.zeros((2, 2, 2, 1), np.float32), np.array([0, 3]))},
            ValueError,
            "fit: test y has 3 at index 1, expected labels from 0 to 2",
        ),
        (
            {"test": (np.zeros((2, 2, 2, 1), np.float32), np.zeros(2))},
            TypeError,
            "fit: test y has dtype float64, .*: use y.astype",
        ),
        ({"x": None}, TypeError, "fit: x must be an array, got NoneType"),
        ({"x": [[[[1.0]]]] * 6}, TypeError, "fit: x must be an array, got list: use np.asarray"),
        ({"x": np.ma.ones((6, 2, 2, 1))}, TypeError, r"fit: x is a masked array.*x.filled\(0\)"),
        ({"x": np.float32(1)}, TypeError, "fit: x must be an array, got a single number"),
        ({"y": 0}, TypeError, "fit: y must be an array, got int"),
        ({"y": [0] * 6}, TypeError, r"fit: y must be an array, got list: .*\(y, np.int64\)"),
        ({"model": np.asarray}, TypeError, "fit: expected model to be a layer, .*, got builtin"),
        ({"optimizer": "adam"}, TypeError, r"fit: expected an optimizer, such as Adam.*got 'adam'"),
        ({"max_norm": -1}, ValueError, "max_norm"),
        (
            {"loss": "mse"},
            TypeError,
            r"\(logits, labels\) -> \(value, gradient\), such as .* 'mse'",
        ),
    ],
)
def test_fit_refuses_bad_arguments(change, error, message):
    """Arguments that cannot be trained on are errors that name the value, and change nothing."""
    model = cl.Sequential(cl.BatchNorm(1), cl.Flatten(), cl.Linear(4, 3), rng=0)
    before = training.weights_sha256(model)
    good = {
        "model": model,
        "x": np.zeros((6, 2, 2, 1), np.float32),
        "y": np.zeros(6, int),
        "epochs": 1,
        "batch_size": 2,
    }

    good["optimizer"] = cl.SGD(model.parameters(), lr=0.1)
    with pytest.raises(error, match=message):
        training.fit(**(good | change))
    assert before == training.weights_sha256(model)


def test_fit_refuses_what_would_learn_nothing(digits):
    """An optimizer of another model, frozen parameters and a last Softmax are errors."""
    model, optimizer = start()
    options = {"epochs": 1, "batch_size": 32}
    for other in (models.digits(rng=0), model.astype("float64")):
        x = digits[0][0].astype(other.dtype)
        with pytest.raises(ValueError, match=r"steps no trainable parameter of the model: make it"):
            training.fit(other, optimizer, x, digits[0][1], **options)
    model.freeze()
    with pytest.raises(ValueError, match=r"unfreeze\(\) what is to learn"):
        training.fit(model, optimizer, *digits[0], **options)
    model.unfreeze()
    ends = cl.Sequential(model, cl.Sequential(cl.Softmax()))
    with pytest.raises(ValueError, match="the model ends in Softmax, but softmax_cross_entropy"):
        training.fit(ends, optimizer, *digits[0], **options)
    training.fit(ends, optimizer, *digits[0], loss=lambda p, y: (0.5, p), **options)
    training.fit(cl.Sequential(model, cl.Sequential()), optimizer, *digits[0], **options)


def test_fit_by_another_loss_on_changed_images_with_clipped_gradients(digits):
    """loss, augment and max_norm are what they are in the loop written by hand."""
    x, y = digits[0]
    weight = np.linspace(0.5, 2, 10)

    def loss(logits, labels):
        return cl.softmax_cross_entropy(logits, labels, class_weight=weight, label_smoothing=0.1)

    model, optimizer = start()
    rng = np.random.default_rng(3)
    training.fit(
        model,
        optimizer,
        x,
        y,
        epochs=1,
        batch_size=50,
        rng=5,
        loss=loss,
        augment=lambda images: data.random_shift(images, 1, rng=rng),
        max_norm=0.5,
    )

    by_hand, optimizer = start()
    rng = np.random.default_rng(3)
    for images, labels in data.Batches(x, y, 50, rng=5):
        shifted = data.random_shift(images, 1, rng=rng)
        logits, pullback = by_hand.vjp(shifted, input_grad=False)
        pullback(loss(logits, labels)[1])
        optimizer.step(zero_grad=True, max_norm=0.5)
    assert training.weights_sha256(by_hand) == training.weights_sha256(model)


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (0.5, "float"),
        ((0.5,), r"\(float\)"),
        ((np.ones(32), np.ones((32, 10), np.float32)), r"\(ndarray, ndarray\)"),
    ],
)
def test_a_loss_that_gives_something_else(digits, result, got):
    """What is no number with its gradient is refused before the step."""
    model, optimizer = start()
    before = model.parameters()[0].value.copy()
    with pytest.raises(TypeError, match=rf"return \(number, gradient\), .* got {got}"):
        training.fit(
            model, optimizer, *digits[0], epochs=1, batch_size=32, loss=lambda z, y: result
        )

    np.testing.assert_array_equal(before, model.parameters()[0].value)


def test_labels_of_pixels(digits):
    """With a label for each pixel an accuracy is the share of pixels."""
    x = digits[0][0][:20]
    y = (x[..., 0] > 0.5).astype(np.int64)
    model = cl.Sequential(cl.Conv2d(1, 2, 1), rng=0)

    history = training.fit(
        model, cl.Adam(model.parameters(), 0.1), x, y, epochs=30, batch_size=10, rng=0, test=(x, y)
    )
    expected = float((model(x).argmax(axis=-1) == y).mean())
    assert expected == training.evaluate(model, x, y) == history["test_accuracy"][-1]
    assert 0.9 < expected <= 1
    assert all(accuracy <= 1 for accuracy in history["accuracy"])
    assert history["test_loss"][-1] == pytest.approx(cl.softmax_cross_entropy(model(x), y)[0])


def test_evaluate_counts_the_largest_logits():
    """The accuracy is that of the arg-max, whatever the batch size."""
    logits = np.random.default_rng(0).normal(size=(23, 4)).astype(np.float32)
    labels = np.random.default_rng(1).integers(4, size=23)

    def identity(x):
        return x

    expected = sum(int(np.argmax(z)) == label for z, label in zip(logits, labels, strict=True)) / 23
    for batch_size in (1, 5, 23, 100):
        assert expected == training.evaluate(identity, logits, labels, batch_size)


class Unsized:
    """An array to NumPy, without a length or rows."""

    def __array__(self, dtype=None, copy=None):
        return np.zeros((3, 2))


def test_evaluate_refuses_bad_arguments():
    """Nothing to evaluate, unequal lengths and a batch size that is none are errors."""
    x, y = np.zeros((3, 2)), np.zeros(3, int)
    with pytest.raises(ValueError, match="got 0 examples and 0 labels"):
        training.evaluate(np.asarray, x[:0], y[:0])
    with pytest.raises(ValueError, match="got 3 examples and 2 labels"):
        training.evaluate(np.asarray, x, y[:2])
    with pytest.raises(TypeError, match="evaluate: x must be an array, got NoneType"):
        training.evaluate(np.asarray, None, y)
    with pytest.raises(TypeError, match="evaluate: x must be an array, got Unsized"):
        training.evaluate(np.asarray, Unsized(), y)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        training.evaluate(np.asarray, x, y, 0)
    with pytest.raises(TypeError, match="batch_size must be an integer"):
        training.evaluate(np.asarray, x, y, 2.5)
    with pytest.raises(ValueError, match=r"evaluate: y must have shape \(3,\) .* got \(3, 1\)"):
        training.evaluate(np.asarray, x, y[:, None])
    with pytest.raises(ValueError, match="y has 2 at index 0, expected labels from 0 to 1"):
        training.evaluate(np.asarray, x, y + 2)
    with pytest.raises(TypeError, match="y has dtype float64, expected integer labels"):
        training.evaluate(np.asarray, x, y * 1.0)


class Weights:
    """A model that is nothing but its state."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return self.state


def test_weights_sha256_is_the_documented_one():
    """The checksum covers name, type, shape and little-endian bytes of each entry, in order."""
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)
    parts = [b"a <f4 (2, 3)\n", a.astype("<f4").tobytes(), b"b <i8 ()\n", b"\7" + bytes(7)]

    assert hashlib.sha256(b"".join(parts)).hexdigest() == training.weights_sha256(Weights(a=a, b=b))


def test_weights_sha256_sees_every_difference():
    """Byte order in memory and layout do not count; values, names, types and shapes do."""
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    checksum = training.weights_sha256(Weights(a=a))

    for same in (a.astype(">f4"), np.asfortranarray(a)):
        assert checksum == training.weights_sha256(Weights(a=same))
    for other in (a + 1, a.astype(np.float64), a.reshape(3, 2)):
        assert checksum != training.weights_sha256(Weights(a=other))
    assert checksum != training.weights_sha256(Weights(b=a))


def test_weights_sha256_covers_running_statistics(digits):
    """A training forward pass without a step changes the checksum."""
    model, _ = start()
    before = training.weights_sha256(model)
    model.vjp(digits[0][0], input_grad=False)

    assert before != training.weights_sha256(model)


def test_readme_network_is_the_example_and_learns():
    """The README shows the code of examples/ten_lines.py, ten lines of it, and they work."""
    docstring, code = (ROOT / "examples" / "ten_lines.py").read_text().split("\n\n", 1)
    assert docstring.startswith('"""')
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text()
    assert len([line for line in code.splitlines() if line]) == 10

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    name, accuracy = done.stdout.rsplit(maxsplit=1)
    assert (name, done.stderr) == ("test accuracy", "")
    assert float(accuracy) > 0.95
