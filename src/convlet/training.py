"""A small training loop for classifiers with integer labels, and their evaluation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from . import _checks
from ._calls import explained
from .data import Batches
from .layers import Layer, Sequential, Softmax
from .losses import softmax_cross_entropy
from .optimizers import Optimizer
from .optimizers.gradient_norm import check_limit as _check_limit


class Progress(NamedTuple):
    """How far `fit` has come, as its `progress` callback sees it after every batch.

    Attributes
    ----------
    epoch, epochs : int, the epoch, from 1, and how many there are
    images, total : int, the images seen in this epoch, and those of an epoch
    loss, accuracy : float, means over the images seen in this epoch
    test_accuracy, test_loss : float on the test set in the last call of an epoch, otherwise None
    """

    epoch: int
    epochs: int
    images: int
    total: int
    loss: float
    accuracy: float
    test_accuracy: float | None = None
    test_loss: float | None = None


@explained
def fit(
    model: Layer,
    optimizer: Optimizer,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator | int | None = None,
    last: Literal["keep", "drop", "merge"] = "keep",
    test: tuple[np.ndarray, np.ndarray] | None = None,
    progress: Callable[[Progress], bool | None] | None = None,
    loss: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]] = softmax_cross_entropy,
    augment: Callable[[np.ndarray], np.ndarray] | None = None,
    max_norm: float | None = None,
) -> dict[str, list[float]]:
    """Train a classifier on shuffled batches, by default with softmax cross-entropy.

    KeyboardInterrupt ends the training early and is not raised again: the model keeps the weights
    it has reached, the gradients are zeroed, and the history covers the completed epochs.

    Parameters
    ----------
    model : layer, x (N, ...) -> logits (N, classes), or (N, ..., classes) with a label for each
        pixel
    optimizer : optimizer over the parameters of model
    x : ndarray (n, ...)
    y : ndarray (n,) or (n, ...), integer labels
    epochs : int, at least 1
    batch_size : int, at least 1
    rng : numpy Generator or seed of the shuffling, or None for fresh entropy
    last : "keep", "drop" or "merge" a smaller last batch, as in `convlet.data.Batches`
    test : (x, y) to evaluate on after every epoch, or None
    progress : callable, or None; it gets a Progress after every batch, and ends the training if it
        returns True
    loss : callable, (logits, labels) -> (mean over the batch, its gradient), such as a
        softmax_cross_entropy with class weights; a loss that is not finite ends the training
    augment : callable, or None; it gets the x of every batch, a copy, and returns the x to train
        on, as the functions of `convlet.data` do
    max_norm : number, or None; the norm of the gradients is clipped to it at every step

    Returns
    -------
    history : dict of lists with one float per completed epoch: "loss" and "accuracy", means over
        the epoch's images, each taken before the step on its batch; and with test "test_loss" and
        "test_accuracy", those of the whole test set after the epoch

    Raises
    ------
    TypeError : x or y is not an array, epochs or batch_size is not an integer, y does not hold
        integers, test is not a pair, model is not a layer, optimizer is not an optimizer, or loss
        does not return a number and a gradient.
    ValueError : epochs or batch_size is below 1, x is empty, x and y differ in length, a label is
        out of range, the model refuses x or the x of test, the model ends in Softmax, which the
        loss includes, or optimizer steps none of its trainable parameters. Nothing has changed.
    FloatingPointError : the loss of a batch is not finite; its step has not been taken.

    Examples
    --------
    >>> import convlet as cl
    >>> x, y = np.eye(4, dtype=np.float32), np.arange(4)
    >>> model = cl.Sequential(cl.Linear(4, 4), rng=0)
    >>> history = fit(model, cl.SGD(model.parameters(), 1), x, y, epochs=20, batch_size=2, rng=0)
    >>> history["accuracy"][-1]
    1.0

    With class weights, and images flipped at random:

    >>> from convlet import data
    >>> def weighted(logits, labels):
    ...     weight = np.array([1.0, 1.0, 1.0, 5.0])
    ...     return cl.softmax_cross_entropy(logits, labels, class_weight=weight)
    >>> rng = np.random.default_rng(0)
    >>> options = {"loss": weighted, "augment": lambda x: data.random_flip(x, rng=rng)}
    >>> x, model = x.reshape(4, 2, 2, 1), cl.Sequential(cl.Flatten(), cl.Linear(4, 4), rng=0)
    >>> adam = cl.Adam(model.parameters())
    >>> history = fit(model, adam, x, y, epochs=1, batch_size=2, rng=0, **options)
    """
    epochs = _checks.size(epochs, "fit: epochs")
    if max_norm is not None:
        _check_limit(max_norm, "fit: expected max_norm", finite=False)
    if test is not None and not (isinstance(test, (tuple, list)) and len(test) == 2):
        raise TypeError(f"fit: test must be a pair (x, y) or None, got {type(test).__name__}")
    if not isinstance(model, Layer):
        raise TypeError(
            f"fit: expected model to be a layer, such as Sequential(...), got "
            f"{type(model).__name__}; a folded model is for inference alone"
        )
    x, y = _checks.as_ndarray(x, "fit: x"), _checks.as_ndarray(y, "fit: y", "int64")
    _check_lengths("fit", x, y)
    batches = Batches(x, y, batch_size, rng=rng, last=last)
    logits_shape = model.output_shape((1, *np.shape(x)[1:]))
    _check_labels(y, logits_shape, len(x), "fit: y")
    _check_trains(model, optimizer, loss)
    if test is not None:
        _check_test(model, *test)
    labels_each = math.prod(logits_shape[1:-1])  # 1, or the pixels of an image
    total, completed = batches.examples, []
    try:
        for epoch in range(1, epochs + 1):
            images, summed_loss, correct = 0, 0.0, 0
            for x_batch, labels in batches:
                if augment is not None:
                    x_batch = augment(x_batch)
                where = f"in epoch {epoch} after {images} images"
                value, logits = _step(model, optimizer, loss, x_batch, labels, max_norm, where)
                images += len(labels)
                summed_loss += value * len(labels)
                correct += int(np.count_nonzero(logits.argmax(axis=-1) == labels))
                mean_loss, accuracy = summed_loss / images, correct / (images * labels_each)
                last_one = images == total
                tested = _test(model, *test, loss) if last_one and test is not None else ()
                reached = Progress(epoch, epochs, images, total, mean_loss, accuracy, *tested)
                if last_one:
                    completed.append(reached)
                answer = None if progress is None else progress(reached)
                if isinstance(answer, (bool, np.bool_)) and answer:
                    return _history(completed, test)
    except KeyboardInterrupt:
        optimizer.zero_grad()
    return _history(completed, test)


def _step(model, optimizer, loss, x, labels, max_norm, where):
    """Train on one batch; return its loss, and the logits before the step."""
    logits, pullback = model.vjp(x, input_grad=False)
    value, dlogits = _value_and_gradient(loss, logits, labels)
    if not math.isfinite(value):
        of_x = not np.isfinite(x).all()
        cure = "x holds numbers that are not finite" if of_x else "a smaller learning rate may help"
        raise FloatingPointError(f"fit: the loss is {value} {where}; {cure}")
    pullback(dlogits)
    optimizer.step(zero_grad=True, max_norm=max_norm)
    return value, logits


def _check_labels(y, logits_shape, count, name):
    """Raise unless there is a label for each row of logits, and each is one of the classes."""
    expected, classes = (count, *logits_shape[1:-1]), logits_shape[-1]
    cure = _checks.label_cure(y, expected, name)
    _checks.shape(y, expected, name, "(one label for each row of logits)", cure)
    numbers = _checks.labels(y, name)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        _checks.bad_label(y, name, classes)


def _check_trains(model, optimizer, loss):
    """Raise if the model would learn nothing, or from the wrong numbers."""
    if not callable(loss):
        raise TypeError(
            f"fit: expected loss to be a function (logits, labels) -> (value, gradient), such as "
            f"softmax_cross_entropy, got {loss!r}"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: expected an optimizer, such as Adam(model.parameters()), got {optimizer!r}"
        )
    stepped = {id(p) for p in optimizer._parameters if p.trainable}
    if not any(id(p) in stepped for p in model.parameters()):
        raise ValueError(
            "fit: the optimizer steps no trainable parameter of the model: make it of "
            "model.parameters(), anew for a copy of a model, and unfreeze() what is to learn"
        )
    end = model
    while isinstance(end, Sequential) and len(end):
        end = end[-1]
    if loss is softmax_cross_entropy and isinstance(end, Softmax):
        raise ValueError(
            "fit: the model ends in Softmax, but softmax_cross_entropy takes logits: leave the "
            "layer out, and use softmax(model(x)) for probabilities"
        )


def _value_and_gradient(loss, logits, labels):
    """Call a loss; raise unless it returns a number and a gradient."""
    result = loss(logits, labels)
    if isinstance(result, tuple) and len(result) == 2 and np.ndim(result[0]) == 0:
        return result
    got = type(result).__name__
    if isinstance(result, tuple):
        got = f"({', '.join(type(part).__name__ for part in result)})"
    raise TypeError(
        f"fit: expected loss to return (number, gradient), the mean over the batch and its "
        f"gradient, got {got}"
    )


def _check_test(model, x, y):
    """Raise unless a model can be evaluated on a test set."""
    _check_lengths("fit: test", x, y)
    y = _checks.as_ndarray(y, "fit: test y", "int64")
    _check_labels(y, model.output_shape((1, *np.shape(x)[1:])), len(x), "fit: test y")
    evaluate(model, x[:1], y[:1])


def _check_lengths(where, x, y):
    for name, value in (("x", x), ("y", y)):
        if not hasattr(value, "__len__") or np.ndim(value) < 1:
            number = isinstance(value, np.ndarray)
            got = "a single number" if number else type(value).__name__
            raise TypeError(f"{where}: {name} must be an array, got {got}")
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(
            f"{where}: expected at least one example and a label for each, got {len(x)} examples "
            f"and {len(y)} labels"
        )


def _history(completed, test):
    names = ["loss", "accuracy"] + (["test_loss", "test_accuracy"] if test is not None else [])
    return {name: [getattr(epoch, name) for epoch in completed] for name in names}


def evaluate(
    model: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, batch_size: int = 256
) -> float:
    """Return the accuracy: the share of rows whose largest logit is that of the label.

    Parameters
    ----------
    model : layer, x (N, ...) -> logits (N, classes), or (N, ..., classes) with a label for each
        pixel; called as model(x)
    x : ndarray (n, ...)
    y : ndarray (n,) or (n, ...), integer labels
    batch_size : int, at least 1

    Raises
    ------
    TypeError : x or y is not an array, batch_size is not an integer, or y does not hold integers.
    ValueError : batch_size is below 1, x is empty, x and y differ in length, y does not have a
        label for each row of logits, or a label is out of range.

    Examples
    --------
    >>> evaluate(lambda x: x, np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0]))
    0.75
    """
    batch_size = _checks.size(batch_size, "evaluate: batch_size")
    _check_lengths("evaluate", x, y)
    return _test(model, x, y, None, batch_size)[0]


def _test(model, x, y, loss, batch_size=256):
    """Return the accuracy on a test set, and the mean of a loss over it, 0 without one."""
    y = _checks.as_ndarray(y, "evaluate: y", "int64")
    summed_loss, correct = 0.0, 0
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        logits, labels = model(x[rows]), y[rows]
        _check_labels(labels, logits.shape, len(logits), "evaluate: y")
        if loss is not None:
            summed_loss += _value_and_gradient(loss, logits, labels)[0] * len(labels)
        correct += int(np.count_nonzero(logits.argmax(axis=-1) == labels))
    return correct / y.size, summed_loss / len(x)


def weights_sha256(model: Layer) -> str:
    """Return a checksum of everything a model has learnt, the same on every platform.

    It covers the entries of `state_dict()` in order: the name, the type, the shape and the
    little-endian bytes of each.

    Examples
    --------
    >>> from convlet import models
    >>> weights_sha256(models.digits(rng=0)) == weights_sha256(models.digits(rng=0))
    True
    """
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        value = np.asarray(value)
        value = value.astype(value.dtype.newbyteorder("<"))
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
