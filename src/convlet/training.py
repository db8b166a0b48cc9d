"""A small training loop over the two doors of a model, for classifiers with integer labels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from . import _checks
from .data import Batches
from .losses import softmax_cross_entropy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .layers import Layer
    from .optimizers import Optimizer


class Progress(NamedTuple):
    """What `fit` has reached, as its `progress` callback sees it after every batch."""

    epoch: int  # from 1
    epochs: int
    images: int  # seen in this epoch
    total: int  # images of an epoch
    loss: float  # mean over the images seen in this epoch
    accuracy: float  # likewise
    test_accuracy: float | None  # a number in the last call of an epoch when there is a test set


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
) -> dict[str, list[float]]:
    """Train a classifier with softmax cross-entropy on shuffled batches.

    KeyboardInterrupt ends the training early and is not passed on: the model keeps the weights
    reached, the gradients are zero again, and the history covers the epochs that were completed.

    Parameters
    ----------
    model : layer, x (N, ...) -> logits (N, classes)
    optimizer : optimizer over the parameters of model
    x : ndarray (n, ...)
    y : ndarray (n,), integer labels
    epochs : int, at least 1
    batch_size : int, at least 1
    rng : numpy Generator or seed of the shuffling, or None for fresh entropy
    last : "keep", "drop" or "merge" what is left for the last batch, as in `convlet.data.Batches`
    test : (x, y) to evaluate on after every epoch, or None
    progress : called with a Progress after every batch, or None; where it returns True, the
        training ends there

    Returns
    -------
    history : dict of lists with one float per completed epoch: "loss" and "accuracy" are means
        over the epoch's images, each taken before the step on its batch; "test_accuracy" is there
        when test is.

    Raises
    ------
    TypeError : epochs or batch_size is no integer, y not integers, or test no pair.
    ValueError : epochs or batch_size is below 1, x is empty, x and y differ in length, a label is
        out of range, or the model does not take x or the x of test. Nothing has been changed.
    FloatingPointError : the loss of a batch is not finite; the step on it has not been taken.

    Examples
    --------
    >>> import convlet as cl
    >>> x, y = np.eye(4, dtype=np.float32), np.arange(4)
    >>> model = cl.Sequential(cl.Linear(4, 4), rng=0)
    >>> history = fit(model, cl.SGD(model.parameters(), 1), x, y, epochs=20, batch_size=2, rng=0)
    >>> history["accuracy"][-1]
    1.0
    """
    epochs = _checks.size(epochs, "fit: epochs")
    if test is not None and not (isinstance(test, (tuple, list)) and len(test) == 2):
        raise TypeError(f"fit: test must be a pair (x, y) or None, got {type(test).__name__}")
    if len(x) == 0:
        raise ValueError(f"fit: expected at least one example, got x of shape {np.shape(x)}")
    batches = Batches(x, y, batch_size, rng=rng, last=last)
    _check_labels(y, model.output_shape((1, *np.shape(x)[1:])), len(x))
    if test is not None:
        _check_lengths("fit: test", *test)
        model.output_shape((1, *np.shape(test[0])[1:]))
    completed = []
    try:
        for epoch in range(1, epochs + 1):
            images, summed_loss, correct = 0, 0.0, 0
            for x_batch, labels in batches:
                logits, pullback = model.vjp(x_batch, input_grad=False)
                loss, dlogits = softmax_cross_entropy(logits, labels)
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"fit: the loss is {loss} in epoch {epoch} after {images} images; "
                        f"a smaller learning rate may help"
                    )
                pullback(dlogits)
                optimizer.step(zero_grad=True)

                images += len(labels)
                summed_loss += loss * len(labels)
                correct += int(np.count_nonzero(logits.argmax(axis=-1) == labels))
                test_accuracy = None
                if test is not None and images == batches.examples:
                    test_accuracy = evaluate(model, *test)
                reached = Progress(
                    epoch,
                    epochs,
                    images,
                    batches.examples,
                    summed_loss / images,
                    correct / images,
                    test_accuracy,
                )
                if images == batches.examples:
                    completed.append(reached)
                if progress is not None and progress(reached) is True:
                    return _history(completed, test)
    except KeyboardInterrupt:
        optimizer.zero_grad()
    return _history(completed, test)


def _check_labels(y, logits_shape, count):
    """Raise unless there is a label for every example, in the range of the classes."""
    y = _checks.as_ndarray(y, "fit: y")
    numbers, classes = _checks.labels(y, "fit: y"), logits_shape[-1]
    _checks.shape(y, (count, *logits_shape[1:-1]), "fit: y", "(one label for each row of logits)")
    if numbers.min() < 0 or numbers.max() >= classes:
        _checks.bad_label(y, "fit: y", classes)


def _check_lengths(where, x, y):
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(
            f"{where}: expected at least one example and a label for each, got {len(x)} examples "
            f"and {len(y)} labels"
        )


def _history(completed, test):
    names = ["loss", "accuracy"] + (["test_accuracy"] if test is not None else [])
    return {name: [getattr(epoch, name) for epoch in completed] for name in names}


def evaluate(
    model: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, batch_size: int = 256
) -> float:
    """Return the share of examples whose largest logit is that of their label.

    Parameters
    ----------
    model : layer, x (N, ...) -> logits (N, classes); used through its inference door
    x : ndarray (n, ...)
    y : ndarray (n,), integer labels
    batch_size : int, at least 1

    Raises
    ------
    TypeError : batch_size is no integer.
    ValueError : batch_size is below 1, x is empty, or x and y differ in length.

    Examples
    --------
    >>> evaluate(lambda x: x, np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0]))
    0.75
    """
    batch_size = _checks.size(batch_size, "evaluate: batch_size")
    _check_lengths("evaluate", x, y)
    correct = 0
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        correct += int(np.count_nonzero(model(x[rows]).argmax(axis=-1) == y[rows]))
    return correct / len(x)


def weights_sha256(model: Layer) -> str:
    """Return a checksum of everything a model has learnt, the same on every platform.

    It covers the entries of `state_dict()` in order: the name, the type, the shape and the
    little-endian bytes of each.
    """
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        value = np.asarray(value)
        value = value.astype(value.dtype.newbyteorder("<"))
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
