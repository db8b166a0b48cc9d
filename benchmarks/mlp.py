"""Workers that take training steps of a perceptron with one hidden layer: convlet, scikit-learn."""

import itertools

import numpy as np
import training
import turns

SHAPE = (32, 64)  # of a batch: 8x8 images
HIDDEN = 100


def batch():
    """Rows, and a class for each; every class occurs."""
    rows, _ = training.batch(SHAPE)
    return rows, np.arange(SHAPE[0]) % training.CLASSES


def weights():
    """Weights and biases, layer by layer."""
    rng = np.random.default_rng(0)
    sizes = SHAPE[1], HIDDEN, training.CLASSES
    shapes = [shape for pair in itertools.pairwise(sizes) for shape in (pair, pair[1:])]
    return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]


class Ours(turns.Convlet):
    """Convlet's side."""

    def prepare(self):
        """Make the call "step"; return the loss before the first."""
        import convlet as cl

        x, labels = batch()
        hidden = cl.Linear(SHAPE[1], HIDDEN), cl.ReLU()
        model = cl.Sequential(*hidden, cl.Linear(HIDDEN, training.CLASSES), rng=0)
        for parameter, value in zip(model.parameters(), weights(), strict=True):
            parameter.value = value
        optimizer = cl.Adam(model.parameters(), lr=training.RATE)

        def step():
            logits, pullback = model.vjp(x, input_grad=False)
            loss, dlogits = cl.softmax_cross_entropy(logits, labels)
            pullback(dlogits)
            optimizer.step(zero_grad=True)
            return loss

        self.calls = {"step": step}
        return float(step())


class ScikitLearn(turns.Worker):
    """scikit-learn's side."""

    def version(self):
        """Return what is measured."""
        import sklearn

        return f"scikit-learn {sklearn.__version__}"

    def prepare(self):
        """Make the call "step"; return the loss before the first."""
        from sklearn.neural_network import MLPClassifier

        x, labels = batch()
        model = MLPClassifier(
            (HIDDEN,), alpha=0, batch_size=SHAPE[0], learning_rate_init=training.RATE
        )
        model.partial_fit(x, labels, classes=np.arange(training.CLASSES))  # makes the weights
        values = weights()
        for place, value in zip(model.coefs_, values[::2], strict=True):
            place[...] = value
        for place, value in zip(model.intercepts_, values[1::2], strict=True):
            place[...] = value
        self.calls = {"step": lambda: model.partial_fit(x, labels)}
        model.partial_fit(x, labels)
        return float(model.loss_)
